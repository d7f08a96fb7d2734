//! Lists, digests and packs, on both kinds of trees.

use super::support::*;
use btdt_host_runtime::chunk_io::Sink;
use btdt_ports::*;
use fastcdc::v2020::FastCDC;

macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_disk { $( #[test] fn $name() { super::$name::<super::OnDisk>() } )* }
        mod in_memory { $( #[test] fn $name() { super::$name::<super::InMemory>() } )* }
    };
}

on_both! {
    a_list_is_sorted_and_complete
    nothing_is_no_error
    links_are_followed_only_on_demand
    a_loop_of_links_ends_in_an_error
    reading_stops_at_the_limit
    digests_are_those_of_the_contents
    outcomes_come_in_order
    a_changed_file_spoils_its_group_only
    a_vanished_file_is_named
    a_full_sink_fails_the_pack
    groups_outside_the_batch_are_refused
    cuts_do_not_depend_on_how_a_file_is_read
    a_file_at_the_root_is_packed
}

fn small<F: Fixture>() -> F {
    let fixture = F::new();
    fixture.directory("", 0o755, at(5, 5));
    fixture.directory("b", 0o711, at(6, 6));
    fixture.file("b/two", b"second", 0o600, at(7, 123_456_789));
    fixture.file("a.txt", b"first", 0o644, at(8, 1));
    fixture.hard_link("b/again", "a.txt");
    fixture.symlink("c", "b/two");
    fixture
}

fn a_list_is_sorted_and_complete<F: Fixture>() {
    let fixture = small::<F>();
    let lists = fixture.tree().read_directories(
        &[b"".to_vec(), b"b".to_vec(), b"none".to_vec(), b"a.txt".to_vec(), b"../x".to_vec()],
        FollowLinks::Never,
    );
    let [root, b, none, file, outside] = &*lists else { panic!() };
    let root = root.as_ref().unwrap();
    let names: Vec<&[u8]> = root.iter().map(|entry| &*entry.name).collect();
    assert_eq!(names, [&b"a.txt"[..], b"b", b"c"]);
    assert_eq!(root[1].kind, EntryKind::Directory);
    assert_eq!((root[1].mode, root[1].size), (Some(0o711), 0));
    assert_eq!(root[2].target.as_deref(), Some(&b"b/two"[..]));
    let b = b.as_ref().unwrap();
    assert_eq!(b[1].modified, at(7, 123_456_789));
    assert_eq!((b[1].size, b[1].mode, b[1].link), (6, Some(0o600), None));
    assert!(b[0].link.is_some());
    assert_eq!(b[0].link, root[0].link);
    assert_eq!(none.as_ref().unwrap_err().kind, IoErrorKind::NotFound);
    assert_eq!(file.as_ref().unwrap_err().kind, IoErrorKind::NotADirectory);
    assert!(outside.is_err());
}

fn nothing_is_no_error<F: Fixture>() {
    let fixture = F::new();
    assert_eq!(fixture.tree().root(), Ok(None));
    fixture.directory("", 0o750, at(1, 2));
    let root = fixture.tree().root().unwrap().unwrap();
    assert_eq!(
        (root.kind, root.mode, root.modified),
        (EntryKind::Directory, Some(0o750), at(1, 2))
    );
}

fn links_are_followed_only_on_demand<F: Fixture>() {
    let fixture = small::<F>();
    fixture.symlink("to_b", "b");
    let tree = fixture.tree();
    let list = |path: &[u8], follow| tree.read_directories(&[path.to_vec()], follow).remove(0);
    let never = list(b"to_b", FollowLinks::Never);
    assert!(never.is_err(), "{never:?}");
    let through = list(b"to_b", FollowLinks::Always).unwrap();
    assert_eq!(through[1].name, b"two");
    let followed = list(b"", FollowLinks::Always).unwrap();
    assert_eq!((followed[2].kind, followed[2].size), (EntryKind::File, 6));
    assert_eq!(followed[3].kind, EntryKind::Directory);
    let paths = [b"c".to_vec(), b"to_b/two".to_vec()];
    let digests = tree.digest_files(&paths, Algorithm::Sha256, FollowLinks::Always);
    let expected = btdt_host_runtime::codec::sha256(b"second");
    assert_eq!(digests, [Ok(expected), Ok(expected)]);
    for refused in tree.digest_files(&paths, Algorithm::Sha256, FollowLinks::Never) {
        assert!(refused.is_err());
    }
    assert!(tree.read_file(b"c", 100).is_err());
    fixture.symlink("dangling", "nowhere");
    assert!(list(b"", FollowLinks::Always).is_err());
    assert!(list(b"", FollowLinks::Never).is_ok());
}

fn a_loop_of_links_ends_in_an_error<F: Fixture>() {
    let fixture = small::<F>();
    fixture.symlink("b/up", "../b");
    let tree = fixture.tree();
    let mut path = b"b".to_vec();
    let mut failed = false;
    for _ in 0..200 {
        failed |= tree.read_directories(&[path.clone()], FollowLinks::Always)[0].is_err();
        path.extend_from_slice(b"/up");
    }
    assert!(failed);
}

fn reading_stops_at_the_limit<F: Fixture>() {
    let fixture = small::<F>();
    let tree = fixture.tree();
    assert_eq!(tree.read_file(b"b/two", 6), Ok(b"second".to_vec()));
    let too_large = tree.read_file(b"b/two", 5).unwrap_err();
    assert_eq!(too_large.kind, IoErrorKind::TooLarge);
    assert_eq!(tree.read_file(b"b", 5).unwrap_err().kind, IoErrorKind::IsADirectory);
    assert_eq!(tree.read_file(b"b/three", 5).unwrap_err().kind, IoErrorKind::NotFound);
}

fn digests_are_those_of_the_contents<F: Fixture>() {
    let fixture = F::new();
    fixture.directory("", 0o755, at(0, 0));
    let mut paths = Vec::new();
    let mut expected = Vec::new();
    for index in 0..50_usize {
        let content = vec![index as u8; index * 1000];
        fixture.file(&format!("{index}"), &content, 0o644, at(0, 0));
        paths.push(format!("{index}").into_bytes());
        expected.push(Ok(Digest::new(*blake3::hash(&content).as_bytes())));
    }
    let digests = fixture.tree().digest_files(&paths, Algorithm::Blake3, FollowLinks::Never);
    assert_eq!(digests, expected);
}

fn file(directory: u32, name: &[u8], size: u64, modified: Timestamp) -> PackFile {
    PackFile { directory: Some(directory), name: name.to_vec(), size, modified }
}

fn pack<F: Fixture>(fixture: &F, batch: PackBatch) -> Result<Vec<Packed>, PackError> {
    let sink: Sink = TestStore::new();
    let mut packer = fixture.tree().pack(&sink, SIZES).unwrap();
    packer.submit(batch)?;
    packer.finish()
}

fn small_batch() -> PackBatch {
    PackBatch {
        directories: vec![b"".to_vec(), b"b".to_vec()],
        files: vec![file(0, b"a.txt", 5, at(8, 1)), file(1, b"two", 6, at(7, 123_456_789))],
        groups: vec![
            Group::Bundle(Bundle { first: 0, count: 2 }),
            Group::Cut(Cut { file: 1, offset: 2, length: 3 }),
            Group::Bundle(Bundle { first: 1, count: 1 }),
        ],
    }
}

fn outcomes_come_in_order<F: Fixture>() {
    let fixture = small::<F>();
    let packed = pack(&fixture, small_batch()).unwrap();
    let digests: Vec<Digest> = packed
        .iter()
        .map(|packed| match packed {
            Packed::Chunks(chunks) => chunks[0].digest,
            fault => panic!("{fault:?}"),
        })
        .collect();
    let contents: [&[u8]; 3] = [b"firstsecond", b"con", b"second"];
    assert_eq!(digests, contents.map(btdt_host_runtime::codec::sha256));
}

fn a_changed_file_spoils_its_group_only<F: Fixture>() {
    let fixture = small::<F>();
    for changed in [file(1, b"two", 6, at(7, 1)), file(1, b"two", 7, at(7, 123_456_789))] {
        let mut batch = small_batch();
        batch.files[1] = changed;
        batch.groups = vec![
            Group::Bundle(Bundle { first: 0, count: 2 }),
            Group::Bundle(Bundle { first: 0, count: 1 }),
            Group::Cut(Cut { file: 1, offset: 0, length: 1 }),
        ];
        let packed = pack(&fixture, batch).unwrap();
        let fault = Packed::Fault(PackedFault { file: 1, fault: FileFault::Changed });
        assert_eq!((&packed[0], &packed[2]), (&fault, &fault));
        assert!(matches!(packed[1], Packed::Chunks(_)));
    }
}

fn a_vanished_file_is_named<F: Fixture>() {
    let fixture = small::<F>();
    fixture.remove("b/two");
    let packed = pack(&fixture, small_batch()).unwrap();
    for packed in packed {
        let Packed::Fault(PackedFault { file: 1, fault: FileFault::Unreadable(error) }) = packed
        else {
            panic!("{packed:?}")
        };
        assert_eq!(error.kind, IoErrorKind::NotFound);
    }
}

fn a_full_sink_fails_the_pack<F: Fixture>() {
    let fixture = small::<F>();
    let store = TestStore::new();
    *store.room.lock().unwrap() = Some(1);
    let sink: Sink = store;
    let mut packer = fixture.tree().pack(&sink, SIZES).unwrap();
    let submitted = (0..1000).try_for_each(|_| packer.submit(small_batch()));
    let error = submitted.and_then(|()| packer.finish().map(drop)).unwrap_err();
    assert_eq!(error.0.kind, IoErrorKind::NoSpace);
}

fn groups_outside_the_batch_are_refused<F: Fixture>() {
    let fixture = small::<F>();
    for group in [
        Group::Bundle(Bundle { first: 0, count: 3 }),
        Group::Bundle(Bundle { first: 2, count: 1 }),
        Group::Bundle(Bundle { first: 0, count: 0 }),
        Group::Bundle(Bundle { first: u32::MAX, count: 2 }),
        Group::Cut(Cut { file: 2, offset: 0, length: 1 }),
        Group::Cut(Cut { file: 0, offset: 0, length: 0 }),
        Group::Cut(Cut { file: 0, offset: 0, length: 6 }),
        Group::Cut(Cut { file: 0, offset: u64::MAX, length: 2 }),
    ] {
        let batch = PackBatch { groups: vec![group], ..small_batch() };
        assert!(pack(&fixture, batch).is_err(), "{group:?}");
    }
    for hostile in [&b"../x"[..], b"..", b"b/two", b""] {
        let mut batch = small_batch();
        batch.files[0].name = hostile.to_vec();
        assert!(pack(&fixture, batch).is_err(), "{hostile:?}");
    }
}

/// Bytes without a pattern, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn cuts_do_not_depend_on_how_a_file_is_read<F: Fixture>() {
    let mut content = noise(100_000);
    content[20_000..50_000].fill(0);
    let fixture = F::new();
    fixture.directory("", 0o755, at(0, 0));
    fixture.file("f", &content, 0o644, at(1, 1));
    let batch = PackBatch {
        directories: vec![Vec::new()],
        files: vec![file(0, b"f", 100_000, at(1, 1))],
        groups: vec![Group::Cut(Cut { file: 0, offset: 777, length: 99_000 })],
    };
    let packed = pack(&fixture, batch).unwrap();
    let Packed::Chunks(chunks) = &packed[0] else { panic!() };
    let range = &content[777..99_777];
    let expected: Vec<Digest> = FastCDC::new(range, 64, 256, 1024)
        .map(|cut| btdt_host_runtime::codec::sha256(&range[cut.offset..cut.offset + cut.length]))
        .collect();
    assert!(expected.len() > 100);
    assert_eq!(chunks.iter().map(|chunk| chunk.digest).collect::<Vec<_>>(), expected);
}

fn a_file_at_the_root_is_packed<F: Fixture>() {
    let fixture = F::new();
    fixture.file("", b"alone", 0o600, at(3, 4));
    let tree = fixture.tree();
    assert_eq!(tree.root().unwrap().unwrap().kind, EntryKind::File);
    let digests = tree.digest_files(&[Vec::new()], Algorithm::Sha256, FollowLinks::Never);
    assert_eq!(digests, [Ok(btdt_host_runtime::codec::sha256(b"alone"))]);
    assert_eq!(tree.read_file(b"", 5), Ok(b"alone".to_vec()));
    let store = TestStore::new();
    let sink: Sink = store.clone();
    let plan = pack_and_plan(&tree, &sink);
    let copy = F::new();
    carry_out(&copy.tree(), &store, Placement::Staged, vec![plan]).unwrap();
    assert_eq!(contents(&copy.tree()), contents(&tree));
}
