//! Bodies in both directions: archives, chunks, and what breaks off.

use crate::support::{Answer, MANIFEST, Raw, Server, Setup};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};

const ENTRY: &str = "/api/caches/default?key=key";

/// Has a program, which is in every Linux system or container of CI, turn bytes into others.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    let _ = writer.join().unwrap();
    output.stdout
}

fn store(setup: &Setup, server: &Server) {
    setup.client(&server.cache("default"), &["store", "-k", "key", "tree"], 0);
}

fn get(setup: &Setup, server: &Server, target: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = setup.bearer("token");
    let headers = [&[("authorization", bearer.as_str())], headers].concat();
    let answer = server.ask("GET", target, &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// Unpacks an archive and compares it with the tree.
#[track_caller]
fn assert_is_tree(setup: &Setup, archive: &[u8]) {
    let directory = tempfile::tempdir_in(setup.path("")).unwrap();
    filter("tar", &["-x", "-C", directory.path().to_str().unwrap()], archive);
    for file in ["file", "sub/other"] {
        let unpacked = fs::read(directory.path().join(file)).unwrap();
        assert_eq!(unpacked, fs::read(setup.path("tree").join(file)).unwrap(), "{file}");
    }
    assert!(directory.path().join("sub/empty").is_dir());
}

#[test]
fn archives_are_sent_in_every_encoding() {
    let setup = Setup::new();
    let server = setup.start();
    store(&setup, &server);
    let plain = get(&setup, &server, ENTRY, &[]);
    assert_is_tree(&setup, &plain.body);
    assert_eq!(plain.header("btdt-cache-key"), Some("key"));
    let length = plain.body.len().to_string();
    assert_eq!(plain.header("content-length"), Some(length.as_str()));
    let gzip = get(&setup, &server, ENTRY, &[("accept-encoding", "gzip")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.header("content-length"), None);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let zstd = get(&setup, &server, ENTRY, &[("accept-encoding", "zstd")]);
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(&zstd.body[..]).unwrap(), plain.body);
    let bearer = setup.bearer("token");
    let head = server.ask("HEAD", ENTRY, &[("authorization", &bearer)], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let said = head.header("content-length");
    assert!(said.is_none_or(|said| said == length), "{said:?}");
    assert_eq!(server.end(), "");
}

#[test]
fn archives_are_received_in_every_encoding() {
    let setup = Setup::new();
    let server = setup.start();
    let bearer = setup.bearer("token");
    let tree = setup.path("tree");
    let plain = filter("tar", &["-c", "-C", tree.to_str().unwrap(), "."], b"");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for (encoding, body) in [("identity", &plain), ("gzip", &gzip), ("zstd", &zstd)] {
        let target = format!("/api/caches/default?key={encoding}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-tar"),
            ("content-encoding", encoding),
        ];
        let answer = server.ask("PUT", &target, &headers, body);
        assert_eq!(answer.status, 204, "{encoding}: {}", answer.text());
        assert_is_tree(&setup, &get(&setup, &server, &target, &[]).body);
        // The native client reads it as any other entry.
        let restored = format!("restored-{encoding}");
        setup.client(&server.cache("default"), &["restore", "-k", encoding, &restored], 0);
        assert_eq!(fs::read(setup.path(restored).join("file")).unwrap(), b"content");
    }
    // They all are the same content, which is there once.
    let chunks = setup.files_in("chunks/").len();
    store(&setup, &server);
    assert!(setup.files_in("chunks/").len() <= chunks + 1);
    assert_eq!(server.end(), "");
}

#[test]
fn chunks_are_verified_in_both_directions() {
    let setup = Setup::new();
    let server = setup.start();
    store(&setup, &server);
    let bearer = setup.bearer("token");
    let headers = [("authorization", bearer.as_str())];
    for file in setup.files_in("chunks/") {
        let path = setup.path("cache").join(&file);
        let stored = fs::read(&path).unwrap();
        let digest = file.rsplit('/').next().unwrap();
        let target = format!("/api/caches/default/chunks/{digest}");
        assert_eq!(get(&setup, &server, &target, &[]).body, stored);
        let part = [("authorization", bearer.as_str()), ("range", "bytes=3-9")];
        let answer = server.ask("GET", &target, &part, b"");
        assert_eq!((answer.status, &answer.body[..]), (206, &stored[3..10]), "{file}");
        fs::remove_file(&path).unwrap();
        let mut damaged = stored.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(server.ask("PUT", &target, &headers, &damaged).status, 422);
        assert!(!path.exists());
        assert_eq!(server.ask("PUT", &target, &headers, &stored).status, 201);
        assert_eq!(server.ask("PUT", &target, &headers, &stored).status, 204);
        assert!(path.exists());
    }
    assert_eq!(server.end(), "");
}

/// Sends the head of an upload and a part of its body, and goes.
fn break_off(mut connection: Raw, head: &str, length: usize, part: &[u8]) {
    let head = format!("{head}host: x\r\ncontent-length: {length}\r\n\r\n");
    connection.send(&[head.as_bytes(), part].concat()).unwrap();
    connection.stream().shutdown(Shutdown::Write).unwrap();
    // Until the host has closed the connection, so that nothing is under way any more.
    let mut said = Vec::new();
    let _ = connection.reader().read_to_end(&mut said);
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/1.1 2"));
}

#[test]
fn uploads_that_break_off_leave_nothing() {
    let setup = Setup::new();
    let server = setup.start();
    store(&setup, &server);
    let archive = get(&setup, &server, ENTRY, &[]).body;
    let manifest = get(&setup, &server, ENTRY, &[("accept", MANIFEST)]).body;
    let file = setup.files_in("chunks/").remove(0);
    let chunk = fs::read(setup.path("cache").join(&file)).unwrap();
    let digest = file.rsplit('/').next().unwrap();

    let setup = Setup::new();
    let server = setup.start();
    let authorization = format!("authorization: {}\r\n", setup.bearer("token"));
    let targets = [
        (ENTRY.to_owned(), "application/x-tar", &archive),
        (ENTRY.to_owned(), MANIFEST, &manifest),
        (format!("/api/caches/default/chunks/{digest}"), "application/octet-stream", &chunk),
    ];
    for (target, media_type, body) in targets {
        let head =
            format!("PUT {target} HTTP/1.1\r\n{authorization}content-type: {media_type}\r\n");
        for end in [0, 1, body.len() / 2, body.len() - 1] {
            break_off(server.connect(), &head, body.len(), &body[..end]);
        }
    }
    assert_eq!(setup.files_in("keys/"), Vec::<String>::new());
    assert_eq!(setup.files_in("manifests/"), Vec::<String>::new());
    let leftovers: Vec<String> = setup.files_in("tmp/");
    assert_eq!(leftovers, Vec::<String>::new());
    setup.client(&server.cache("default"), &["restore", "-k", "key", "restored"], 4);
}

#[test]
fn a_damaged_archive_is_cut_off_and_then_a_miss() {
    let setup = Setup::new();
    let server = setup.start();
    store(&setup, &server);
    for file in setup.files_in("chunks/") {
        let path = setup.path("cache").join(file);
        let mut stored = fs::read(&path).unwrap();
        *stored.last_mut().unwrap() ^= 1;
        fs::write(path, stored).unwrap();
    }
    let bearer = setup.bearer("token");
    for encoding in ["identity", "gzip", "zstd"] {
        let headers = [("authorization", bearer.as_str()), ("accept-encoding", encoding)];
        match server.connect().request("GET", ENTRY, &headers, b"") {
            // What has been sent is no whole answer.
            Err(_) => {}
            Ok(answer) => assert_eq!(answer.status, 204, "{encoding}: it is known by now"),
        }
    }
    let answer = server.ask("GET", ENTRY, &[("authorization", &bearer)], b"");
    assert_eq!(answer.status, 204);
    let said = server.end();
    assert!(said.contains("the answer could not be completed"), "{said}");
}
