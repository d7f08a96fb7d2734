//! Uploads that break off: nothing of them can be seen, and nothing of them stays.

use crate::support::{Counted, Harm, Proxy, Raw, Server, Setup, Way, chunked, until};
use std::fs;

const MANIFEST_TYPE: &str = "application/vnd.btdt.manifest+cbor";

/// A small entry in all its forms.
struct Forms {
    tar: Vec<u8>,
    manifest: Vec<u8>,
    digest: String,
    chunk: Vec<u8>,
}

impl Forms {
    fn new() -> Self {
        let setup = Setup::new("");
        let server = setup.start();
        fs::create_dir(setup.path("tree")).unwrap();
        fs::write(setup.path("tree/a"), "content").unwrap();
        let stored = setup.btdt(&[
            "store",
            "-c",
            &server.cache("default"),
            "-a",
            "token",
            "-k",
            "k",
            "tree",
        ]);
        assert_eq!(stored.status.code(), Some(0), "{stored:?}");
        let get = |accept: &str| {
            let bearer = setup.bearer();
            let headers = [("authorization", bearer.as_str()), ("accept", accept)];
            let mut raw = Raw::connect(server.address());
            let answer = raw.request("GET", "/api/caches/default?key=k", &headers, b"").unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.body
        };
        let chunks = setup.chunk_files();
        let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
        Forms {
            tar: get("application/x-tar"),
            manifest: get(MANIFEST_TYPE),
            digest: chunk.rsplit('/').next().unwrap().to_owned(),
            chunk: fs::read(setup.path("cache").join(chunk)).unwrap(),
        }
    }
}

/// Uploads every part of `body` that is not all of it, and makes sure that nothing is there.
fn upload_parts(setup: &Setup, server: &Server, target: &str, content_type: &str, body: &[u8]) {
    let bearer = setup.bearer();
    let before = setup.chunk_files();
    let by_length = (format!("content-length: {}", body.len()), body.to_vec());
    let by_chunks = ("transfer-encoding: chunked".to_owned(), chunked(body, 100));
    for (length, encoded) in [by_length, by_chunks] {
        for end in 0..encoded.len() {
            let mut raw = Raw::connect(server.address());
            let head = format!(
                "PUT {target} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\ncontent-type: \
                 {content_type}\r\n{length}\r\n\r\n"
            );
            raw.send(&[head.as_bytes(), &encoded[..end]].concat()).unwrap();
            // Every other one goes without a word.
            let said = if end % 2 == 0 { raw.hang_up().unwrap() } else { Vec::new() };
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(!said.contains("HTTP/1.1 2"), "{target} {length} {end} {said}");
        }
    }
    until(|| server.running() == 0);
    let keys = fs::read_dir(setup.path("cache/keys")).map_or(0, Iterator::count);
    assert_eq!(keys, 0, "{target}: there is an entry");
    if target.contains("/chunks/") {
        assert_eq!(setup.chunk_files(), before, "there is a chunk");
    }
}

/// Cleans what no process uses any more, as if a long time had passed.
fn clean(setup: &Setup) {
    for _ in 0..2 {
        let cleaned = setup.btdt(&["clean", "-c", "cache", "--grace-period", "0s"]);
        assert_eq!(cleaned.status.code(), Some(0), "{cleaned:?}");
    }
}

#[test]
fn uploads_that_break_off_anywhere_leave_nothing() {
    let forms = Forms::new();
    let chunk = format!("/api/caches/default/chunks/{}", forms.digest);
    let entry = "/api/caches/default?key=k";
    let setup = Setup::new("");
    {
        let server = setup.start();
        let fresh = setup.cache_files();
        upload_parts(&setup, &server, &chunk, "application/octet-stream", &forms.chunk);
        assert_eq!(setup.cache_files(), fresh);
        upload_parts(&setup, &server, entry, "application/x-tar", &forms.tar);
        let bearer = setup.bearer();
        let headers = [("authorization", bearer.as_str())];
        let mut raw = Raw::connect(server.address());
        // It may be there from an archive of which only the end was missing.
        let answer = raw.request("PUT", &chunk, &headers, &forms.chunk).unwrap();
        assert!([201, 204].contains(&answer.status), "{}", answer.text());
        upload_parts(&setup, &server, entry, MANIFEST_TYPE, &forms.manifest);
        // What was sent is what would have been taken.
        let headers = [("authorization", bearer.as_str()), ("content-type", MANIFEST_TYPE)];
        let answer = raw.request("PUT", "/api/caches/memory?key=k", &headers, &forms.manifest);
        assert_eq!(answer.unwrap().status, 409);
        assert_eq!(raw.request("PUT", entry, &headers, &forms.manifest).unwrap().status, 204);
        let answer = raw.request("DELETE", "/api/caches/default/entries/k", &headers, b"");
        assert_eq!(answer.unwrap().status, 204);
    }
    clean(&setup);
    let mut files = setup.cache_files();
    files.sort();
    assert_eq!(files, ["CACHEDIR.TAG", "format", "lock"]);
}

#[test]
fn an_interrupted_store_continues() {
    const FILES: usize = 24;
    let setup = Setup::new("");
    let server = setup.start();
    setup.random_tree("tree", FILES, 1 << 20);
    let proxy = Proxy::start(&server, Way::Up, Counted::Together, 12 << 20, Harm::Stall);
    let arguments = ["store", "-c", &proxy.cache("default"), "-a", "token", "-k", "k", "tree"];
    let mut store = setup.btdt_command(&arguments).spawn().unwrap();
    // Nothing else happens once the proxy has stalled.
    until(|| server.chunks_sent("201") >= 4);
    store.kill().unwrap();
    store.wait().unwrap();
    until(|| server.running() == 0);
    // One that arrived whole is kept, even if nobody was there any more to be told.
    let answered = server.chunks_sent("201");
    assert!(setup.chunk_files().len() as u64 >= answered);
    let cache = server.cache("default");
    let arguments = ["-c", &cache, "-a", "token", "-k", "k"];
    let stored = setup.btdt(&[&["store"], &arguments[..], &["tree"]].concat());
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    assert_eq!(server.chunks_sent("204"), 0, "something was sent twice");
    let (sent, all) = (server.chunks_sent("201") - answered, setup.chunk_files().len() as u64);
    assert!(0 < sent && sent + answered <= all, "{answered}, then {sent} of {all}");
    let restored = setup.btdt(&[&["restore"], &arguments[..], &["again"]].concat());
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert!(crate::support::same_files(&setup.path("tree"), &setup.path("again")));
}

#[test]
fn a_store_over_a_connection_that_breaks_is_complete_or_fails() {
    let setup = Setup::new("");
    let server = setup.start();
    setup.random_tree("tree", 4, 1 << 20);
    for (index, at) in [0, 1000, 500_000, 2_000_000, 4_000_000].into_iter().enumerate() {
        for (harm, key) in [(Harm::Cut, "cut"), (Harm::Flip, "flip")] {
            let key = format!("{key}-{index}");
            let proxy = Proxy::start(&server, Way::Up, Counted::Together, at, harm);
            let cache = proxy.cache("default");
            let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", &key, "tree"]);
            let directly = server.cache("default");
            let arguments = ["restore", "-c", &directly, "-a", "token", "-k", &key, &key];
            let restored = setup.btdt(&arguments);
            match stored.status.code() {
                Some(0) => {
                    // A key that was changed on its way is another key; all else is noticed.
                    if restored.status.code() == Some(0) {
                        let same =
                            crate::support::same_files(&setup.path("tree"), &setup.path(&key));
                        assert!(same, "{key}");
                    } else {
                        assert_eq!(harm, Harm::Flip, "{key}: {restored:?}");
                    }
                }
                code => {
                    assert_eq!(code, Some(1), "{key}: {stored:?}");
                    assert_eq!(restored.status.code(), Some(4), "{key}: {restored:?}");
                }
            }
        }
    }
}
