//! `GET` and `HEAD` of entries: which entry, in which form, and what happens to damaged ones.

use crate::support::{Server, bytes, call, header, lookup, tree};
use btdt_core::http_api::{Body, Encoding, Lookup};
use btdt_core::manifest;
use btdt_core::protocol::MANIFEST_TYPE;
use btdt_host_runtime::codec::Codec;
use btdt_ports::{Digest, ObjectKind, Objects, Records, SweepId, Timestamp};
use btdt_test_support::memory_tree::MemoryTree;

const ZSTD: (&str, &str) = ("accept-encoding", "zstd");

#[test]
fn the_first_key_wins_then_the_newest_of_each_prefix() {
    let server = Server::new();
    for key in ["a/1", "a/3", "a/2", "b"] {
        server.store_file(key, key.as_bytes());
    }
    let get = |query: &str| {
        let reply = server.expect(200, &call("GET", &format!("/api/caches/main?{query}")));
        assert_eq!(lookup(&reply), Some(Lookup::Hit));
        assert_eq!(reply.cache.as_deref(), Some("main"));
        let key = header(&reply, "btdt-cache-key").unwrap().to_owned();
        assert_eq!(server.archive(&reply)[1].1, key.as_bytes());
        key
    };
    assert_eq!(get("key=x&key=b&key=a/1"), "b");
    assert_eq!(get("key=x&prefix=a%2F"), "a/2");
    assert_eq!(get("prefix=x&prefix=a"), "a/2");
    assert_eq!(get("prefix="), "b");
    assert_eq!(get("key=b&key=a/1&prefix=a&not=b"), "a/1", "a client has tried it already");
    assert_eq!(get("prefix=a&not=a/2"), "a/3");
    let reply = server.expect(204, &call("GET", "/api/caches/main?key=x&key=&prefix=y"));
    assert_eq!(lookup(&reply), Some(Lookup::Miss));
    assert!(bytes(&reply).is_empty());
    for query in ["", "?", "?key=", "?other=1"] {
        server.expect(400, &call("GET", &format!("/api/caches/main{query}")));
    }
}

#[test]
fn the_form_follows_accept() {
    let server = Server::new();
    server.store_file("k", b"content");
    let manifest = MANIFEST_TYPE;
    let weighted = format!("{manifest};q=0.5, application/x-tar;q=0.6");
    let other = format!("application/x-tar; q=0.5 , {}", manifest.to_uppercase());
    let zero = format!("{manifest};q=0, */*;q=0.1");
    for (accept, expected) in [
        (None, "application/x-tar"),
        (Some(""), "application/x-tar"),
        (Some("*/*"), "application/x-tar"),
        (Some("text/html, */*;q=0.8"), "application/x-tar"),
        (Some("application/*"), "application/x-tar"),
        (Some("application/octet-stream"), "application/octet-stream"),
        (Some(manifest), manifest),
        (Some(&weighted), "application/x-tar"),
        (Some(&other), manifest),
        (Some(&zero), "application/x-tar"),
    ] {
        for method in ["GET", "HEAD"] {
            let mut call = call(method, "/api/caches/main?key=k");
            if let Some(accept) = accept {
                call = call.header("accept", accept);
            }
            let reply = server.expect(200, &call);
            assert_eq!(header(&reply, "content-type"), Some(expected), "{accept:?}");
        }
    }
    for accept in ["text/html", "application/json, image/*", "*/*;q=0", "application/x-tar;q=0"] {
        server.expect(406, &call("GET", "/api/caches/main?key=k").header("accept", accept));
        server.expect(406, &call("HEAD", "/api/caches/main?key=k").header("accept", accept));
    }
}

#[test]
fn an_archive_is_compressed_only_if_that_is_asked_for() {
    use Encoding::{Gzip, Identity, Zstd};
    let server = Server::new();
    server.store_file("k", b"content");
    for (accepted, expected) in [
        (None, Some(Identity)),
        (Some(""), Some(Identity)),
        (Some("*"), Some(Identity)),
        (Some("br, deflate"), Some(Identity)),
        (Some("gzip"), Some(Gzip)),
        (Some("deflate, gzip, br, zstd"), Some(Zstd)),
        (Some("GZIP;q=1.0, zstd;q=0.9"), Some(Gzip)),
        (Some("identity, gzip;q=0.5"), Some(Identity)),
        (Some("gzip;q=0"), Some(Identity)),
        (Some("gzip;q=0.001"), None),
        (Some("identity;q=0, zstd;q=0.1"), Some(Zstd)),
        (Some("gzip;q=nonsense, zstd;q=2"), Some(Identity)),
    ] {
        let mut call = call("GET", "/api/caches/main?key=k");
        if let Some(accepted) = accepted {
            call = call.header("accept-encoding", accepted);
        }
        let reply = server.expect(200, &call);
        let Body::Archive { encoding, .. } = reply.body else { panic!("no archive") };
        let named = header(&reply, "content-encoding");
        assert_eq!(named.is_none(), encoding == Identity);
        if let Some(expected) = expected {
            assert_eq!(encoding, expected, "{accepted:?}");
        }
    }
    for accepted in ["identity;q=0", "*;q=0", "br, *;q=0"] {
        server.expect(
            406,
            &call("GET", "/api/caches/main?key=k").header("accept-encoding", accepted),
        );
    }
}

#[test]
fn a_manifest_is_sent_as_it_is_stored_if_the_client_can_take_that() {
    let server = Server::new();
    let directory = MemoryTree::new();
    directory.insert_directory(b"", 0o755, Timestamp::default()).unwrap();
    for index in 0..100 {
        let name = format!("some-long-name-{index}");
        directory.insert_file(name.as_bytes(), b"x", 0o644, Timestamp::default()).unwrap();
    }
    let digest = server.store(&["k"], &directory);
    let raw = Objects::get(server.storage(), ObjectKind::Manifest, digest, u64::MAX).unwrap();
    let get = call("GET", "/api/caches/main?key=k").header("accept", MANIFEST_TYPE);
    let plain = server.expect(200, &get);
    assert_eq!(header(&plain, "content-encoding"), None);
    assert_eq!(bytes(&plain), raw);
    let packed = server.expect(200, &get.clone().header(ZSTD.0, ZSTD.1));
    assert_eq!(header(&packed, "content-encoding"), Some("zstd"));
    assert!(matches!(packed.body, Body::Stored { offset: 16, .. }));
    assert!(bytes(&packed).len() < raw.len());
    server.expect(406, &get.header("accept-encoding", "identity;q=0"));
    assert!(manifest::decode(&raw).is_ok());
}

#[test]
fn keys_that_no_header_can_carry_are_encoded_and_marked() {
    let server = Server::new();
    for (key, query, sent, encoding) in [
        ("a b%41", "a+b%2541", "a b%41", None),
        ("é%", "%C3%A9%25", "%C3%A9%25", Some("percent")),
        (" a ", "+a+", "%20a%20", Some("percent")),
    ] {
        server.store_file(key, b"content");
        for accept in ["*/*", MANIFEST_TYPE] {
            let get =
                call("GET", &format!("/api/caches/main?key={query}")).header("accept", accept);
            let reply = server.expect(200, &get);
            assert_eq!(header(&reply, "btdt-cache-key"), Some(sent));
            assert_eq!(header(&reply, "btdt-cache-key-encoding"), encoding);
        }
    }
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let server = Server::new();
    server.store_file("k", b"one");
    let get = call("GET", "/api/caches/main?key=k");
    let tag = header(&server.expect(200, &get), "etag").unwrap().to_owned();
    for value in [tag.clone(), tag.replace("W/", ""), format!("\"x\", {tag}"), "*".to_owned()] {
        let reply = server.expect(304, &get.clone().header("if-none-match", &value));
        assert_eq!(header(&reply, "etag"), Some(&*tag));
        assert_eq!(header(&reply, "btdt-cache-key"), Some("k"));
        assert!(bytes(&reply).is_empty());
    }
    let as_manifest = get.clone().header("accept", MANIFEST_TYPE);
    server.expect(200, &as_manifest.header("if-none-match", &tag));
    server.store_file("k", b"two");
    server.expect(200, &get.header("if-none-match", &tag));
}

#[test]
fn getting_an_entry_counts_as_use_and_asking_does_not() {
    let server = Server::new();
    server.store_file("k", b"content");
    let last_access = || {
        let record = Records::get(server.storage(), &["k".to_owned()]).remove(0);
        record.unwrap().unwrap().last_access.seconds
    };
    let stored = last_access();
    server.pass(100);
    let reply = server.expect(200, &call("HEAD", "/api/caches/main?key=k"));
    assert_eq!(lookup(&reply), None);
    assert!(matches!(&reply.body, Body::Archive { plan, .. } if plan.batches.is_empty()));
    assert_eq!(last_access(), stored);
    server.expect(200, &call("GET", "/api/caches/main?key=k"));
    assert_eq!(last_access(), stored + 100);
}

#[test]
fn an_entry_that_cannot_be_used_is_passed_over() {
    let (chunk, kind) = (ObjectKind::Chunk, ObjectKind::Manifest);
    for accept in ["*/*", MANIFEST_TYPE] {
        let server = Server::new();
        let bad = server.store_file("bad", b"bad");
        server.store_file("good", b"good");
        let get = |server: &Server| {
            let call = call("GET", "/api/caches/main?key=bad&key=good").header("accept", accept);
            let reply = server.expect(200, &call.header(ZSTD.0, ZSTD.1));
            (header(&reply, "btdt-cache-key").unwrap().to_owned(), server.warnings())
        };
        assert_eq!(get(&server), ("bad".to_owned(), vec![]));
        let mut stored = server.storage().stored(kind, bad).unwrap().to_vec();
        *stored.last_mut().unwrap() ^= 1;
        server.storage().replace_stored(kind, bad, &stored);
        let (key, warnings) = get(&server);
        assert_eq!(key, "good");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("key bad"));
        assert!(server.storage().stored(kind, bad).is_none(), "the damaged one is taken away");
        server.expect(204, &call("GET", "/api/caches/main?key=bad").header("accept", accept));
        Records::put(server.storage(), "bad", b"nonsense").unwrap();
        server.warnings();
        assert_eq!(get(&server).0, "good");
    }
    // To stream a tree, all its chunks have to exist.
    let server = Server::new();
    server.store_file("bad", b"bad");
    server.store_file("good", b"good");
    let digest = btdt_core::digest::sha256(b"bad");
    let sweep = SweepId::new(Timestamp::default(), 0);
    server.storage().set_aside(chunk, &[digest], &sweep).unwrap();
    let get = call("GET", "/api/caches/main?key=bad&key=good");
    assert_eq!(header(&server.expect(200, &get), "btdt-cache-key"), Some("bad"), "set aside");
    server.storage().discard(&server.storage().list_aside().unwrap()).unwrap();
    assert_eq!(header(&server.expect(200, &get), "btdt-cache-key"), Some("good"));
    assert!(server.warnings()[0].contains("missing"));
}

#[test]
fn a_manifest_that_was_set_aside_is_still_sent() {
    let server = Server::new();
    let digest = server.store_file("k", b"content");
    let sweep = SweepId::new(Timestamp::default(), 0);
    server.storage().set_aside(ObjectKind::Manifest, &[digest], &sweep).unwrap();
    for accept in ["*/*", MANIFEST_TYPE] {
        server.expect(200, &call("GET", "/api/caches/main?key=k").header("accept", accept));
    }
}

#[test]
fn a_single_file_is_named_after_its_key() {
    let server = Server::new();
    for (key, name) in [("a/b/lib.so", "./lib.so"), ("a/..", "./content"), ("a/", "./content")] {
        let root = MemoryTree::new();
        root.insert_file(b"", b"content", 0o600, Timestamp::default()).unwrap();
        server.store(&[key], &root);
        let reply = server.expect(200, &call("GET", &format!("/api/caches/main?key={key}")));
        let members = server.archive(&reply);
        assert_eq!(members.len(), 2);
        assert_eq!(members[1].0.path, name.as_bytes());
        assert_eq!(members[1].0.mode, 0o600);
        assert_eq!(members[1].1, b"content");
    }
}

#[test]
fn a_tree_of_many_batches_arrives_whole() {
    let server = Server::new();
    let directory = tree(b"first");
    for index in 0..9000_u32 {
        let name = format!("f{index:05}");
        let content = format!("{index}").repeat(index as usize % 200);
        directory
            .insert_file(name.as_bytes(), content.as_bytes(), 0o644, Timestamp::default())
            .unwrap();
    }
    server.store(&["k"], &directory);
    let reply = server.expect(200, &call("GET", "/api/caches/main?key=k"));
    let Body::Archive { plan, .. } = &reply.body else { panic!("no archive") };
    assert_eq!(plan.batches.len(), 3);
    let members = server.archive(&reply);
    assert_eq!(members.len(), 9002);
    assert_eq!(members[9000].1, "8999".repeat(8999 % 200).into_bytes());
}

#[test]
fn what_is_stored_without_compression_is_sent_as_it_is() {
    let server = Server::new();
    let raw = manifest::encode(&{
        let mut builder = manifest::Builder::new();
        let content = manifest::Content::Directory;
        let modified = Timestamp::default();
        builder
            .add(manifest::Node { parent: 0, name: b"", mode: None, modified, content })
            .unwrap();
        builder.finish().unwrap()
    })
    .unwrap();
    let digest: Digest = btdt_core::digest::sha256(&raw);
    let put = call("PUT", "/api/caches/main?key=k").header("content-type", MANIFEST_TYPE);
    server.expect(204, &put.bytes(raw.clone()));
    // The form that is never larger than content and header.
    let mut stored = Codec::new().encode(&raw).unwrap()[..16].to_vec();
    stored[5] = 0;
    stored[12..16].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    stored.extend_from_slice(&raw);
    server.storage().replace_stored(ObjectKind::Manifest, digest, &stored);
    let get = call("GET", "/api/caches/main?key=k").header("accept", MANIFEST_TYPE);
    let reply = server.expect(200, &get.header(ZSTD.0, ZSTD.1));
    assert_eq!(header(&reply, "content-encoding"), None);
    assert!(matches!(reply.body, Body::Stored { .. }));
    assert_eq!(bytes(&reply), raw);
}
