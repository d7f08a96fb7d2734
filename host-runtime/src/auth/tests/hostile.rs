//! Tokens that somebody has tampered with, or made to do harm.

use super::super::encoding;
use super::*;
use biscuit_auth::Algorithm;
use biscuit_auth::KeyPair;
use biscuit_auth::format::schema;
use prost::Message;

/// Whether a text allows something that the verdicts of the original do not.
fn exceeds(server: &Server, text: &str, accesses: &[Access], original: &[Verdict]) -> bool {
    server.ring.authorize(text, accesses).is_ok_and(|verdicts| {
        let pairs = verdicts.iter().zip(original);
        pairs.into_iter().any(|(now, then)| *now == Verdict::Allowed && *then != Verdict::Allowed)
    })
}

/// A token of three blocks, and what it allows.
fn narrowed(server: &Server) -> (String, Vec<Access>, Vec<Verdict>) {
    let root = server.issue(&Restrictions {
        operations: vec![Operation::Get, Operation::Put],
        ..Restrictions::default()
    });
    let token = append(&root, "check if cache(\"default\")");
    let token =
        append(&token, "check if operation(\"get\"); check if key($k), $k.starts_with(\"ci/\")");
    let accesses = accesses();
    let verdicts = server.ring.authorize(&token, &accesses).unwrap();
    let allowed = verdicts.iter().filter(|verdict| **verdict == Verdict::Allowed).count();
    assert_eq!(allowed, 1, "the token has to allow something, but not much");
    (token, accesses, verdicts)
}

#[test]
fn no_flipped_bit_gains_anything() {
    let server = Server::new();
    let (token, accesses, original) = narrowed(&server);
    let bytes = encoding::decode(&token).unwrap();
    let (mut accepted, mut tried) = (0, 0);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let text = encoding::encode(&flipped);
        assert!(!exceeds(&server, &text, &accesses, &original), "bit {bit}");
        accepted += u32::from(server.ring.authorize(&text, &[]).is_ok());
        tried += 1;
    }
    assert!(accepted * 20 < tried, "{accepted} of {tried} flips left a token that is taken");
}

#[test]
fn no_changed_character_and_no_truncation_gains_anything() {
    let server = Server::new();
    let (token, accesses, original) = narrowed(&server);
    for end in 0..token.len() {
        assert!(!exceeds(&server, &token[..end], &accesses, &original), "{end}");
        let mut changed = token.clone().into_bytes();
        changed[end] = if changed[end] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(!exceeds(&server, &changed, &accesses, &original), "{end}");
    }
}

#[test]
fn no_block_can_be_taken_away_swapped_or_replaced() {
    let server = Server::new();
    let (token, accesses, original) = narrowed(&server);
    let whole = schema::Biscuit::decode(encoding::decode(&token).unwrap().as_slice()).unwrap();
    let other =
        server.issue(&Restrictions { caches: vec!["other".into()], ..Restrictions::default() });
    let other = schema::Biscuit::decode(encoding::decode(&other).unwrap().as_slice()).unwrap();
    let mut tampered = Vec::new();
    for index in 0..whole.blocks.len() {
        let mut without = whole.clone();
        without.blocks.remove(index);
        tampered.push(without.clone());
        without.proof = other.proof.clone();
        tampered.push(without);
    }
    let mut swapped = whole.clone();
    swapped.blocks.swap(0, 1);
    tampered.push(swapped);
    let mut transplanted = whole.clone();
    transplanted.authority = other.authority.clone();
    tampered.push(transplanted);
    let mut rewritten = whole.clone();
    rewritten.blocks[1].block = whole.blocks[0].block.clone();
    tampered.push(rewritten);
    for (number, token) in tampered.iter().enumerate() {
        let text = encoding::encode(&token.encode_to_vec());
        assert!(server.ring.authorize(&text, &accesses).is_err(), "{number}");
        assert!(!exceeds(&server, &text, &accesses, &original), "{number}");
    }
}

#[test]
fn facts_of_added_blocks_do_not_widen_a_token() {
    let server = Server::new();
    let (token, accesses, original) = narrowed(&server);
    for datalog in [
        "operation(\"get\"); cache(\"default\"); key(\"ci/x\"); time(2020-01-01T00:00:00Z)",
        "operation(\"put\"); check if operation(\"put\")",
        "trusting previous; operation(\"get\"); check if operation(\"get\")",
    ] {
        let wider = append(&token, datalog);
        assert!(!exceeds(&server, &wider, &accesses, &original), "{datalog}");
    }
}

/// Each would keep the engine busy for seconds or longer, or fill the memory.
#[test]
fn tokens_that_would_keep_a_server_busy_are_refused() {
    let server = Server::new();
    let root = server.issue(&Restrictions::default());
    let facts: String = (0..200).map(|number| format!("f({number}); ")).collect();
    let list = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let sums = vec!["$k"; 100].join(" + ");
    let regexes = (0..100).map(|_| "$k.matches(\"a.*b\")").collect::<Vec<_>>().join(" && ");
    for (name, datalog) in [
        ("product", format!("{facts} check if f($a), f($b), f($c), f($d), $a > $d + 1000")),
        ("negated", format!("{facts} reject if f($a), f($b), f($c), f($d), $a + $b + $c > 1000")),
        ("rule", format!("{facts} g($a, $b, $c) <- f($a), f($b), f($c)")),
        ("recursion", "f(1, 2); f(2, 1); f($a, $c) <- f($a, $b), f($b, $c)".to_owned()),
        (
            "closures",
            format!(
                "check if [{list}].all($a -> [{list}].all($b -> [{list}].all($c -> $a + $b + $c >= 0)))"
            ),
        ),
        ("counted", "check if key($k), $k.matches(\"(((a{100}){100}){100})\")".to_owned()),
        ("made", "check if key($k), $k.matches(\"a\" + $k)".to_owned()),
        ("classes", format!("check if key($k), $k.matches(\"{}\")", "\\\\w".repeat(20))),
        ("flags", "check if key($k), $k.matches(\"(?i)[ -~]\")".to_owned()),
        ("ranges", "check if key($k), $k.matches(\"[\u{a1}-\u{ffff}]\")".to_owned()),
        ("sums", format!("check if key($k), ({sums}).length() > 0")),
        ("regexes", format!("check if key($k), {regexes}")),
    ] {
        let token = append(&root, &datalog);
        assert!(token.len() <= encoding::MAX_TOKEN_SIZE, "{name}: {}", token.len());
        assert_eq!(server.get(&token, "a"), Ok(Verdict::Denied), "{name}");
    }
    let mut chain = root;
    for _ in 0..31 {
        chain = append(&chain, "");
    }
    assert_eq!(server.get(&chain, "a"), Ok(Verdict::Allowed));
    assert_eq!(server.get(&append(&chain, ""), "a"), Ok(Verdict::Denied));
}

#[test]
fn checks_that_cannot_be_evaluated_refuse() {
    let server = Server::new();
    for datalog in [
        "check if 9223372036854775807 + 1 > 0",
        "check if 1 / 0 == 1",
        "check if key($k), $k.matches(\"(\")",
        "check if key($k), $k < 5",
        "check if 1.extern::none()",
    ] {
        let token = append(&server.issue(&Restrictions::default()), datalog);
        assert_eq!(server.get(&token, "a"), Ok(Verdict::Denied), "{datalog}");
    }
}

/// Otherwise the holder of a revoked token could turn its last signature into another valid one.
#[test]
fn blocks_signed_with_ecdsa_are_refused() {
    let server = Server::new();
    let root = UnverifiedBiscuit::from_base64(server.issue(&Restrictions::default())).unwrap();
    let pair = KeyPair::new_with_algorithm(Algorithm::Secp256r1);
    let token = root.append_with_keypair(&pair, BlockBuilder::new()).unwrap();
    let token = token.append(BlockBuilder::new()).unwrap().to_base64().unwrap();
    assert_eq!(server.get(&token, "a"), Ok(Verdict::Denied));
}
