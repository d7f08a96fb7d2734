//! `PUT` of entries: manifests and archives, refusals, and what is recorded.

use crate::support::{
    Call, Sent, Server, broken, call, chunk, directory, file, header, json, text,
};
use btdt_core::manifest::{self, Builder, ChunkRef, Content, Extent, Node};
use btdt_core::protocol::MANIFEST_TYPE;
use btdt_core::storage::record::Record;
use btdt_ports::{ArchiveFault, Digest, IoErrorKind, ObjectKind, Records, Timestamp};

const URL: &str = "/api/caches/main?key=k";

/// The manifest of a directory with a file that consists of these chunks.
fn manifest_of(chunks: &[(Digest, u32)]) -> Vec<u8> {
    let mut builder = Builder::new();
    let modified = Timestamp::default();
    let mut extents = Vec::new();
    for (digest, raw_size) in chunks.iter().copied() {
        let chunk = builder.add_chunk(ChunkRef { digest, raw_size }).unwrap();
        extents.push(Extent { chunk, offset: 0, length: raw_size });
    }
    let root = Content::Directory;
    builder.add(Node { parent: 0, name: b"", mode: None, modified, content: root }).unwrap();
    let content = Content::File(&extents);
    builder.add(Node { parent: 0, name: b"f", mode: None, modified, content }).unwrap();
    manifest::encode(&builder.finish().unwrap()).unwrap()
}

fn put_manifest(body: Vec<u8>) -> Call {
    call("PUT", URL).header("content-type", MANIFEST_TYPE).bytes(body)
}

fn record(server: &Server, key: &str) -> Option<Record> {
    let stored = Records::get(server.storage(), &[key.to_owned()]).remove(0).unwrap();
    stored.map(|stored| Record::decode(&stored.value).unwrap())
}

#[test]
fn a_manifest_that_was_altered_on_its_way_is_refused() {
    let server = Server::new();
    let (digest, stored) = chunk(b"one");
    let url = format!("/api/caches/main/chunks/{}", digest.to_hex());
    server.expect(201, &call("PUT", &url).bytes(stored));
    let manifest = manifest_of(&[(digest, 3)]);
    let put = |announced: &Digest| {
        put_manifest(manifest.clone()).header("btdt-manifest", &announced.to_hex())
    };
    server.expect(422, &put(&digest));
    assert_eq!(record(&server, "k"), None);
    server.expect(204, &put(&btdt_core::digest::sha256(&manifest)));
}

#[test]
fn a_manifest_is_committed_once_its_chunks_are_there() {
    let server = Server::new();
    let (chunks, forms): (Vec<_>, Vec<_>) = [b"one".as_slice(), b"three"]
        .map(|content| ((chunk(content).0, content.len() as u32), chunk(content)))
        .into_iter()
        .unzip();
    let put = put_manifest(manifest_of(&chunks)).header("btdt-tool", "test 1.2");
    let reply = server.expect(409, &put);
    let missing: Vec<String> = json(&reply)["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hex| hex.as_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<String> = chunks.iter().map(|(digest, _)| digest.to_hex()).collect();
    expected.sort();
    assert_eq!(missing, expected);
    assert_eq!(record(&server, "k"), None);
    let mut stored_size = 0;
    for (digest, stored) in forms {
        stored_size += stored.len() as u64;
        let url = format!("/api/caches/main/chunks/{}", digest.to_hex());
        server.expect(201, &call("PUT", &url).bytes(stored));
    }
    server.expect(204, &put);
    let record = record(&server, "k").unwrap();
    assert_eq!((record.files, record.raw_size, record.stored_size), (1, 8, stored_size));
    assert_eq!(record.tool, "test 1.2");
    let reply = server.expect(200, &call("GET", URL));
    assert_eq!(server.archive(&reply)[1].1, b"onethree");
}

#[test]
fn what_is_no_manifest_is_refused() {
    let server = Server::new();
    let (digest, stored) = chunk(b"content");
    let url = format!("/api/caches/main/chunks/{}", digest.to_hex());
    server.expect(201, &call("PUT", &url).bytes(stored));
    let good = manifest_of(&[(digest, 7)]);
    for body in
        [vec![], b"nonsense".to_vec(), good[..good.len() - 1].to_vec(), [&good[..], b"\0"].concat()]
    {
        let reply = server.expect(422, &put_manifest(body));
        assert!(text(&reply).contains("manifest"), "{}", text(&reply));
    }
    let reply = server.expect(422, &put_manifest(manifest_of(&[(digest, 8)])));
    assert!(text(&reply).contains("7 bytes, not 8"), "{}", text(&reply));
    server.expect(413, &put_manifest(good.clone()).header("content-length", "1048577"));
    server.expect(415, &put_manifest(good.clone()).header("content-encoding", "br"));
    assert_eq!(record(&server, "k"), None);
    server.expect(204, &put_manifest(good));
}

#[test]
fn an_archive_becomes_the_entry_of_all_keys() {
    let server = Server::new();
    let members = vec![directory("d"), file("d/f", b"content"), file("e", b"")];
    let put = call("PUT", "/api/caches/main?key=a%2Fb&key=c&label=branch%3Dmain").archive(members);
    server.expect(204, &put.header("user-agent", "curl/8"));
    for key in ["a/b", "c"] {
        let reply = server.expect(200, &call("GET", &format!("/api/caches/main?key={key}")));
        let members = server.archive(&reply);
        let paths: Vec<_> = members.iter().map(|(entry, _)| entry.path.as_slice()).collect();
        assert_eq!(paths, [b".".as_slice(), b"./d", b"./d/f", b"./e"]);
        assert_eq!(members[2].1, b"content");
    }
    let record = record(&server, "c").unwrap();
    assert_eq!((record.files, record.raw_size, &*record.tool), (2, 7, "curl/8"));
    assert_eq!(record.labels.get("branch").map(String::as_str), Some("main"));
    let stored = server.storage().stored(ObjectKind::Chunk, btdt_core::digest::sha256(b"content"));
    assert_eq!(record.stored_size, stored.unwrap().len() as u64);
}

#[test]
fn a_failed_upload_leaves_every_key_as_it_was() {
    let server = Server::new();
    let before = server.store_file("k", b"before");
    let members = vec![file("f", b"after")];
    let put = call("PUT", URL);
    for (status, fault) in [
        (422, ArchiveFault::Truncated),
        (422, ArchiveFault::Malformed),
        (413, ArchiveFault::TooLarge),
        (400, ArchiveFault::Interrupted(broken())),
    ] {
        server.expect(status, &put.clone().broken_archive(members.clone(), fault));
    }
    server.expect(400, &Call { sent: Sent::Cut, ..put.clone() });
    server.expect(422, &put.clone().archive(vec![file("f", b"x"), file("../f", b"x")]));
    let sink = |kind| ArchiveFault::Sink(btdt_ports::IoError::new(kind));
    server.expect(507, &put.clone().broken_archive(members.clone(), sink(IoErrorKind::NoSpace)));
    server.expect(500, &put.clone().broken_archive(members.clone(), sink(IoErrorKind::Other)));
    server.shelf.fault.set(Some(IoErrorKind::NoSpace));
    server.expect(507, &put.clone().archive(members.clone()));
    server.shelf.fault.set(None);
    assert_eq!(record(&server, "k").unwrap().manifest, before);
    server.expect(204, &put.archive(members));
    assert_ne!(record(&server, "k").unwrap().manifest, before);
}

#[test]
fn archives_come_by_any_type_that_may_be_one() {
    let server = Server::new();
    let put = |headers: &[(&str, &str)]| {
        let put =
            headers.iter().fold(call("PUT", URL), |put, (name, value)| put.header(name, value));
        server.send(&put.archive(vec![])).status
    };
    let of = |content_type: &str| put(&[("content-type", content_type)]);
    for content_type in [
        "application/x-tar",
        "application/octet-stream",
        "Application/X-Tar; a=b",
        "application/x-www-form-urlencoded",
        "application/gzip",
        "application/zstd",
        "x/y",
        "",
    ] {
        assert_eq!(of(content_type), 204, "{content_type}");
    }
    for content_type in [
        "text/html",
        "application/json",
        "application/problem+json",
        "image/png",
        "TEXT/plain; charset=utf-8",
        "multipart/form-data; boundary=x",
        "application/cbor",
        "application/vnd.btdt.manifest-2+cbor",
    ] {
        assert_eq!(of(content_type), 415, "{content_type}");
    }
    for encoding in ["gzip", "zstd", "identity", "X-GZIP", "", "identity, gzip"] {
        assert_eq!(put(&[("content-encoding", encoding)]), 204, "{encoding}");
    }
    for encoding in ["br", "gzip, gzip", "zstd,gzip", "deflate"] {
        assert_eq!(put(&[("content-encoding", encoding)]), 415, "{encoding}");
    }
    assert_eq!(put(&[("content-encoding", "gzip"), ("content-type", "application/gzip")]), 415);
}

#[test]
fn an_entry_needs_a_key() {
    let server = Server::new();
    for query in ["", "?key=", "?prefix=k", "?key=a,b", "?key=%00", "?key=a&label=%3Dx"] {
        server.expect(400, &call("PUT", &format!("/api/caches/main{query}")).archive(vec![]));
    }
}

#[test]
fn an_archive_with_too_many_entries_is_too_large() {
    let mut server = Server::new();
    server.settings.max_manifest = 4000;
    let members = |count: u32| (0..count).map(|index| file(&format!("f{index}"), b"")).collect();
    server.expect(204, &call("PUT", URL).archive(members(50)));
    server.expect(413, &call("PUT", URL).archive(members(200)));
    let deep = "d/".repeat(200);
    server.expect(413, &call("PUT", URL).archive(vec![file(&(deep + "f"), b"")]));
    let mut huge = file("f", b"x");
    huge.0.content = btdt_ports::ArchiveContent::File(u64::MAX);
    server.expect(413, &call("PUT", URL).archive(vec![huge]));
}

#[test]
fn names_of_tools_are_cut_and_cleaned() {
    let server = Server::new();
    for (tool, expected) in [("x".repeat(300), "x".repeat(128)), ("a\tb".to_owned(), String::new())]
    {
        server.expect(204, &call("PUT", URL).header("btdt-tool", &tool).archive(vec![]));
        assert_eq!(record(&server, "k").unwrap().tool, expected);
    }
    let reply = server.send(&call("PUT", URL).archive(vec![]));
    assert_eq!(header(&reply, "content-type"), None);
}
