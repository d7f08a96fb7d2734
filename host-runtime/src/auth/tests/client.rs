//! The client's side: narrowing, and looking into tokens.

use super::super::{Token, inspect};
use super::*;
use biscuit_auth::macros::block;
use btdt_ports::Scope;
use std::time::{Duration, UNIX_EPOCH};

fn now() -> Timestamp {
    Timestamp { seconds: NOW, nanoseconds: 5 }
}

fn scope() -> Scope {
    Scope { operation: Operation::Put, cache: "default".into(), seconds: 300 }
}

fn datalog(token: &str, block: usize) -> String {
    UnverifiedBiscuit::from_base64(token).unwrap().print_block_source(block).unwrap()
}

/// What the client of btdt 0.4 adds to its token for each request.
fn narrowed_by_the_original(token: &str) -> String {
    let expiration = UNIX_EPOCH + Duration::from_secs(NOW as u64 + 300);
    let block = block!(
        "check if operation({operation}); check if cache({cache}); check if time($time), $time < {expiration};",
        operation = "put",
        cache = "default",
        expiration = expiration,
    );
    let token = UnverifiedBiscuit::from_base64(token).unwrap().append(block).unwrap();
    token.to_base64().unwrap()
}

#[test]
fn a_token_is_narrowed_down_as_the_original_does_it() {
    let server = Server::new();
    let token = server.issue(&Restrictions::default());
    let ours = Token::parse(&token).unwrap().attenuate(&scope(), now()).unwrap();
    let theirs = narrowed_by_the_original(&token);
    assert_eq!(datalog(&ours, 1), datalog(&theirs, 1));
    for token in [ours, theirs] {
        for access in accesses() {
            let fits = access.operation == Operation::Put && access.cache == "default";
            let expected = if fits { Verdict::Allowed } else { Verdict::Denied };
            assert_eq!(server.ask(&token, access.clone()), Ok(expected), "{access:?}");
        }
        server.clock.store(NOW + 300, Ordering::SeqCst);
        let late = server.ask(&token, access(Operation::Put, "default", None));
        assert_eq!(late, Ok(Verdict::Expired));
        server.clock.store(NOW, Ordering::SeqCst);
    }
}

#[test]
fn narrowing_never_widens() {
    let server = Server::new();
    let token =
        server.issue(&Restrictions { operations: vec![Operation::Get], ..Restrictions::default() });
    let narrowed = Token::parse(&token).unwrap().attenuate(&scope(), now()).unwrap();
    let verdicts = server.ring.authorize(&narrowed, &accesses()).unwrap();
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Denied));
}

#[test]
fn a_sealed_token_can_be_used_but_not_narrowed_down() {
    let server = Server::new();
    let token = server.issue(&Restrictions::default());
    let sealed = UnverifiedBiscuit::from_base64(token).unwrap().seal().unwrap();
    let sealed = Token::parse(&sealed.to_base64().unwrap()).unwrap();
    assert_eq!(server.get(&sealed.to_text(), "a"), Ok(Verdict::Allowed));
    let refused = sealed.attenuate(&scope(), now()).unwrap_err();
    assert_eq!(refused, super::super::AttenuateError::Sealed);
    assert!(inspect(&sealed).unwrap().is_sealed);
}

#[test]
fn a_token_that_no_server_would_take_is_not_made() {
    let server = Server::new();
    let restrictions = Restrictions { caches: vec!["c".repeat(20_000)], ..Restrictions::default() };
    assert!(issue(&server.key, &restrictions).is_err());
    let token = Token::parse(&server.issue(&Restrictions::default())).unwrap();
    let refused = token.restrict(&restrictions).unwrap_err();
    assert_eq!(refused, super::super::AttenuateError::TooLarge);
}

#[test]
fn tokens_and_keys_are_never_shown() {
    let server = Server::new();
    let text = server.issue(&Restrictions::default());
    let shown = format!("{:?} {:?}", Token::parse(&text).unwrap(), server.key);
    assert_eq!(shown, format!("Token(…) PrivateKey(of {})", server.key.public()));
}

#[test]
fn inspection_tells_what_is_in_a_token() {
    let server = Server::new();
    let token = server.issue(&Restrictions {
        expires: Some(NOW as u64 + 1000),
        operations: vec![Operation::Get, Operation::List],
        caches: Vec::new(),
        key_prefixes: vec!["ci/".into()],
    });
    let narrowed = Token::parse(&token).unwrap().attenuate(&scope(), now()).unwrap();
    let token = Token::parse(&narrowed).unwrap();
    let inspection = inspect(&token).unwrap();
    assert_eq!(inspection.expires, Some(NOW as u64 + 300));
    assert!(!inspection.is_sealed && !inspection.is_misleading);
    assert_eq!(
        inspection.blocks[0].datalog,
        [
            "check if operation(\"get\") or operation(\"list\");",
            "check if key($key), $key.starts_with(\"ci/\");",
            "check if time($time), $time < 2027-01-15T08:16:40Z;",
        ]
    );
    assert_eq!(inspection.blocks[1].datalog.len(), 3);
    let ids = token.biscuit().revocation_identifiers();
    for (block, id) in inspection.blocks.iter().zip(&ids) {
        assert_eq!(block.revocation_id, super::super::encoding::hex(id));
        assert_eq!(block.revocation_id.len(), 128);
    }
    assert!(token.is_signed_by(&[Server::new().key.public(), server.key.public()]));
    assert!(!token.is_signed_by(&[Server::new().key.public()]));
    assert!(!token.is_signed_by(&[]));
}

#[test]
fn ends_that_are_recognised_and_those_that_are_not() {
    let server = Server::new();
    for (datalog, end) in [
        ("check if time($t), $t <= 2030-01-01T00:00:00Z", Some(1_893_456_000)),
        (
            "check if time($t), $t < 2030-01-01T00:00:00Z, $t > 2020-01-01T00:00:00Z",
            Some(1_893_456_000),
        ),
        ("check if time($t), $t > 2030-01-01T00:00:00Z", None),
        ("check if operation(\"get\") or time($t), $t < 2030-01-01T00:00:00Z", None),
        ("reject if time($t), $t < 2030-01-01T00:00:00Z", None),
        ("check if cache($t), $t < 2030-01-01T00:00:00Z", None),
        ("", None),
    ] {
        let token = Token::parse(&server.issue_datalog(datalog)).unwrap();
        assert_eq!(inspect(&token).unwrap().expires, end, "{datalog}");
    }
}

#[test]
fn texts_cannot_forge_lines_without_a_warning() {
    let server = Server::new();
    for cache in ["x\u{1b}[2J", "x\");\ncheck if operation(\"get", "a\\b", "a\"b"] {
        let restrictions = Restrictions { caches: vec![cache.into()], ..Restrictions::default() };
        let inspection = inspect(&Token::parse(&server.issue(&restrictions)).unwrap()).unwrap();
        assert!(inspection.is_misleading, "{cache:?}");
        let lines = inspection.blocks[0].datalog.concat();
        assert!(!lines.contains(char::is_control), "{lines:?}");
    }
}

#[test]
fn a_time_that_has_no_text_is_no_expiry() {
    assert_eq!(Restrictions::expiry(now(), 10), Some(NOW as u64 + 10));
    for seconds in [u64::MAX, 300_000_000_000] {
        assert_eq!(Restrictions::expiry(now(), seconds), None);
    }
}
