//! Any tree survives; any bytes are survived.

use super::support::{Outgoing, content, expected, gzip, receive, zstd};
use crate::archive::Compression;
use btdt_ports::{ArchiveContent, ArchiveNodeContent, Timestamp};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Node {
    parent: prop::sample::Index,
    name: Vec<u8>,
    mode: u32,
    modified: Timestamp,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Directory,
    File(usize),
    Symlink(Vec<u8>),
    HardLink(prop::sample::Index),
}

fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    // No NUL and no slash; newlines, signs and bytes that are no UTF-8 do occur.
    prop::collection::vec(prop_oneof![Just(b'a'), Just(b'\n'), Just(b' '), 48..=255_u8], length)
}

fn time() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![
        4 => 0..4_000_000_000_i64,
        1 => any::<i64>(),
        1 => -5..5_i64,
        1 => (1_i64 << 33) - 2..(1 << 33) + 2,
    ];
    let nanoseconds = prop_oneof![Just(0), 0..1_000_000_000_u32];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
}

fn node() -> impl Strategy<Value = Node> {
    let size = prop_oneof![8 => 0..3000_usize, 1 => 250_000..1_300_000_usize];
    let kind = prop_oneof![
        3 => Just(Kind::Directory),
        4 => size.prop_map(Kind::File),
        1 => bytes(1..300).prop_map(Kind::Symlink),
        1 => any::<prop::sample::Index>().prop_map(Kind::HardLink),
    ];
    let name = prop_oneof![4 => bytes(1..30), 1 => bytes(90..256)];
    (any::<prop::sample::Index>(), name, 0..0o1000_u32, time(), kind).prop_map(
        |(parent, name, mode, modified, kind)| Node { parent, name, mode, modified, kind },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_tree_survives(nodes in prop::collection::vec(node(), 0..40)) {
        let mut tree = Outgoing::new();
        let (mut directories, mut files) = (vec![0], Vec::new());
        let mut contents = vec![Vec::new()];
        for (index, node) in nodes.iter().enumerate() {
            let parent = *node.parent.get(&directories);
            let mut own = Vec::new();
            let number = match &node.kind {
                Kind::HardLink(_) | Kind::Directory if matches!(node.kind, Kind::Directory) || files.is_empty() => {
                    let number = tree.directory(parent, &node.name);
                    directories.push(number);
                    number
                }
                Kind::HardLink(target) => {
                    let content = ArchiveNodeContent::HardLink(*target.get(&files));
                    tree.node(parent, &node.name, content)
                }
                Kind::Symlink(target) => {
                    tree.node(parent, &node.name, ArchiveNodeContent::Symlink(target.clone()))
                }
                Kind::File(size) => {
                    own = content(index as u64, *size);
                    let number = tree.file(parent, &node.name, &own);
                    files.push(number);
                    number
                }
                Kind::Directory => unreachable!(),
            };
            let added = &mut tree.batch.nodes[number as usize];
            (added.mode, added.modified) = (node.mode, node.modified);
            contents.push(own);
        }
        let stream = tree.stream();
        let expected = expected(&tree.batch);
        for (compression, bytes) in [
            (Compression::None, stream.clone()),
            (Compression::Gzip, gzip(&stream)),
            (Compression::Zstd, zstd(&stream)),
        ] {
            let (entries, got): (Vec<_>, Vec<_>) =
                receive(&bytes, compression).unwrap().into_iter().unzip();
            prop_assert_eq!(&entries, &expected);
            prop_assert!(got == contents);
        }
        // The crate that the original uses sees the same.
        let mut archive = tar::Archive::new(&stream[..]);
        for (entry, expected) in archive.entries().unwrap().zip(&expected) {
            let entry = entry.unwrap();
            prop_assert_eq!(&*entry.path_bytes(), &expected.path[..]);
            prop_assert_eq!(entry.header().mode().unwrap(), expected.mode);
            match &expected.content {
                ArchiveContent::File(size) => prop_assert_eq!(entry.size(), *size),
                ArchiveContent::Symlink(link) | ArchiveContent::HardLink(link) => {
                    let found = entry.link_name_bytes().unwrap();
                    prop_assert_eq!(found.as_ref(), &link[..]);
                }
                _ => prop_assert!(entry.header().entry_type().is_dir()),
            }
            if (0..1 << 33).contains(&expected.modified.seconds) {
                let seconds = entry.header().mtime().unwrap() as i64;
                prop_assert_eq!(seconds, expected.modified.seconds);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            prop_assert!(receive(&bytes, compression).is_err());
        }
        let mut tree = Outgoing::new();
        let file = tree.file(0, &[b'n'; 150], &bytes);
        tree.node(0, b"hard", ArchiveNodeContent::HardLink(file));
        let stream = tree.stream();
        for mut damaged in [stream.clone(), gzip(&stream), zstd(&stream)] {
            for (at, byte) in &changes {
                *at.get_mut(&mut damaged) = *byte;
            }
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let _ = receive(&damaged, compression);
            }
        }
    }
}
