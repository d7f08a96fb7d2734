//! Downloads that break off or are altered, on the way or on the disk of the server.

use crate::support::{Counted, Harm, Proxy, Raw, Server, Setup, Way, same_files, until};
use std::fs;
use std::process::Output;

fn setup() -> (Setup, Server) {
    let setup = Setup::new("");
    let server = setup.start();
    setup.random_tree("tree", 3, 300_000);
    store(&setup, &server, "k", "tree");
    (setup, server)
}

fn store(setup: &Setup, server: &Server, keys: &str, tree: &str) {
    let cache = server.cache("default");
    let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", keys, tree]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
}

fn restore(setup: &Setup, cache: &str, keys: &str) -> Output {
    let _ = fs::remove_dir_all(setup.path("again"));
    setup.btdt(&["restore", "-c", cache, "-a", "token", "-k", keys, "again"])
}

fn is_restored(setup: &Setup) -> bool {
    same_files(&setup.path("tree"), &setup.path("again"))
}

/// Puts one wrong bit into a chunk of the only entry.
fn damage(setup: &Setup) {
    let chunk = setup.path("cache").join(&setup.chunk_files()[0]);
    let mut bytes = fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&chunk, bytes).unwrap();
}

#[test]
fn harm_on_the_way_is_noticed() {
    let (setup, server) = setup();
    let mut healed = 0;
    let places = (0..1200).step_by(97).chain([2_000, 100_000, 400_000, 899_000]);
    for at in places {
        for harm in [Harm::Cut, Harm::Flip] {
            let proxy = Proxy::start(&server, Way::Down, Counted::Together, at, harm);
            let restored = restore(&setup, &proxy.cache("default"), "k");
            match restored.status.code() {
                Some(0) => {
                    assert!(is_restored(&setup), "{harm:?} at {at}: {restored:?}");
                    healed += 1;
                }
                code => assert!(matches!(code, Some(1 | 4)), "{harm:?} at {at}: {restored:?}"),
            }
        }
    }
    assert!(healed > 0, "nothing was ever tried again");
}

#[test]
fn harm_that_comes_again_and_again_ends_without_success() {
    let (setup, server) = setup();
    for harm in [Harm::Cut, Harm::Flip] {
        let proxy = Proxy::start(&server, Way::Down, Counted::Each, 1000, harm);
        let restored = restore(&setup, &proxy.cache("default"), "k");
        let code = restored.status.code();
        assert!(code == Some(1) || code == Some(4) || is_restored(&setup), "{harm:?} {restored:?}");
    }
}

#[test]
fn a_chunk_that_is_damaged_on_the_server_is_dropped_and_replaced() {
    let (setup, server) = setup();
    let cache = server.cache("default");
    damage(&setup);
    let restored = restore(&setup, &cache, "k");
    assert_eq!(restored.status.code(), Some(4), "{restored:?}");
    let said = String::from_utf8_lossy(&restored.stderr).to_lowercase();
    assert!(said.contains("warning"), "{said}");
    store(&setup, &server, "k", "tree");
    let restored = restore(&setup, &cache, "k");
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert!(is_restored(&setup));
    fs::create_dir(setup.path("other")).unwrap();
    fs::write(setup.path("other/file"), "other").unwrap();
    damage(&setup);
    store(&setup, &server, "other", "other");
    let restored = restore(&setup, &cache, "k,other");
    assert_eq!(restored.status.code(), Some(3), "{restored:?}");
    assert!(same_files(&setup.path("other"), &setup.path("again")));
}

#[test]
fn an_archive_with_a_damaged_chunk_is_cut_and_missing_from_then_on() {
    for encoding in ["identity", "gzip", "zstd"] {
        let (setup, server) = setup();
        damage(&setup);
        // A token that is limited to this key has to do.
        let limits = btdt_host_runtime::auth::Restrictions {
            key_prefixes: vec!["k".to_owned()],
            ..Default::default()
        };
        let bearer = format!("Bearer {}", setup.issue(&limits));
        let headers = [("authorization", bearer.as_str()), ("accept-encoding", encoding)];
        let get = || {
            let mut raw = Raw::connect(server.address());
            raw.request("GET", "/api/caches/default?key=k", &headers, b"")
        };
        let cut = get();
        assert!(cut.is_err(), "{encoding}: {:?}", cut.map(|answer| answer.status));
        assert_eq!(get().unwrap().status, 204, "{encoding}");
        until(|| server.running() == 0);
        assert_eq!(server.metric("btdt_lookups_total", &["miss"]), 1);
        store(&setup, &server, "k", "tree");
        assert_eq!(get().unwrap().status, 200, "{encoding}");
    }
}
