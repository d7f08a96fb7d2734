//! What honest tokens allow.

use super::super::encoding;
use super::*;
use std::fs;

#[test]
fn a_token_without_restrictions_allows_everything() {
    let server = Server::new();
    let token = server.issue(&Restrictions::default());
    let verdicts = server.ring.authorize(&token, &accesses()).unwrap();
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Allowed), "{verdicts:?}");
}

/// Every combination of restrictions against every access, compared with what they mean.
#[test]
fn restrictions_mean_what_they_say() {
    let server = Server::new();
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let everything = issue(&server.key, &Restrictions::default()).unwrap();
    let everything = crate::auth::Token::parse(&everything).unwrap();
    for operations in [vec![], vec![Operation::Get], vec![Operation::Put, Operation::List]] {
        for caches in [strings(&[]), strings(&["default"]), strings(&["default", ""])] {
            for key_prefixes in [strings(&[]), strings(&["ci/"]), strings(&["ci/", "\";"])] {
                let restrictions = Restrictions {
                    expires: None,
                    operations: operations.clone(),
                    caches: caches.clone(),
                    key_prefixes,
                };
                let issued = server.issue(&restrictions);
                let narrowed = everything.restrict(&restrictions).unwrap();
                for token in [issued, narrowed] {
                    for access in accesses() {
                        let expected = allowed(&restrictions, &access);
                        let verdict = server.ask(&token, access.clone()).unwrap();
                        assert_eq!(verdict, expected, "{restrictions:?} {access:?}");
                    }
                }
            }
        }
    }
}

fn allowed(restrictions: &Restrictions, access: &Access) -> Verdict {
    let Restrictions { operations, caches, key_prefixes, .. } = restrictions;
    let has_prefix = |key: &str| key_prefixes.iter().any(|prefix| key.starts_with(prefix));
    let is_allowed = (operations.is_empty() || operations.contains(&access.operation))
        && (caches.is_empty() || caches.contains(&access.cache))
        && (key_prefixes.is_empty() || access.key.as_deref().is_some_and(has_prefix));
    if is_allowed { Verdict::Allowed } else { Verdict::Denied }
}

#[test]
fn a_token_ends_at_its_second() {
    let server = Server::new();
    let end = NOW as u64 + 10;
    let token = server.issue(&Restrictions {
        expires: Some(end),
        caches: vec!["default".into()],
        ..Restrictions::default()
    });
    for (time, verdict) in [
        (NOW, Verdict::Allowed),
        (NOW + 9, Verdict::Allowed),
        (NOW + 10, Verdict::Expired),
        (NOW + 1_000_000, Verdict::Expired),
        // Answers that were given before are not given again.
        (NOW + 9, Verdict::Allowed),
    ] {
        server.clock.store(time, Ordering::SeqCst);
        assert_eq!(server.get(&token, "a"), Ok(verdict), "{}", time - NOW);
        // What would be refused anyway is not merely late.
        let other = server.ask(&token, access(Operation::Get, "other", None));
        assert_eq!(other, Ok(Verdict::Denied));
    }
}

#[test]
fn only_checks_about_nothing_but_time_make_a_token_expired() {
    let server = Server::new();
    for (datalog, verdict) in [
        ("check if time($t), $t < 2020-01-01T00:00:00Z", Verdict::Expired),
        ("check if time($now), $now > 2100-01-01T00:00:00Z", Verdict::Expired),
        ("check if operation(\"put\") or time($t), $t < 2020-01-01T00:00:00Z", Verdict::Expired),
        ("check if operation(\"put\"), time($t), $t < 2100-01-01T00:00:00Z", Verdict::Denied),
        (
            "check if operation(\"put\"); check if time($t), $t < 2020-01-01T00:00:00Z",
            Verdict::Denied,
        ),
        ("check if false", Verdict::Denied),
        ("check if time($t), $t < 2100-01-01T00:00:00Z", Verdict::Allowed),
    ] {
        let first = server.issue_datalog(datalog);
        let added = append(&server.issue_datalog(""), datalog);
        assert_eq!(server.get(&first, "a"), Ok(verdict), "{datalog}");
        assert_eq!(server.get(&added, "a"), Ok(verdict), "{datalog}");
    }
}

#[test]
fn every_text_form_of_a_token_is_understood() {
    let server = Server::new();
    let token = server.issue_datalog("user(\"???>>>\"); right(\"~~~\")");
    let standard = token.replace('-', "+").replace('_', "/");
    for text in [token.trim_end_matches('='), &standard, standard.trim_end_matches('='), &token] {
        assert_eq!(server.get(text, "a"), Ok(Verdict::Allowed));
    }
}

#[test]
fn what_is_no_token_is_malformed_and_of_another_key_forged() {
    let server = Server::new();
    let token = server.issue(&Restrictions::default());
    let long = "A".repeat(encoding::MAX_TOKEN_SIZE + 4);
    for text in ["", "A", "AAAA", "Bearer x", "ä", &token[1..], &token[..token.len() / 2], &long] {
        assert_eq!(server.get(text, "a"), Err(TokenFault::Malformed), "{text}");
    }
    assert_eq!(Server::new().get(&token, "a"), Err(TokenFault::Forged));
    let nobody = ring(Vec::new(), RevocationList::empty(), server.clock.clone());
    assert_eq!(nobody.authorize(&token, &[]), Err(TokenFault::Forged));
}

#[test]
fn a_token_with_many_checks_is_no_burden() {
    let server = Server::new();
    let mut token = server.issue_datalog("user(\"alice\"); team(\"ci\")");
    let realistic = [
        "check if operation($o), [\"get\", \"put\", \"list\"].contains($o)",
        "check if key($k), $k.matches(\"^ci/[a-z0-9-]+$\") || $k.starts_with(\"ci/\")",
        "check if key($k), [\"ci/\", \"dev/\"].any($p -> $k.starts_with($p))",
        "check if time($t), $t < 2100-01-01T00:00:00Z; check if user(\"alice\"), team($t)",
        "branch(\"main\"); check if branch($b), cache($c), $c == \"default\" && $b != $c",
        "reject if key($k), $k.ends_with(\".lock\"); check all key($k), $k.length() < 100",
    ];
    for datalog in realistic.iter().cycle().take(18) {
        token = append(&token, datalog);
    }
    assert_eq!(server.get(&token, "ci/a"), Ok(Verdict::Allowed));
    assert_eq!(server.get(&token, "ci/a.lock"), Ok(Verdict::Denied));
    assert_eq!(server.get(&token, "main/a"), Ok(Verdict::Denied));
}

#[test]
fn rules_of_the_issuer_are_evaluated() {
    let server = Server::new();
    let token = server.issue_datalog(
        "right(\"default\", \"get\"); allowed($o) <- operation($o), cache($c), right($c, $o);
         check if allowed($o)",
    );
    assert_eq!(server.get(&token, "a"), Ok(Verdict::Allowed));
    let put = server.ask(&token, access(Operation::Put, "default", Some("a")));
    assert_eq!(put, Ok(Verdict::Denied));
}

fn revocation_ids(token: &str) -> Vec<String> {
    let token = UnverifiedBiscuit::from_base64(token).unwrap();
    token.revocation_identifiers().iter().map(|id| encoding::hex(id)).collect()
}

#[test]
fn revocation_holds_at_once_for_a_token_and_all_made_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revoked");
    fs::write(&path, "# nothing yet\n").unwrap();
    let server = Server::with(RevocationList::load(&path).unwrap());
    let root = server.issue(&Restrictions::default());
    let child = append(&root, "check if operation(\"get\")");
    let grandchild = append(&child, "check if cache(\"default\")");
    let sibling = append(&root, "check if operation(\"get\")");
    let tokens = [&root, &child, &grandchild, &sibling];
    let revoked = || tokens.map(|token| server.get(token, "a") == Err(TokenFault::Revoked));

    assert_eq!(revoked(), [false; 4]);
    fs::write(&path, &revocation_ids(&child)[1]).unwrap();
    assert_eq!(revoked(), [false; 4], "the list has not been reloaded");
    server.ring.revocations().reload().unwrap();
    assert_eq!(revoked(), [false, true, true, false]);
    fs::write(&path, &revocation_ids(&root)[0]).unwrap();
    server.ring.revocations().reload().unwrap();
    assert_eq!(revoked(), [true; 4]);
    fs::write(&path, "nonsense").unwrap();
    assert!(server.ring.revocations().reload().is_err());
    assert_eq!(revoked(), [true; 4]);
}
