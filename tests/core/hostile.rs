//! Manifests in the cache that an attacker wrote to escape from the destination.

use crate::support::{Cache, at, snapshot, tree};
use btdt_core::key::Key;
use btdt_core::manifest;
use btdt_core::storage::record::Record;
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::client::Error;
use btdt_ports::{ObjectKind, Objects, Records, Tree};
use btdt_test_support::memory_tree::MemoryTree;
use std::collections::BTreeMap;
use std::fs;

/// A cache with a harmless entry, and its encoded manifest.
fn harmless() -> (Cache, Vec<u8>) {
    let cache = Cache::new();
    let tree = tree(&[("aaaa", b"text"), ("dd/", b""), ("dd/WW", b"evil"), ("dd/XX", b"evil")]);
    tree.insert_symlink(b"ss", b"/tmp", at(3)).unwrap();
    tree.insert_file(b"ssss", b"evil too", 0o644, at(4)).unwrap();
    tree.insert_hard_link(b"zzzz", b"aaaa").unwrap();
    let summary = cache.store("harmless", &tree);
    let encoded = Objects::get(&cache.storage, ObjectKind::Manifest, summary.manifest, u64::MAX);
    (cache, encoded.unwrap())
}

/// Replaces the only occurrence of `from` by other bytes of the same length.
fn replace(encoded: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        (0..=encoded.len() - from.len()).filter(|at| encoded[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{from:02x?} in {encoded:02x?}");
    let mut changed = encoded.to_vec();
    changed[places[0]..][..to.len()].copy_from_slice(to);
    changed
}

/// Stores an encoded manifest under the key `evil`.
fn plant(cache: &Cache, encoded: &[u8]) {
    let put = Objects::put(&cache.storage, ObjectKind::Manifest, encoded).unwrap();
    let record = Record {
        key: Key::new("evil").unwrap(),
        manifest: put.digest,
        created: at(1),
        raw_size: 1,
        stored_size: 1,
        files: 1,
        tool: String::new(),
        labels: BTreeMap::new(),
        nonce: 0,
    };
    Records::put(&cache.storage, "evil", &record.encode()).unwrap();
}

/// The attacks by name. In CBOR, a string of n bytes begins with 0x40 + n.
fn attacks(encoded: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("..", replace(encoded, b"\x42WW", b"\x42..")),
        ("a slash", replace(encoded, b"\x44aaaa", b"\x44../a")),
        ("an absolute path", replace(encoded, b"\x44aaaa", b"\x44/tmp")),
        ("NUL", replace(encoded, b"\x42WW", b"\x42W\0")),
        ("a duplicate", replace(encoded, b"\x42XX", b"\x42WW")),
        ("out of order", replace(encoded, b"\x42XX", b"\x42AA")),
        // Node 5 is the symbolic link; the file claims to be in it.
        ("through a symbolic link", replace(encoded, b"\x01\x00\x44ssss", b"\x01\x05\x44ssss")),
        ("in a file", replace(encoded, b"\x01\x00\x44ssss", b"\x01\x01\x44ssss")),
        ("a link to a symbolic link", replace(encoded, b"\x44zzzz\x01", b"\x44zzzz\x05")),
        ("a link to a directory", replace(encoded, b"\x44zzzz\x01", b"\x44zzzz\x02")),
        ("a link to itself", replace(encoded, b"\x44zzzz\x01", b"\x44zzzz\x07")),
        ("a link ahead", replace(encoded, b"\x44zzzz\x01", b"\x44zzzz\x08")),
        ("an unknown kind", replace(encoded, b"\x02\x00\x42ss", b"\x05\x00\x42ss")),
        ("a later version", replace(encoded, b"version\x01", b"version\x02")),
        ("another format", replace(encoded, b"btdt manifest", b"btdt manifesT")),
        ("one byte more", [encoded, &[0]].concat()),
        ("one byte less", encoded[..encoded.len() - 1].to_vec()),
        ("nothing", Vec::new()),
        // Everything is well-formed, but the chunk has another size.
        ("a chunk of another size", replace(encoded, b"sizes\x81\x14", b"sizes\x81\x15")),
    ]
}

#[test]
fn hostile_manifests_are_refused_and_nothing_is_written() {
    let (_, encoded) = harmless();
    assert!(manifest::decode(&encoded).is_ok());
    for (attack, hostile) in attacks(&encoded) {
        assert!(attack == "a chunk of another size" || manifest::decode(&hostile).is_err());
        let (cache, _) = harmless();
        plant(&cache, &hostile);
        let before = cache.live(ObjectKind::Chunk);

        assert!(cache.restore("evil").is_none(), "{attack}");
        cache.environment.expect_warning(&["the entry of key evil cannot be used"]);

        let destination = tree(&[("mine", b"precious")]);
        let untouched = snapshot(&destination);
        match cache.try_restore("evil", &destination) {
            Ok(None) => assert_eq!(snapshot(&destination), untouched, "{attack}"),
            // Only reading the chunk reveals its size.
            Err(Error::Incomplete) => assert_eq!(attack, "a chunk of another size"),
            other => panic!("{attack}: {other:?}"),
        }
        // An intact chunk stays, whatever a manifest claims about it.
        assert_eq!(cache.live(ObjectKind::Chunk), before, "{attack}");
        assert!(cache.restore("harmless").is_some(), "{attack}");
    }
}

#[test]
fn hostile_manifests_do_not_reach_the_file_system() {
    let (_, encoded) = harmless();
    for (attack, hostile) in attacks(&encoded) {
        let (cache, _) = harmless();
        plant(&cache, &hostile);
        let directory = tempfile::tempdir().unwrap();
        let destination = FilesystemTree::new(directory.path().join("there"));
        assert_eq!(cache.try_restore("evil", &destination), Ok(None), "{attack}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{attack}");
        assert_eq!(destination.root(), Ok(None));
    }
}

#[test]
fn a_link_at_the_destination_is_not_followed() {
    let cache = Cache::new();
    cache.store("k", &tree(&[("d/", b""), ("d/f", b"new"), ("g", b"new")]));
    let directory = tempfile::tempdir().unwrap();
    let (root, outside) = (directory.path().join("there"), directory.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "precious").unwrap();
    std::os::unix::fs::symlink(&outside, root.join("d")).unwrap();
    std::os::unix::fs::symlink(outside.join("f"), root.join("g")).unwrap();
    cache.try_restore("k", &FilesystemTree::new(root.clone())).unwrap();
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"precious");
    assert_eq!(fs::read(root.join("d/f")).unwrap(), b"new");
    assert!(fs::symlink_metadata(root.join("d")).unwrap().is_dir());
    assert!(fs::symlink_metadata(root.join("g")).unwrap().is_file());
}

#[test]
fn links_that_point_outside_are_data() {
    let cache = Cache::new();
    let source = tree(&[("a", b"x")]);
    source.insert_symlink(b"up", b"../../..", at(1)).unwrap();
    source.insert_symlink(b"zero", b"/dev/zero", at(1)).unwrap();
    cache.store("k", &source);
    cache.expect("k", &source);
    assert_eq!(MemoryTree::new().root(), Ok(None));
}
