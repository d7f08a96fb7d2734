//! Any tree comes back as it was, from either kind of tree into either.

use super::support::*;
use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_ports::*;
use btdt_test_support::memory_tree::MemoryTree;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    HardLink(prop::sample::Index),
}

#[derive(Clone, Debug)]
struct Seed {
    parent: prop::sample::Index,
    name: Vec<u8>,
    kind: Kind,
    mode: u32,
    modified: Timestamp,
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no name", |byte| !matches!(byte, 0 | b'/'));
    prop::collection::vec(byte, 1..12)
        .prop_filter("no name", |name| !matches!(&**name, b"." | b".."))
}

fn any_seed() -> impl Strategy<Value = Seed> {
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 2000_usize..20_000).prop_map(|(byte, length)| {
            (0..length).map(|index| byte.wrapping_mul((index / 37) as u8) ^ index as u8).collect()
        }),
    ];
    let kind = prop_oneof![
        3 => Just(Kind::Directory),
        5 => content.prop_map(Kind::File),
        1 => any_name().prop_map(Kind::Symlink),
        1 => any::<prop::sample::Index>().prop_map(Kind::HardLink),
    ];
    let modified = (-1000_i64..4_000_000_000, 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanoseconds)| at(seconds, nanoseconds));
    (any::<prop::sample::Index>(), any_name(), kind, 0_u32..0o1000, modified).prop_map(
        |(parent, name, kind, mode, modified)| Seed { parent, name, kind, mode, modified },
    )
}

/// A tree of these things; a name that is taken is left out.
fn build(seeds: &[Seed]) -> MemoryTree {
    let tree = MemoryTree::new();
    tree.insert_directory(b"", 0o755, at(1, 999_999_999)).unwrap();
    let mut directories = vec![Vec::new()];
    let mut files: Vec<Vec<u8>> = Vec::new();
    for Seed { parent, name, kind, mode, modified } in seeds {
        let path = btdt_host_runtime::tree::plan_checks::join(
            &directories[parent.index(directories.len())],
            name,
        );
        let inserted = match kind {
            Kind::Directory => tree.insert_directory(&path, *mode, *modified),
            Kind::File(content) => tree.insert_file(&path, content, *mode, *modified),
            Kind::Symlink(target) => tree.insert_symlink(&path, target, *modified),
            Kind::HardLink(_) if files.is_empty() => continue,
            Kind::HardLink(target) => {
                tree.insert_hard_link(&path, &files[target.index(files.len())])
            }
        };
        match (inserted, kind) {
            (Ok(()), Kind::Directory) => directories.push(path),
            (Ok(()), Kind::File(_)) => files.push(path),
            _ => {}
        }
    }
    tree
}

fn copy<From, To>(from: &From, to: &To)
where
    From: Tree<Sink = Sink, Source = Source>,
    To: Tree<Sink = Sink, Source = Source>,
{
    let store = TestStore::new();
    let sink: Sink = store.clone();
    let plan = pack_and_plan(from, &sink);
    carry_out(to, &store, Placement::Staged, vec![plan]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_as_it_was(seeds in prop::collection::vec(any_seed(), 0..60)) {
        // As another user than root, a file without access cannot be read back.
        let mut seeds = seeds;
        if !rustix::process::geteuid().is_root() {
            for seed in &mut seeds {
                seed.mode |= 0o700;
            }
        }
        let original = build(&seeds);
        let disk = OnDisk::new();
        let second = OnDisk::new();
        let back = MemoryTree::new();
        copy(&original, &disk.tree());
        copy(&disk.tree(), &second.tree());
        copy(&second.tree(), &back);
        let expected = contents(&original);
        prop_assert_eq!(&contents(&disk.tree()), &expected);
        prop_assert_eq!(&contents(&back), &expected);
    }
}
