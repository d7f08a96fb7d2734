//! What the component says about its configuration.

use crate::support::Setup;
use std::fs;

/// Every request fails, and standard error says why.
#[track_caller]
fn assert_refused(setup: &Setup, expected: &str) {
    let server = setup.start();
    for target in ["/api/health", "/api/caches/default?key=k"] {
        let answer = server.ask("GET", target, &[], b"");
        assert_eq!(answer.status, 500, "{target}");
        let text = answer.text();
        assert!(text.contains("The server has an internal error."), "{text}");
        assert!(!text.contains("BTDT") && !text.contains("/data"), "{text}");
    }
    let said = server.end();
    assert!(said.contains(expected), "{said}");
    assert!(said.lines().all(|line| line.starts_with("Error: ")), "{said}");
}

#[test]
fn without_a_cache() {
    let mut setup = Setup::new();
    setup.unset("BTDT_CACHES__DEFAULT__PATH");
    assert_refused(&setup, "set BTDT_CACHES__DEFAULT__PATH to a directory");
}

#[test]
fn without_a_key() {
    let mut setup = Setup::new();
    setup.unset("BTDT_AUTH_PRIVATE_KEY");
    assert_refused(&setup, "set BTDT_AUTH_PRIVATE_KEY to a file");
}

#[test]
fn a_directory_that_is_out_of_reach() {
    let mut setup = Setup::new();
    setup.set("BTDT_CACHES__DEFAULT__PATH", "/elsewhere/cache");
    assert_refused(&setup, "Could not open cache \"default\" at /elsewhere/cache");
}

#[test]
fn a_revocation_list_that_cannot_be_read() {
    let mut setup = Setup::new();
    setup.set("BTDT_AUTH_REVOCATION_LIST", "/data/revoked");
    assert_refused(&setup, "/data/revoked");
}

#[test]
fn public_keys_are_enough() {
    let mut setup = Setup::new();
    let arguments = ["token", "keypair", "--private-key", "new.pem", "--public-key", "public.pem"];
    let made = setup.btdt(&arguments);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    setup.unset("BTDT_AUTH_PRIVATE_KEY");
    setup.set("BTDT_AUTH_PUBLIC_KEYS", "/data/public.pem");
    fs::rename(setup.path("new.pem"), setup.path("key.pem")).unwrap();
    setup.make_token("new", &[]);
    let server = setup.start();
    let target = "/api/caches/default?key=k";
    for (token, expected) in [("new", 204), ("token", 401)] {
        let bearer = setup.bearer(token);
        let answer = server.ask("GET", target, &[("authorization", &bearer)], b"");
        assert_eq!(answer.status, expected, "{token}");
    }
}

#[test]
fn revoked_tokens_are_refused() {
    let mut setup = Setup::new();
    let shown = setup.btdt(&["token", "inspect", "--token-file", "token"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let id = shown.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 128);
    fs::write(setup.path("revoked"), format!("{}\n", id.unwrap())).unwrap();
    setup.set("BTDT_AUTH_REVOCATION_LIST", "/data/revoked");
    let server = setup.start();
    let bearer = setup.bearer("token");
    let answer = server.ask("GET", "/api/caches/default?key=k", &[("authorization", &bearer)], b"");
    assert_eq!(answer.status, 401, "{}", answer.text());
}

#[test]
fn what_means_nothing_is_said() {
    let mut setup = Setup::new();
    setup.set("BTDT_BIND_ADDRS", "0.0.0.0:8707");
    setup.set("BTDT_IMAGE", "x");
    let server = setup.start();
    assert_eq!(server.ask("GET", "/api/health", &[], b"").status, 200);
    let said = server.end();
    let lines: Vec<&str> = said.lines().collect();
    let [unknown, ignored] = lines[..] else { panic!("{said}") };
    assert_eq!(unknown, "Warning: The variable BTDT_IMAGE means nothing to the server");
    assert!(ignored.starts_with("Warning: This runtime "), "{said}");
    assert!(ignored.ends_with(": BTDT_BIND_ADDRS"), "{said}");
}
