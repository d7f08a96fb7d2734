//! Checks that our server accepts the keys and tokens that the `biscuit` tool creates with the
//! commands of the guide "Tekton with btdt-server", and that the tool accepts ours.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../biscuit/mod.rs"]
mod biscuit;

use biscuit::GUIDE;
use btdt_host_runtime::auth::{
    KeyOrigin, KeyRing, PrivateKey, Restrictions, RevocationList, Token, TokenFile, inspect, issue,
    load_or_create, read_public_keys,
};
use btdt_host_runtime::clock;
use btdt_ports::{Access, Authority, Operation, Scope, TokenFault, Verdict};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

const DAY: u64 = 24 * 60 * 60;

/// Runs a script in a directory, with files readable only for their owner, and returns its output.
fn run(directory: &Path, script: &str) -> String {
    String::from_utf8(biscuit::run(directory, &format!("umask 077\n{script}"))).unwrap()
}

/// A server with this key, `days` days from now.
fn server(key: &PrivateKey, days: u64) -> KeyRing {
    let now = clock::now().plus_seconds(days * DAY);
    let none = Arc::new(RevocationList::empty());
    KeyRing::new(vec![key.public()], none, Box::new(move || now))
}

fn ask(server: &KeyRing, token: &str, operation: Operation) -> Result<Verdict, TokenFault> {
    let access = Access { operation, cache: "default".into(), key: Some("a".into()) };
    server.authorize(token, &[access]).map(|verdicts| verdicts[0])
}

#[test]
fn the_commands_of_the_guide() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), GUIDE);
    let (key, origin) = load_or_create(&directory.path().join("auth_private_key.pem")).unwrap();
    assert_eq!(origin, KeyOrigin::Loaded);

    // Kubernetes decodes what is under `data`; without Kubernetes, the file is used as it is, which
    // is base64 of base64.
    let as_made = directory.path().join("auth_token.txt");
    let mounted = directory.path().join("token");
    run(directory.path(), "base64 -d auth_token.txt > token");
    for path in [as_made, mounted] {
        let token = TokenFile::read(&path, false).unwrap();
        let scope = Scope { operation: Operation::Put, cache: "default".into(), seconds: 300 };
        let narrowed = token.attenuate(&scope, clock::now()).unwrap();
        for operation in [Operation::Get, Operation::Put, Operation::List, Operation::Delete] {
            let whole = ask(&server(&key, 0), &token.to_text(), operation);
            assert_eq!(whole, Ok(Verdict::Allowed));
            let allowed = ask(&server(&key, 0), &narrowed, operation) == Ok(Verdict::Allowed);
            assert_eq!(allowed, operation == Operation::Put);
        }
        for (days, verdict) in [(89, Verdict::Allowed), (91, Verdict::Expired)] {
            let later = server(&key, days);
            assert_eq!(ask(&later, &token.to_text(), Operation::Get), Ok(verdict), "{days}");
        }
        let stranger = server(&PrivateKey::generate(), 0);
        assert_eq!(ask(&stranger, &token.to_text(), Operation::Get), Err(TokenFault::Forged));
        let end = inspect(&token).unwrap().expires.unwrap();
        let expected = u64::try_from(clock::now().seconds).unwrap() + 90 * DAY;
        assert!(expected.abs_diff(end) < 600, "{end} {expected}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = TokenFile::read(&path, true).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}

#[test]
fn public_keys_as_the_tool_prints_them() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), GUIDE);
    let from = "biscuit keypair --from-file auth_private_key.pem --from-format pem";
    run(directory.path(), &format!("{from} --only-public-key > hex"));
    run(directory.path(), &format!("{from} --only-public-key --key-output-format pem > pem"));
    let key = PrivateKey::read(&directory.path().join("auth_private_key.pem")).unwrap();
    for file in ["hex", "pem"] {
        let keys = read_public_keys(&directory.path().join(file)).unwrap();
        assert_eq!(keys, [key.public()], "{file}");
    }
}

#[test]
fn tokens_that_the_tool_narrows_down() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), GUIDE);
    let key = PrivateKey::read(&directory.path().join("auth_private_key.pem")).unwrap();
    let attenuate = "base64 -d auth_token.txt | biscuit attenuate --block";
    let token = run(directory.path(), &format!("{attenuate} 'check if operation(\"get\")' -"));
    let token = Token::parse(&token).unwrap().to_text();
    assert_eq!(ask(&server(&key, 0), &token, Operation::Get), Ok(Verdict::Allowed));
    assert_eq!(ask(&server(&key, 0), &token, Operation::Put), Ok(Verdict::Denied));
}

#[test]
fn the_tool_takes_our_keys_and_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let (key, _) = load_or_create(&path).unwrap();
    let restrictions = Restrictions { operations: vec![Operation::Get], ..Restrictions::default() };
    let ours = issue(&key, &restrictions).unwrap();
    fs::write(directory.path().join("token"), &ours).unwrap();
    let inspected =
        run(directory.path(), &format!("biscuit inspect --public-key {} token", key.public()));
    assert!(inspected.contains("check if operation(\"get\")"), "{inspected}");
    for block in inspect(&Token::parse(&ours).unwrap()).unwrap().blocks {
        assert!(inspected.contains(&block.revocation_id), "{inspected}");
    }
    let theirs = run(
        directory.path(),
        "echo | biscuit generate --private-key-file key.pem --private-key-format pem -",
    );
    assert_eq!(ask(&server(&key, 0), theirs.trim(), Operation::Put), Ok(Verdict::Allowed));
}
