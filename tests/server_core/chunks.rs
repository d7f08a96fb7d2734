//! Single chunks, and asking which are missing.

use crate::support::{Call, Server, bytes, call, chunk, header, text};
use btdt_core::http_api::{Body, MAX_DIGESTS};
use btdt_ports::{Digest, IoErrorKind, ObjectKind, Objects, SweepId, Timestamp};

const CHUNK: ObjectKind = ObjectKind::Chunk;

fn url(digest: Digest) -> String {
    format!("/api/caches/main/chunks/{}", digest.to_hex())
}

fn missing(body: &str) -> Call {
    call("POST", "/api/caches/main/chunks/missing?key=k").bytes(body)
}

#[test]
fn a_chunk_comes_back_in_its_stored_form() {
    let server = Server::new();
    let (digest, stored) = chunk(&b"content ".repeat(100));
    server.expect(404, &call("GET", &url(digest)));
    server.expect(201, &call("PUT", &url(digest)).bytes(stored.clone()));
    server.expect(204, &call("PUT", &url(digest)).bytes(stored.clone()));
    for method in ["GET", "HEAD"] {
        let reply = server.expect(200, &call(method, &url(digest)));
        assert_eq!(bytes(&reply), stored, "the host knows the length by it");
        assert_eq!(header(&reply, "accept-ranges"), Some("bytes"));
        assert!(header(&reply, "cache-control").unwrap().contains("immutable"));
        let tag = header(&reply, "etag").unwrap();
        let reply = server.expect(304, &call(method, &url(digest)).header("if-none-match", tag));
        assert!(bytes(&reply).is_empty());
    }
}

#[test]
fn ranges() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    server.expect(201, &call("PUT", &url(digest)).bytes(stored.clone()));
    let size = stored.len();
    let get = |range: &str| server.send(&call("GET", &url(digest)).header("range", range));
    let max = u64::MAX;
    for (range, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=3-5".to_owned(), 3, 5),
        ("bytes=3-".to_owned(), 3, size - 1),
        ("bytes=-4".to_owned(), size - 4, size - 1),
        (format!("bytes=-{max}0"), 0, size - 1),
        (format!("bytes=1-{max}9"), 1, size - 1),
        ("BYTES=0-1".to_owned(), 0, 1),
        ("Bytes=-1".to_owned(), size - 1, size - 1),
    ] {
        let reply = get(&range);
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(bytes(&reply), stored[first..=last], "{range}");
        assert_eq!(header(&reply, "content-range"), Some(&*format!("bytes {first}-{last}/{size}")));
    }
    for range in [format!("bytes={size}-"), format!("bytes={max}7-{max}8"), "bytes=-0".to_owned()] {
        let reply = get(&range);
        assert_eq!(reply.status, 416, "{range}");
        assert_eq!(header(&reply, "content-range"), Some(&*format!("bytes */{size}")));
    }
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-3",
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=a-",
        "bytes=1-b",
        "bytes=+1-2",
        "bytes=é-",
        "bytes =0-1",
    ] {
        let reply = get(range);
        assert_eq!((reply.status, bytes(&reply).len()), (200, size), "{range}");
    }
    server.expect(200, &call("HEAD", &url(digest)).header("range", "bytes=0-0"));
}

#[test]
fn a_range_on_a_condition_is_ignored_because_none_can_hold() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    server.expect(201, &call("PUT", &url(digest)).bytes(stored.clone()));
    let get = call("GET", &url(digest)).header("range", "bytes=0-1");
    let reply = server.expect(206, &get);
    let weak = header(&reply, "etag").unwrap().to_owned();
    let strong = weak.strip_prefix("W/").unwrap();
    for condition in [&weak, strong, "\"other\"", "", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let reply = server.expect(200, &get.clone().header("if-range", condition));
        assert_eq!(bytes(&reply), stored, "{condition}");
        // Nor can such a range be unsatisfiable.
        let far = call("GET", &url(digest)).header("range", "bytes=999-");
        server.expect(200, &far.header("if-range", condition));
    }
}

#[test]
fn a_chunk_that_is_asked_to_be_verified_is_sent_only_if_it_is_intact() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    server.expect(201, &call("PUT", &url(digest)).bytes(stored.clone()));
    let verified = call("GET", &format!("{}?verify=true&key=k", url(digest)));
    server.expect(200, &verified);
    let mut damaged = stored.clone();
    *damaged.last_mut().unwrap() ^= 1;
    server.storage().replace_stored(CHUNK, digest, &damaged);
    assert_eq!(bytes(&server.expect(200, &call("GET", &url(digest)))), damaged);
    server.expect(404, &verified);
    server.expect(404, &call("GET", &url(digest)));
    server.expect(201, &call("PUT", &url(digest)).bytes(stored));
    let sweep = SweepId::new(Timestamp::default(), 0);
    server.storage().set_aside(CHUNK, &[digest], &sweep).unwrap();
    server.expect(200, &verified);
    // An invalid header is detected even without `verify`.
    server.storage().replace_stored(CHUNK, digest, b"nonsense that is long enough");
    server.expect(404, &call("GET", &url(digest)));
    assert!(server.storage().stored(CHUNK, digest).is_none());
}

#[test]
fn a_chunk_that_is_reported_goes_only_if_it_is_damaged() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    server.expect(201, &call("PUT", &url(digest)).bytes(stored.clone()));
    server.report_damage("main", digest);
    assert!(server.storage().stored(CHUNK, digest).is_some(), "it is intact");
    let mut damaged = stored;
    *damaged.last_mut().unwrap() ^= 1;
    server.storage().replace_stored(CHUNK, digest, &damaged);
    server.report_damage("other", digest);
    assert!(server.storage().stored(CHUNK, digest).is_some(), "it is in another cache");
    server.report_damage("main", digest);
    assert!(server.storage().stored(CHUNK, digest).is_none());
    server.report_damage("main", digest);
}

#[test]
fn what_is_no_chunk_is_refused() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    let (_, other) = chunk(b"other");
    let put = call("PUT", &url(digest));
    for body in [other, stored[..stored.len() - 1].to_vec(), vec![], b"nonsense".repeat(10)] {
        server.expect(422, &put.clone().bytes(body));
    }
    server.expect(413, &put.clone().bytes(vec![0; (4 << 20) + (1 << 16)]));
    let (large, form) = chunk(&vec![0; (4 << 20) + 1]);
    server.expect(413, &call("PUT", &url(large)).bytes(form));
    server.expect(413, &put.clone().header("content-length", "4300000").bytes(stored.clone()));
    server.expect(415, &put.clone().header("content-encoding", "gzip").bytes(stored.clone()));
    for name in ["0", "missing2", &"G".repeat(64), &digest.to_hex().to_uppercase()] {
        for method in ["GET", "HEAD", "PUT"] {
            server.expect(400, &call(method, &format!("/api/caches/main/chunks/{name}")));
        }
    }
    server.expect(404, &call("GET", &url(digest)));
    let identity = put.header("content-encoding", "identity").header("content-length", "10");
    server.expect(201, &identity.bytes(stored));
}

#[test]
fn a_chunk_is_read_with_any_of_the_keys() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    server.expect(201, &call("PUT", &url(digest)).bytes(stored));
    let get =
        |query: &str| server.send(&call("GET", &(url(digest) + query)).token("key=ci/")).status;
    assert_eq!(get("?key=other&key=ci/1"), 200);
    assert_eq!(get("?key=other"), 403);
    assert_eq!(get(""), 403);
    assert_eq!(get("?key=a,b"), 400);
}

#[test]
fn missing_chunks_are_named_and_the_others_touched() {
    let server = Server::new();
    let present: Vec<Digest> = (0..3_u8)
        .map(|index| {
            let (digest, stored) = chunk(&[index; 100]);
            server.expect(201, &call("PUT", &url(digest)).bytes(stored));
            digest
        })
        .collect();
    let (absent, _) = chunk(b"absent");
    let sweep = SweepId::new(Timestamp::default(), 0);
    server.storage().set_aside(CHUNK, &present[2..], &sweep).unwrap();
    server.pass(100);
    let ask = |digests: &[Digest]| {
        let lines: Vec<String> = digests.iter().map(Digest::to_hex).collect();
        text(&server.expect(200, &missing(&lines.join("\r\n"))))
    };
    assert_eq!(ask(&[]), "");
    assert_eq!(ask(&present[..1]), "");
    assert_eq!(ask(&[present[1], absent, present[2]]), format!("{}\n", absent.to_hex()));
    for digest in present {
        let listed = Objects::list(server.storage(), CHUNK, digest.to_bytes()[0]).unwrap();
        let object = listed.into_iter().find(|object| object.digest == digest);
        assert_eq!(object.expect("brought back").modified.seconds, 1_000_100);
    }
}

#[test]
fn digests_have_to_be_digests() {
    let server = Server::new();
    let hex = "0".repeat(64);
    let reply = server.expect(400, &missing(&format!("{hex}\n\n{hex}x\n{hex}")));
    assert!(text(&reply).contains("Line 3"), "{}", text(&reply));
    for body in [" ", "é", &hex[1..], &"A".repeat(64), &format!("{hex} {hex}")] {
        server.expect(400, &missing(body));
    }
    let most = format!("{hex}\n").repeat(MAX_DIGESTS);
    server.expect(200, &missing(&most));
    server.expect(413, &missing(&(most + &hex)));
    server.expect(413, &missing("").header("content-length", "6600001"));
    server.expect(415, &missing("").header("content-type", "application/json"));
    server.expect(415, &missing("").header("content-encoding", "br"));
    server.expect(200, &missing("").header("content-type", "text/plain; charset=utf-8"));
}

#[test]
fn a_cache_that_fails_says_so_without_details() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    let put = call("PUT", &url(digest)).bytes(stored);
    server.shelf.fault.set(Some(IoErrorKind::NoSpace));
    server.expect(507, &put);
    server.shelf.fault.set(Some(IoErrorKind::AccessDenied));
    for call in [put, missing(&digest.to_hex()), call("GET", &url(digest))] {
        let reply = server.expect(500, &call);
        assert!(!text(&reply).contains("ermission"), "{}", text(&reply));
        let warnings = server.warnings();
        assert!(warnings.last().unwrap().contains("Permission denied"), "{warnings:?}");
    }
    server.shelf.fault.set(None);
    assert!(matches!(server.send(&call("GET", &url(digest))).body, Body::Bytes(_)));
}
