//! The native client against the component, and the native command line on its cache.

use crate::support::{Server, Setup};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const KEY: [&str; 2] = ["-k", "key"];

fn same(setup: &Setup, restored: &str) {
    let digest = |tree: &str| {
        let hashed = setup.btdt(&["hash", tree]);
        assert_eq!(hashed.status.code(), Some(0), "{hashed:?}");
        hashed.stdout
    };
    assert_eq!(digest("tree"), digest(restored));
}

/// Puts the tree into the cache `default`.
fn store(setup: &Setup, server: &Server) {
    setup.client(&server.cache("default"), &["store", KEY[0], KEY[1], "tree"], 0);
}

#[test]
fn a_tree_goes_to_the_server_and_comes_back() {
    let setup = Setup::new();
    let server = setup.start();
    let cache = server.cache("default");
    setup.client(&cache, &["restore", "-k", "key", "restored"], 4);
    store(&setup, &server);
    let chunks = setup.files_in("chunks/");
    assert!(!chunks.is_empty());
    // A second time nothing new is there.
    setup.client(&cache, &["store", "-k", "key,other", "tree"], 0);
    assert_eq!(setup.files_in("chunks/"), chunks);
    let said = setup.client(&cache, &["restore", "-k", "key", "restored"], 0);
    assert!(said.starts_with("Restored key key\n"), "{said}");
    same(&setup, "restored");
    setup.client(&cache, &["restore", "-k", "missing,other", "restored"], 3);
    let listed = setup.client(&cache, &["list"], 0);
    assert!(listed.contains("key") && listed.contains("other"), "{listed}");
    let inspected = setup.client(&cache, &["inspect", "key"], 0);
    assert!(inspected.contains("key"), "{inspected}");
    setup.client(&cache, &["delete", "-k", "key"], 0);
    setup.client(&cache, &["restore", "-k", "key", "again"], 4);
    assert_eq!(server.end(), "");
}

#[test]
fn native_programs_share_its_cache() {
    let setup = Setup::new();
    let server = setup.start();
    store(&setup, &server);
    let verified = setup.btdt(&["verify", "-c", "cache"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let restored = setup.btdt(&["restore", "-c", "cache", "-k", "key", "restored"]);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    same(&setup, "restored");
    let stored = setup.btdt(&["store", "-c", "cache", "-k", "local", "tree"]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    setup.client(&server.cache("default"), &["restore", "-k", "local", "other"], 0);
    same(&setup, "other");
}

#[test]
fn tokens_allow_what_they_say() {
    let setup = Setup::new();
    setup.make_token("reader", &["--operation", "get"]);
    let server = setup.start();
    store(&setup, &server);
    let cache = server.cache("default");
    let with = |token: &str, arguments: &[&str]| {
        let (command, rest) = arguments.split_first().unwrap();
        setup.btdt(&[&[*command, "-c", &cache, "-a", token], rest].concat())
    };
    let restored = with("reader", &["restore", "-k", "key", "restored"]);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    let refused = with("reader", &["store", "-k", "key", "tree"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("403"), "{refused:?}");
}

#[test]
fn a_damaged_entry_is_a_miss_and_leaves_nothing() {
    let setup = Setup::new();
    let server = setup.start();
    store(&setup, &server);
    let chunks = setup.files_in("chunks/");
    for chunk in &chunks {
        let path = setup.path("cache").join(chunk);
        let mut stored = fs::read(&path).unwrap();
        *stored.last_mut().unwrap() ^= 1;
        fs::write(path, stored).unwrap();
    }
    let said = setup.client(&server.cache("default"), &["restore", "-k", "key", "restored"], 4);
    assert!(said.contains("Warning"), "{said}");
    assert!(!setup.path("restored").exists());
}

#[test]
fn a_store_under_wasi_keeps_the_permission_bits_of_the_entry_on_the_server() {
    let setup = Setup::new();
    setup.make_token("writer", &["--operation", "put"]);
    let mode = |path: &str| fs::metadata(setup.path(path)).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(setup.path("tree/file"), fs::Permissions::from_mode(0o750)).unwrap();
    let server = setup.start();
    let cache = server.cache("default");
    store(&setup, &server);
    let under_wasi = |keys: &str, token: &str| {
        let stored = setup.wasi_btdt(&["store", "-c", &cache, "-a", token, "-k", keys, "tree"]);
        let said = String::from_utf8_lossy(&stored.stderr).into_owned();
        assert_eq!(stored.status.code(), Some(0), "{said}");
        said
    };
    let said = under_wasi("new,key", "token");
    assert!(!said.contains("not taken over"), "{said}");
    for key in ["new", "key"] {
        setup.client(&cache, &["restore", "-k", key, key], 0);
        assert_eq!(mode(&format!("{key}/file")), 0o750, "{key}");
    }
    // Who may not read cannot take anything over, and is told.
    let said = under_wasi("key", "writer");
    assert!(said.contains("those of the entry of key key are not taken over"), "{said}");
    setup.client(&cache, &["restore", "-k", "key", "unread"], 0);
    assert_ne!(mode("unread/file"), 0o750);
}
