//! Archives into manifests: hostile paths, order, links, and equality with a store.

use crate::memory_host::{Member, Plan, Reader, TestEnvironment};
use crate::support::{Server, call, directory, file, member, noise, text};
use btdt_core::archive::export;
use btdt_core::archive::import::{ImportFault, MemberFault, import};
use btdt_core::manifest::{self, Content, Manifest};
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::{
    ArchiveContent::{Directory, HardLink, Special, Symlink},
    ObjectKind, Objects, Timestamp,
};
use btdt_test_support::memory_tree::MemoryTree;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn receive(members: Vec<Member>) -> Result<Manifest, ImportFault> {
    let storage = MemoryStorage::new(Timestamp::default);
    let reader = Reader::new(members, None, storage.sink());
    import(reader, u64::MAX, &TestEnvironment::new()).map(|(manifest, _)| manifest)
}

#[track_caller]
fn refused(members: Vec<Member>) -> MemberFault {
    match receive(members) {
        Err(ImportFault::Entry { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// Paths, with what is there.
fn listing(manifest: &Manifest) -> Vec<String> {
    let line = |(number, node): (u32, manifest::Node<'_>)| {
        let path = String::from_utf8(manifest.path(number)).unwrap();
        match node.content {
            Content::Directory => format!("{path}/ {:o}", node.mode.unwrap_or(0)),
            Content::File(_) => format!("{path} {}", node.size()),
            Content::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
            Content::HardLink(number) => {
                format!("{path} = {}", String::from_utf8(manifest.path(number)).unwrap())
            }
        }
    };
    manifest.nodes().map(line).collect()
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    for (path, fault) in [
        ("/etc/passwd", MemberFault::Absolute),
        ("//x", MemberFault::Absolute),
        ("..", MemberFault::Parent),
        ("../x", MemberFault::Parent),
        ("a/../../x", MemberFault::Parent),
        ("a/../b", MemberFault::Parent),
        ("./..//x", MemberFault::Parent),
        ("a\0b", MemberFault::Name),
    ] {
        assert_eq!(refused(vec![file(path, b"x")]), fault, "{path}");
        assert_eq!(refused(vec![directory(path)]), fault, "{path}");
        assert_eq!(refused(vec![member(path, Special)]), fault, "{path}");
        let link = member("l", HardLink(path.into()));
        assert_eq!(refused(vec![link]), MemberFault::Link, "{path}");
    }
    assert_eq!(refused(vec![file(&"n".repeat(256), b"")]), MemberFault::Name);
    assert_eq!(refused(vec![file(&"n/".repeat(20_000), b"")]), MemberFault::Name);
    for path in ["", ".", "./", "././"] {
        assert_eq!(refused(vec![file(path, b"x")]), MemberFault::Root);
        assert_eq!(refused(vec![member(path, Symlink(b"x".to_vec()))]), MemberFault::Root);
    }
}

#[test]
fn nothing_is_written_through_what_is_no_directory() {
    let link = || member("d", Symlink(b"/etc".to_vec()));
    assert_eq!(refused(vec![link(), file("d/x", b"x")]), MemberFault::Through);
    assert_eq!(refused(vec![link(), directory("d/x/y")]), MemberFault::Through);
    assert_eq!(refused(vec![file("d", b""), file("d/x", b"x")]), MemberFault::Through);
    assert_eq!(refused(vec![link(), directory("d")]), MemberFault::Conflict);
    assert_eq!(refused(vec![directory("d"), link()]), MemberFault::Conflict);
    assert_eq!(refused(vec![file("d/x", b""), file("d", b"")]), MemberFault::Conflict);
    for target in ["", "a\0b", &"t".repeat(4097)] {
        let link = member("l", Symlink(target.into()));
        assert_eq!(refused(vec![link]), MemberFault::Target);
    }
}

#[test]
fn hard_links_lead_to_files_that_came_before() {
    let link = |path: &str, target: &str| member(path, HardLink(target.into()));
    assert_eq!(refused(vec![link("l", "f"), file("f", b"x")]), MemberFault::Link);
    assert_eq!(refused(vec![directory("d"), link("l", "d")]), MemberFault::Link);
    assert_eq!(refused(vec![link("l", "l")]), MemberFault::Link);
    assert_eq!(refused(vec![file("f", b"x"), link("l", "f/x")]), MemberFault::Link);
    let symlink = member("s", Symlink(b"f".to_vec()));
    // The first name in path order becomes the file, even if it came later.
    let received = receive(vec![
        file("m/f", b"content"),
        link("z", "./m//f"),
        link("a", "z"),
        symlink,
        link("t", "s"),
        link("a", "a"),
    ]);
    let expected = ["/ 0", "a 7", "m/ 755", "m/f = a", "s -> f", "t -> f", "z = a"];
    assert_eq!(listing(&received.unwrap()), expected);
}

#[test]
fn of_entries_with_one_path_the_last_one_counts() {
    let link = member("old", HardLink(b"f".to_vec()));
    let received = receive(vec![
        file("f", b"first"),
        link,
        file("f", b"the second"),
        member("s", Symlink(b"x".to_vec())),
        file("s", b"a file"),
        directory("d"),
        file("d/f", b"x"),
        directory("./d/"),
    ]);
    let expected = ["/ 0", "d/ 640", "d/f 1", "f 10", "old 5", "s 6"];
    assert_eq!(listing(&received.unwrap()), expected);
    // Content that no name refers to any more is not part of the entry.
    let large = noise(1, 3 << 20);
    let replaced = receive(vec![file("f", &large), file("f", b"small")]).unwrap();
    assert_eq!(replaced.chunks().len(), 1);
    assert_eq!(replaced.totals(), (1, 5));
}

#[test]
fn entries_in_any_order_make_the_same_tree() {
    let received = receive(vec![
        file("b/c/f", b"1"),
        directory("b"),
        file("b-/f", b"2"),
        file("a", b"3"),
        directory("."),
        file("b/c/e", b"4"),
    ]);
    let expected =
        ["/ 640", "a 1", "b/ 640", "b/c/ 755", "b/c/e 1", "b/c/f 1", "b-/ 755", "b-/f 1"];
    let mut listed = listing(&received.unwrap());
    assert!(listed.iter().position(|line| line.starts_with("b/c/e")).unwrap() > 2);
    listed.sort();
    let mut expected: Vec<_> = expected.map(str::to_owned).into();
    expected.sort();
    assert_eq!(listed, expected);
    let empty = receive(vec![]).unwrap();
    assert_eq!(listing(&empty), ["/ 0"]);
}

#[test]
fn modes_and_times_that_no_manifest_has_are_cut() {
    let (mut entry, content) = file("f", b"x");
    entry.mode = 0o107_755;
    entry.modified = Timestamp { seconds: i64::MIN, nanoseconds: u32::MAX };
    let received = receive(vec![(entry, content)]).unwrap();
    let node = received.node(1);
    assert_eq!(node.mode, Some(0o755));
    assert_eq!(node.modified, Timestamp { seconds: i64::MIN, nanoseconds: 999_999_999 });
}

#[test]
fn devices_are_skipped_with_a_bounded_number_of_warnings() {
    let storage = MemoryStorage::new(Timestamp::default);
    let members = (0..50).map(|index| member(&format!("dev{index}\n"), Special)).collect();
    let reader = Reader::new(members, None, storage.sink());
    let environment = TestEnvironment::new();
    let (manifest, _) = import(reader, u64::MAX, &environment).unwrap();
    assert_eq!(manifest.len(), 1);
    let log = environment.log.take();
    assert_eq!(log.len(), 9);
    assert!(log[0].contains("dev0") && !log[0].contains('\n'));
    assert!(log[8].contains("42"));
}

#[test]
fn a_refused_path_is_named() {
    let server = Server::new();
    let put = call("PUT", "/api/caches/main?key=k");
    let reply = server.expect(422, &put.archive(vec![file("../\u{1}é", b"x")]));
    assert!(text(&reply).contains("..") && text(&reply).contains('é'), "{}", text(&reply));
}

/// An entry of a generated tree.
#[derive(Clone, Debug)]
enum Item {
    Directory,
    File(usize, u64),
    Symlink,
    HardLink,
}

fn items() -> impl Strategy<Value = Vec<(u8, u8, Item)>> {
    let size = prop_oneof![
        3 => 0..3_usize,
        8 => 1..60_000_usize,
        3 => 200_000..600_000_usize,
        1 => (1_usize << 20) - 1..(1 << 20) + 2,
        1 => (1_usize << 20)..(6 << 20),
    ];
    let item = prop_oneof![
        1 => Just(Item::Directory),
        6 => (size, 0..5_u64).prop_map(|(size, seed)| Item::File(size, seed)),
        1 => Just(Item::Symlink),
        1 => Just(Item::HardLink),
    ];
    prop::collection::vec((0..8_u8, 0..30_u8, item), 0..25)
}

fn build(items: &[(u8, u8, Item)]) -> MemoryTree {
    let tree = MemoryTree::new();
    let at = |seconds| Timestamp { seconds, nanoseconds: 5 };
    tree.insert_directory(b"", 0o750, at(1)).unwrap();
    let mut files = Vec::new();
    let mut used = BTreeSet::new();
    for (index, (directory, name, item)) in items.iter().enumerate() {
        let parent = if *directory < 3 { String::new() } else { format!("d{directory}/") };
        if !parent.is_empty() {
            // It may exist already.
            let _ = tree.insert_directory(&parent.as_bytes()[..2], 0o700, at(2));
        }
        let path = format!("{parent}n{name}").into_bytes();
        if !used.insert(path.clone()) {
            continue;
        }
        let time = at(index as i64 - 5);
        match item {
            Item::Directory => tree.insert_directory(&path, 0o711, time).unwrap(),
            Item::Symlink => tree.insert_symlink(&path, b"../somewhere", time).unwrap(),
            Item::File(size, seed) => {
                tree.insert_file(&path, &noise(*seed, *size), 0o604, time).unwrap();
                files.push(path);
            }
            Item::HardLink => {
                if let Some(target) = files.get(usize::from(*name) % files.len().max(1)) {
                    tree.insert_hard_link(&path, target).unwrap();
                }
            }
        }
    }
    tree
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_archive_of_a_tree_has_the_manifest_of_the_tree(items in items()) {
        let server = Server::new();
        let digest = server.store(&["k"], &build(&items));
        let encoded = Objects::get(server.storage(), ObjectKind::Manifest, digest, u64::MAX).unwrap();
        let stored = manifest::decode(&encoded).unwrap();
        let mut plan = Plan::default();
        export::export(&stored, b"name", &mut plan);
        let members = plan.expand(server.storage());
        prop_assert_eq!(members.len(), stored.len() as usize);

        let other = MemoryStorage::new(Timestamp::default);
        let reader = Reader::new(members.clone(), None, other.sink());
        let (received, totals) = import(reader, u64::MAX, &server.environment).unwrap();
        prop_assert_eq!(&received, &stored);
        prop_assert_eq!(manifest::encode(&received).unwrap(), encoded);
        prop_assert_eq!(totals.chunks, stored.chunks().len() as u64);
        prop_assert_eq!(totals.new_chunks, totals.chunks);
        prop_assert_eq!(totals.new_stored_size, totals.stored_size);

        // In reverse, except that hard links have to follow their files.
        let (links, mut rest): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|(entry, _)| matches!(entry.content, HardLink(_)));
        rest.reverse();
        rest.extend(links);
        let reader = Reader::new(rest, None, other.sink());
        let (received, _) = import(reader, u64::MAX, &server.environment).unwrap();
        prop_assert_eq!(listing(&received), listing(&stored));
    }

    #[test]
    fn no_archive_makes_it_panic(
        entries in prop::collection::vec(("[ab./]{0,6}", 0..5_u8, "[ab./]{0,4}"), 0..12),
    ) {
        let members = entries.iter().map(|(path, kind, target)| match kind {
            0 => member(path, Directory),
            1 => member(path, Symlink(target.clone().into())),
            2 => member(path, HardLink(target.clone().into())),
            3 => member(path, Special),
            _ => file(path, target.as_bytes()),
        });
        match receive(members.collect()) {
            Ok(manifest) => {
                let encoded = manifest::encode(&manifest).unwrap();
                prop_assert_eq!(manifest::decode(&encoded), Ok(manifest));
            }
            Err(fault) => prop_assert!(matches!(fault, ImportFault::Entry { .. }), "{}", fault),
        }
    }
}
