//! Whatever decodes is safe, and anything unsafe is refused with the right fault.
//!
//! Hostile manifests are written byte by byte, because the encoder cannot make them.

use super::*;
use crate::digest::sha256;
use btdt_ports::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One item of CBOR with a length or value of up to 64 bits.
fn head(major: u8, value: u64) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..24 => vec![major | value as u8],
        24..0x100 => vec![major | 24, value as u8],
        0x100..0x1_0000 => [&[major | 25][..], &(value as u16).to_be_bytes()].concat(),
        0x1_0000..0x1_0000_0000 => [&[major | 26][..], &(value as u32).to_be_bytes()].concat(),
        _ => [&[major | 27][..], &value.to_be_bytes()].concat(),
    }
}

fn number(value: u64) -> Vec<u8> {
    head(0, value)
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len() as u64), value.to_vec()].concat()
}

fn text(value: &str) -> Vec<u8> {
    [head(3, value.len() as u64), value.as_bytes().to_vec()].concat()
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let fields: Vec<Vec<u8>> =
        fields.iter().map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [head(5, fields.len() as u64), fields.concat()].concat()
}

fn directory(parent: u64, name: &[u8]) -> Vec<u8> {
    array(&[number(0), number(parent), bytes(name), number(0o755), number(1), number(2)])
}

fn file(parent: u64, name: &[u8], extents: &[u64]) -> Vec<u8> {
    let extents: Vec<_> = extents.iter().copied().map(number).collect();
    let fields = [number(1), number(parent), bytes(name), number(0o644), number(1), number(2)];
    array(&[&fields[..], &[array(&extents)]].concat())
}

fn symlink(parent: u64, name: &[u8], target: &[u8]) -> Vec<u8> {
    array(&[number(2), number(parent), bytes(name), bytes(target), number(1), number(2)])
}

fn hard_link(parent: u64, name: &[u8], target: u64) -> Vec<u8> {
    array(&[number(3), number(parent), bytes(name), number(target)])
}

/// The fields of a manifest with chunks of these sizes.
fn fields(sizes: &[u64], entries: &[Vec<u8>]) -> Vec<(&'static str, Vec<u8>)> {
    let digests: Vec<u8> =
        (0..sizes.len()).flat_map(|number| sha256(&number.to_be_bytes()).to_bytes()).collect();
    let sizes: Vec<_> = sizes.iter().copied().map(number).collect();
    vec![
        ("format", text("btdt manifest")),
        ("version", number(1)),
        ("digests", bytes(&digests)),
        ("sizes", array(&sizes)),
        ("entries", array(entries)),
    ]
}

/// A manifest with one chunk of 100 bytes and these entries in its root directory.
fn with(entries: &[Vec<u8>]) -> Vec<u8> {
    let entries = [&[directory(0, b"")], entries].concat();
    map(&fields(&[100], &entries))
}

/// Whether a manifest is safe to restore, checked independently of the builder.
fn assert_safe(manifest: &Manifest) {
    assert!(!manifest.is_empty());
    let mut kinds = Vec::new();
    let mut paths = BTreeMap::new();
    let mut last_in: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for (number, node) in manifest.nodes() {
        let path: Vec<u8> = if number == 0 {
            assert!(node.name.is_empty() && node.parent == 0);
            assert!(matches!(node.content, Content::Directory | Content::File(_)));
            Vec::new()
        } else {
            assert!(node.parent < number, "a parent comes first");
            assert_eq!(kinds[node.parent as usize], "directory");
            assert!((1..=255).contains(&node.name.len()));
            assert!(node.name != b"." && node.name != b"..");
            assert!(!node.name.contains(&b'/') && !node.name.contains(&0));
            let before = last_in.insert(node.parent, node.name.to_vec());
            assert!(before.is_none_or(|before| before.as_slice() < node.name));
            [manifest.path(node.parent), node.name.to_vec()].join(&b'/')
        };
        assert_eq!(paths.insert(path, number), None, "a path occurs once");
        assert!(node.mode.is_none_or(|mode| mode <= 0o777));
        assert!(node.modified.nanoseconds < 1_000_000_000);
        kinds.push(match node.content {
            Content::Directory => "directory",
            Content::File(extents) => {
                for extent in extents {
                    let size = u64::from(manifest.chunks()[extent.chunk as usize].raw_size);
                    let end = u64::from(extent.offset) + u64::from(extent.length);
                    assert!(extent.length > 0 && end <= size);
                }
                "file"
            }
            Content::Symlink(target) => {
                assert!((1..=4096).contains(&target.len()) && !target.contains(&0));
                "symlink"
            }
            Content::HardLink(target) => {
                assert!(target < number);
                assert_eq!(kinds[target as usize], "file");
                "hard link"
            }
        });
    }
    for chunk in manifest.chunks() {
        assert!((1..=4 << 20).contains(&chunk.raw_size));
    }
}

/// What must hold for any bytes.
fn assert_safe_or_refused(encoded: &[u8]) {
    match decode(encoded) {
        Ok(manifest) => {
            assert_safe(&manifest);
            assert_eq!(decode_chunks(encoded).as_deref(), Ok(manifest.chunks()));
            let again = encode(&manifest).unwrap();
            assert_eq!(decode(&again).as_ref(), Ok(&manifest));
        }
        Err(fault) => {
            // Decoding the whole manifest must agree with decoding its chunks alone.
            if let Err(of_chunks) = decode_chunks(encoded) {
                let entries_first = matches!(of_chunks, ManifestFault::Malformed);
                assert!(entries_first || of_chunks == fault, "{of_chunks} {fault}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Kind {
    Directory(BTreeMap<Vec<u8>, Kind>),
    File(Vec<(prop::sample::Index, u32, u32)>),
    Symlink(Vec<u8>),
    HardLink(prop::sample::Index),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..12).prop_filter("a name", |name| is_safe_name(name))
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        4 => vec((any::<prop::sample::Index>(), any::<u32>(), any::<u32>()), 0..4)
            .prop_map(Kind::File),
        1 => vec(1..=u8::MAX, 1..40).prop_map(Kind::Symlink),
        1 => any::<prop::sample::Index>().prop_map(Kind::HardLink),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| btree_map(name(), inner, 0..6).prop_map(Kind::Directory))
}

/// A valid manifest with a random tree.
fn manifest() -> impl Strategy<Value = Manifest> {
    let children = btree_map(name(), kind(), 0..8);
    let time = (any::<i64>(), 0..1_000_000_000_u32, prop::option::of(0..=0o777_u32));
    (vec(1..=MAX_CHUNK, 0..5), children, vec(time, 1..5)).prop_map(|(sizes, children, times)| {
        let mut builder = Builder::new();
        for (number, raw_size) in sizes.iter().enumerate() {
            let digest = sha256(&number.to_be_bytes());
            builder.add_chunk(ChunkRef { digest, raw_size: *raw_size }).unwrap();
        }
        let mut files = Vec::new();
        add(&mut builder, &sizes, &times, &mut files, 0, b"", &Kind::Directory(children));
        builder.finish().unwrap()
    })
}

fn add(
    builder: &mut Builder,
    sizes: &[u32],
    times: &[(i64, u32, Option<u32>)],
    files: &mut Vec<u32>,
    parent: u32,
    name: &[u8],
    kind: &Kind,
) {
    let next = builder.manifest.nodes.len();
    let (seconds, nanoseconds, mode) = times[next % times.len()];
    let extents: Vec<Extent> = match kind {
        Kind::File(extents) if !sizes.is_empty() => extents
            .iter()
            .map(|(chunk, offset, length)| {
                let chunk = chunk.index(sizes.len());
                let offset = offset % sizes[chunk];
                let length = 1 + length % (sizes[chunk] - offset);
                Extent { chunk: chunk as u32, offset, length }
            })
            .collect(),
        _ => Vec::new(),
    };
    let content = match kind {
        Kind::Directory(_) => Content::Directory,
        Kind::Symlink(target) => Content::Symlink(target),
        Kind::HardLink(index) if !files.is_empty() => {
            Content::HardLink(files[index.index(files.len())])
        }
        Kind::File(_) | Kind::HardLink(_) => Content::File(&extents),
    };
    let is_link = matches!(content, Content::Symlink(_) | Content::HardLink(_));
    let is_hard_link = matches!(content, Content::HardLink(_));
    let modified = if is_hard_link { (0, 0) } else { (seconds, nanoseconds) };
    let number = builder
        .add(Node {
            parent,
            name,
            mode: if is_link { None } else { mode },
            modified: Timestamp { seconds: modified.0, nanoseconds: modified.1 },
            content,
        })
        .unwrap();
    if matches!(content, Content::File(_)) {
        files.push(number);
    }
    if let Kind::Directory(children) = kind {
        for (name, kind) in children {
            add(builder, sizes, times, files, number, name, kind);
        }
    }
}

/// An entry that is almost valid.
fn wild_entry() -> impl Strategy<Value = Vec<u8>> {
    let names = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(|name| name.into()),
        1 => prop::sample::select(vec!["", ".", "..", "a/b", "/", "\0"]).prop_map(|name| name.into()),
        1 => vec(any::<u8>(), 0..3),
    ];
    let wild = prop_oneof![3 => 0..6_u64, 1 => 90..110_u64, 1 => any::<u64>()];
    (0..5_u64, 0..6_u64, names, vec(wild, 0..9), any::<bool>()).prop_map(
        |(kind, parent, name, numbers, valid)| match (kind, valid) {
            (0, true) => directory(parent, &name),
            (1, true) => file(parent, &name, &[0, 0, 5]),
            (1, false) => file(parent, &name, &numbers),
            (2, true) => symlink(parent, &name, b"../x"),
            (3, true) => hard_link(parent, &name, numbers.first().copied().unwrap_or(1)),
            _ => {
                let start = [number(kind), number(parent), bytes(&name)];
                let rest: Vec<_> = numbers.into_iter().map(number).collect();
                array(&[&start[..], &rest].concat())
            }
        },
    )
}

proptest! {
    #[test]
    fn a_manifest_survives(manifest in manifest()) {
        assert_safe(&manifest);
        let encoded = encode(&manifest).unwrap();
        prop_assert_eq!(decode(&encoded), Ok(manifest.clone()));
        prop_assert_eq!(decode_chunks(&encoded), Ok(manifest.chunks().to_vec()));
        prop_assert_eq!(encode(&decode(&encoded).unwrap()), Ok(encoded));
    }

    #[test]
    fn any_bytes_are_safe_or_refused(encoded in vec(any::<u8>(), 0..200)) {
        assert_safe_or_refused(&encoded);
    }

    #[test]
    fn a_damaged_manifest_is_safe_or_refused(
        manifest in manifest(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut encoded = encode(&manifest).unwrap();
        prop_assert!(decode(&encoded[..cut.index(encoded.len())]).is_err());
        for (place, byte) in damage {
            let place = place.index(encoded.len());
            encoded[place] = byte;
        }
        assert_safe_or_refused(&encoded);
    }

    #[test]
    fn any_entries_are_safe_or_refused(entries in vec(wild_entry(), 0..7)) {
        assert_safe_or_refused(&with(&entries));
        assert_safe_or_refused(&map(&fields(&[100], &entries)));
    }
}

#[test]
fn names_that_are_not_names_are_refused() {
    let long = [b'a'; 256];
    for name in
        [&b""[..], b".", b"..", b"a/b", b"/", b"/etc", b"../a", b"a/..", b"a\0", b"\0", &long]
    {
        let entries =
            [directory(0, name), file(0, name, &[]), symlink(0, name, b"x"), hard_link(0, name, 1)];
        for entry in entries {
            assert_eq!(decode(&with(&[entry])), Err(ManifestFault::Name(1)), "{name:?}");
        }
    }
    for name in [&b"..."[..], b"..a", b"a..", b" ", b"\\", b"\xff", b"\n", &long[1..]] {
        assert_safe(&decode(&with(&[directory(0, name)])).unwrap());
    }
}

#[test]
fn names_out_of_order_or_twice_are_refused() {
    let twice = with(&[file(0, b"a", &[]), directory(0, b"a")]);
    assert_eq!(decode(&twice), Err(ManifestFault::Order(2)));
    let swapped = with(&[file(0, b"b", &[]), file(0, b"a", &[])]);
    assert_eq!(decode(&swapped), Err(ManifestFault::Order(2)));
    // The same with another entry in between.
    let apart = with(&[directory(0, b"a"), file(1, b"x", &[]), symlink(0, b"a", b"/etc")]);
    assert_eq!(decode(&apart), Err(ManifestFault::Order(3)));
}

#[test]
fn parents_that_are_no_open_directories_are_refused() {
    let not_open = [
        with(&[file(0, b"a", &[]), file(1, b"b", &[])]),
        with(&[symlink(0, b"a", b"/etc"), file(1, b"passwd", &[])]),
        with(&[directory(1, b"a")]),
        with(&[directory(2, b"a"), directory(0, b"b")]),
        with(&[directory(u64::from(u32::MAX), b"a")]),
    ];
    for encoded in not_open {
        let number =
            if let Err(ManifestFault::Parent(number)) = decode(&encoded) { number } else { 0 };
        assert!(number > 0, "{:?}", decode(&encoded));
    }
    let closed = with(&[directory(0, b"a"), directory(0, b"b"), file(1, b"c", &[])]);
    assert_eq!(decode(&closed), Err(ManifestFault::Parent(3)));
}

#[test]
fn roots_of_another_kind_are_refused() {
    for root in [
        symlink(0, b"", b"/etc"),
        hard_link(0, b"", 0),
        directory(0, b"a"),
        directory(1, b""),
        file(0, b"a", &[]),
    ] {
        assert_eq!(decode(&map(&fields(&[], &[root]))), Err(ManifestFault::Parent(0)));
    }
    let single = map(&fields(&[100], &[file(0, b"", &[0, 0, 100])]));
    assert_eq!(decode(&single).unwrap().totals(), (1, 100));
    let below_a_file = map(&fields(&[], &[file(0, b"", &[]), file(0, b"a", &[])]));
    assert_eq!(decode(&below_a_file), Err(ManifestFault::Parent(1)));
    assert_eq!(decode(&map(&fields(&[], &[]))), Err(ManifestFault::Malformed));
}

#[test]
fn extents_outside_of_their_chunks_are_refused() {
    let limit = u64::from(u32::MAX);
    for extents in [
        &[0, 0, 101][..],
        &[0, 100, 1],
        &[0, 1, 100],
        &[0, limit, limit],
        &[0, limit, 1],
        &[0, 1, limit],
        &[1, 0, 1],
        &[limit, 0, 1],
        &[0, 0, 0],
        &[0, 0, 50, 0, 50, 51],
    ] {
        let fault = decode(&with(&[file(0, b"a", extents)]));
        assert_eq!(fault, Err(ManifestFault::Extent(1)), "{extents:?}");
    }
    for extents in [&[0][..], &[0, 0], &[0, 0, 1, 0], &[limit + 1, 0, 1]] {
        let fault = decode(&with(&[file(0, b"a", extents)]));
        assert_eq!(fault, Err(ManifestFault::Malformed), "{extents:?}");
    }
    assert_safe(&decode(&with(&[file(0, b"a", &[0, 0, 100, 0, 99, 1])])).unwrap());
}

#[test]
fn chunks_of_impossible_sizes_are_refused() {
    for size in [0, (4 << 20) + 1, u64::from(u32::MAX)] {
        let encoded = map(&fields(&[1, size], &[directory(0, b"")]));
        assert_eq!(decode(&encoded), Err(ManifestFault::Extent(0)), "{size}");
        assert_eq!(decode_chunks(&encoded), Err(ManifestFault::Extent(0)), "{size}");
    }
    for size in [1, 4 << 20] {
        assert!(decode(&map(&fields(&[size], &[directory(0, b"")]))).is_ok());
    }
}

#[test]
fn impossible_metadata_is_refused() {
    let entry = |mode: Vec<u8>, nanoseconds: u64| {
        array(&[number(0), number(0), bytes(b"a"), mode, number(1), number(nanoseconds)])
    };
    for mode in [0o1000, 0o1777, 0o4755, 0xffff, 0x1_0000, u64::from(u32::MAX)] {
        let fault = decode(&with(&[entry(number(mode), 0)]));
        assert_eq!(fault, Err(ManifestFault::Metadata(1)), "{mode:o}");
    }
    for nanoseconds in [1_000_000_000, u64::from(u32::MAX)] {
        let fault = decode(&with(&[entry(number(0o700), nanoseconds)]));
        assert_eq!(fault, Err(ManifestFault::Metadata(1)));
    }
    let null = vec![0xf6];
    let manifest = decode(&with(&[entry(null, 999_999_999)])).unwrap();
    assert_eq!(manifest.node(1).mode, None);
}

#[test]
fn links_to_anything_else_are_refused() {
    let file = file(0, b"a", &[]);
    for (target, fault) in [(0, 2), (2, 2), (3, 2), (u64::from(u32::MAX), 2)] {
        let encoded = with(&[file.clone(), hard_link(0, b"b", target)]);
        assert_eq!(decode(&encoded), Err(ManifestFault::Link(fault)), "{target}");
    }
    let to_symlink = with(&[symlink(0, b"a", b"x"), hard_link(0, b"b", 1)]);
    assert_eq!(decode(&to_symlink), Err(ManifestFault::Link(2)));
    let to_hard_link = with(&[file, hard_link(0, b"b", 1), hard_link(0, b"c", 2)]);
    assert_eq!(decode(&to_hard_link), Err(ManifestFault::Link(3)));
    for target in [&b""[..], b"a\0b", &[b'a'; 4097]] {
        let encoded = with(&[symlink(0, b"b", target)]);
        assert_eq!(decode(&encoded), Err(ManifestFault::Link(1)));
    }
    // A symbolic link's target is data: nothing is ever written through it.
    assert_safe(&decode(&with(&[symlink(0, b"b", b"/etc/../..")])).unwrap());
    assert_safe(&decode(&with(&[symlink(0, b"b", &[b'a'; 4096])])).unwrap());
}

#[test]
fn later_versions_are_told_apart_from_garbage() {
    for version in [0, 2, u64::from(u32::MAX)] {
        let mut fields = fields(&[], &[directory(0, b"")]);
        fields[1].1 = number(version);
        fields.push(("future", number(0)));
        let fault = ManifestFault::Version(version as u32);
        assert_eq!(decode(&map(&fields)), Err(fault));
        assert_eq!(decode_chunks(&map(&fields)), Err(fault));
    }
}

#[test]
fn other_shapes_are_refused() {
    let good = fields(&[100], &[directory(0, b"")]);
    assert!(decode(&map(&good)).is_ok());
    let mut shapes = vec![Vec::new(), number(1), map(&[]), array(&[]), vec![0xff]];
    shapes.push([map(&good), vec![0]].concat());
    shapes.push([map(&good), map(&good)].concat());
    for index in 0..good.len() {
        // One field missing, one repeated, one renamed, one of another type, two swapped.
        let mut fields = good.clone();
        fields.remove(index);
        shapes.push(map(&fields));
        let mut fields = good.clone();
        fields.insert(index, good[index].clone());
        shapes.push(map(&fields));
        let mut fields = good.clone();
        fields[index].0 = "unknown";
        shapes.push(map(&fields));
        let mut fields = good.clone();
        fields[index].1 = map(&[]);
        shapes.push(map(&fields));
        let mut fields = good.clone();
        fields.swap(index, (index + 1) % good.len());
        shapes.push(map(&fields));
    }
    let mut unknown = good.clone();
    unknown.push(("unknown", number(1)));
    shapes.push(map(&unknown));
    let mut short = good.clone();
    short[2].1 = bytes(&[0; 31]);
    shapes.push(map(&short));
    let mut other = good.clone();
    other[0].1 = text("btdt manifests");
    shapes.push(map(&other));
    shapes.push(with(&[array(&[number(4), number(0), bytes(b"a")])]));
    shapes.push(with(&[array(&[number(3), number(0), bytes(b"a")])]));
    shapes.push(with(&[array(&[number(3), number(0), bytes(b"a"), number(0), number(0)])]));
    shapes.push(with(&[array(&[number(3), number(0), text("a"), number(0)])]));
    for shape in shapes {
        assert_eq!(decode(&shape), Err(ManifestFault::Malformed), "{shape:02x?}");
    }
}

#[test]
fn lengths_that_lie_and_deep_nesting_cost_nothing() {
    let start = |field: usize| {
        let mut all = fields(&[100], &[directory(0, b"")]);
        all.truncate(field);
        let mut encoded = map(&all);
        encoded[0] = 0xa5;
        encoded
    };
    for (field, name, major) in [(2, "digests", 2), (3, "sizes", 4), (4, "entries", 4)] {
        for length in [u64::from(u32::MAX), 1 << 40, u64::MAX] {
            let encoded = [start(field), text(name), head(major, length)].concat();
            assert_eq!(decode(&encoded), Err(ManifestFault::Malformed));
            assert_eq!(decode_chunks(&encoded), Err(ManifestFault::Malformed));
        }
    }
    for opening in [0x81, 0x9f, 0xc1] {
        let deep = [start(4), text("entries"), vec![opening; 1 << 20]].concat();
        assert_eq!(decode(&deep), Err(ManifestFault::Malformed));
        assert_eq!(decode_chunks(&deep), Err(ManifestFault::Malformed));
    }
}

#[test]
fn a_deep_tree_survives() {
    let mut builder = Builder::new();
    let node = |parent, name| Node {
        parent,
        name,
        mode: None,
        modified: Timestamp::default(),
        content: Content::Directory,
    };
    builder.add(node(0, b"")).unwrap();
    for parent in 0..5000 {
        builder.add(node(parent, b"d")).unwrap();
    }
    let manifest = builder.finish().unwrap();
    let decoded = decode(&encode(&manifest).unwrap()).unwrap();
    assert_eq!(decoded, manifest);
    assert_eq!(decoded.path(5000).len(), 5000 * 2 - 1);
}

#[test]
fn the_encoding_is_the_documented_one() {
    let manifests = [
        with(&[
            directory(0, b"d"),
            file(1, b"f", &[0, 10, 20, 0, 0, 10]),
            hard_link(1, b"g", 2),
            symlink(0, b"s", b"d/f"),
        ]),
        map(&fields(&[], &[directory(0, b"")])),
    ];
    for encoded in manifests {
        assert_eq!(encode(&decode(&encoded).unwrap()), Ok(encoded));
    }
}
