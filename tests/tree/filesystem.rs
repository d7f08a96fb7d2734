//! What only a file system can get wrong: other programs, crashes, and links that lead out.

use super::support::*;
use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::*;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

fn staged_batch(store: &TestStore) -> MaterializeBatch {
    let mut batch = one_file_batch(store, b"f", b"content", Existing::Absent);
    batch.directories[0].state = DirectoryState::Absent;
    batch
}

#[test]
fn a_staged_tree_appears_at_the_end_and_leaves_nothing_beside_it() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let scratch = fixture.scratch.path();
    let deep = scratch.join("not/there/yet/tree");
    let tree = FilesystemTree::new(deep.clone());
    let source: Source = store.clone();
    let mut materializer = tree.materialize(&[&source], Placement::Staged).unwrap();
    materializer.submit(staged_batch(&store)).unwrap();
    assert!(!deep.exists());
    let beside = names_in(deep.parent().unwrap());
    assert_eq!(beside.len(), 1);
    assert!(beside[0].starts_with(b".tree.btdt-"), "{beside:?}");
    materializer.finish().unwrap();
    assert_eq!(names_in(deep.parent().unwrap()), [b"tree"]);
    assert_eq!(std::fs::metadata(&deep).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn a_staged_tree_inherits_the_group() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    set_mode(fixture.scratch.path(), 0o2775);
    let group = if rustix::process::geteuid().is_root() { Some(4242) } else { None };
    std::os::unix::fs::chown(fixture.scratch.path(), None, group).unwrap();
    for mode in [Some(0o750), None] {
        let mut batch = staged_batch(&store);
        batch.directories[0].mode = mode;
        let sub = DirectoryPlan { name: b"sub".to_vec(), ..batch.directories[0].clone() };
        batch.directories.push(sub);
        batch.files[0].directory = Some(1);
        carry_out(&fixture.tree(), &store, Placement::Staged, vec![batch]).unwrap();
        let above = std::fs::metadata(fixture.scratch.path()).unwrap().gid();
        for path in ["", "sub", "sub/f"] {
            let metadata = std::fs::metadata(fixture.path(path)).unwrap();
            assert_eq!(metadata.gid(), above, "{path}");
            assert_eq!(metadata.mode() & 0o2000 != 0, metadata.is_dir(), "{path}");
            assert!(mode.is_none_or(|mode| path == "sub/f" || metadata.mode() & 0o777 == mode));
        }
        std::fs::remove_dir_all(fixture.path("")).unwrap();
    }
}

#[test]
fn a_dropped_restore_leaves_nothing() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let source: Source = store.clone();
    let mut materializer = fixture.tree().materialize(&[&source], Placement::Staged).unwrap();
    materializer.submit(staged_batch(&store)).unwrap();
    drop(materializer);
    assert!(names_in(fixture.scratch.path()).is_empty());
}

#[test]
fn a_refused_batch_fails_the_whole_restore() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let source: Source = store.clone();
    let mut materializer = fixture.tree().materialize(&[&source], Placement::Staged).unwrap();
    materializer.submit(staged_batch(&store)).unwrap();
    let hostile = MaterializeBatch {
        removals: vec![RemovalPlan { directory: 0, name: b"..".to_vec() }],
        ..MaterializeBatch::default()
    };
    let error = materializer.submit(hostile).unwrap_err();
    assert_eq!(materializer.submit(MaterializeBatch::default()), Err(error.clone()));
    assert_eq!(materializer.finish(), Err(error));
    assert!(names_in(fixture.scratch.path()).is_empty());
}

#[test]
fn leftovers_of_dead_owners_go_and_those_of_living_ones_stay() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let scratch = fixture.scratch.path();
    let make = |name: &str| {
        let path = scratch.join(name);
        std::fs::create_dir_all(path.join("sub/dir")).unwrap();
        std::fs::write(path.join("sub/file"), "x").unwrap();
        set_mode(&path.join("sub"), 0o500);
        std::fs::File::open(path).unwrap()
    };
    let dead = ".tree.btdt-1-0123456789abcdef";
    make(dead);
    let living = make(".tree.btdt-2-0123456789abcdef");
    make(".tree.btdt-mine");
    make(".other.btdt-1-0123456789abcdef");
    rustix::fs::flock(living.as_fd(), rustix::fs::FlockOperation::LockExclusive).unwrap();
    carry_out(&fixture.tree(), &store, Placement::Staged, vec![staged_batch(&store)]).unwrap();
    let expected: [&[u8]; 4] = [
        b".other.btdt-1-0123456789abcdef",
        b".tree.btdt-2-0123456789abcdef",
        b".tree.btdt-mine",
        b"tree",
    ];
    assert_eq!(names_in(scratch), expected);
    // In place, nothing is staged any more.
    make(dead);
    let batch = one_file_batch(&store, b"g", b"content", Existing::Absent);
    carry_out(&fixture.tree(), &store, Placement::InPlace, vec![batch]).unwrap();
    assert_eq!(names_in(scratch), expected);
}

#[test]
fn a_name_as_long_as_names_can_be_is_staged() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let tree = FilesystemTree::new(fixture.scratch.path().join("n".repeat(255)));
    carry_out(&tree, &store, Placement::Staged, vec![staged_batch(&store)]).unwrap();
    assert_eq!(contents(&tree).len(), 2);
}

#[test]
fn what_appears_while_a_restore_runs_makes_way() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(1, 1));
    let source: Source = store.clone();
    let mut materializer = fixture.tree().materialize(&[&source], Placement::InPlace).unwrap();
    // Another process, after the plan was made.
    fixture.file("f", b"of the other", 0o600, at(2, 2));
    fixture.directory("d", 0o700, at(2, 2));
    fixture.file("d/kept", b"kept", 0o600, at(2, 2));
    fixture.symlink("link", "elsewhere");
    fixture.file("hard", b"x", 0o600, at(2, 2));
    let mut batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
    let name = b"d".to_vec();
    batch.directories.push(DirectoryPlan { name, state: DirectoryState::Absent, ..present_root() });
    batch.symlinks.push(SymlinkPlan {
        directory: 0,
        name: b"link".to_vec(),
        replace: false,
        target: b"f".to_vec(),
        modified: at(3, 3),
    });
    batch.hard_links.push(HardLinkPlan {
        directory: 0,
        name: b"hard".to_vec(),
        replace: false,
        target_directory: 0,
        target_name: b"f".to_vec(),
    });
    materializer.submit(batch).unwrap();
    materializer.finish().unwrap();
    let after = contents(&fixture.tree());
    for path in [&b"f"[..], b"hard"] {
        assert_eq!(after[path].content, b"content");
    }
    assert_eq!(after[&b"hard"[..]].first_name, after[&b"f"[..]].first_name);
    assert_eq!(after[&b"link"[..]].entry.target.as_deref(), Some(&b"f"[..]));
    assert_eq!(after[&b"d"[..]].entry.mode, Some(0o755));
    assert_eq!(after[&b"d/kept"[..]].content, b"kept");
}

#[test]
fn two_restores_at_once_into_one_directory_both_succeed() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(1, 1));
    let source: Source = store.clone();
    let start = || fixture.tree().materialize(&[&source], Placement::InPlace).unwrap();
    let mut both = [start(), start()];
    for materializer in &mut both {
        let mut batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
        let name = b"d".to_vec();
        let state = DirectoryState::Absent;
        batch.directories.push(DirectoryPlan { name, state, ..present_root() });
        batch.files[0].directory = Some(1);
        materializer.submit(batch).unwrap();
    }
    for materializer in both {
        materializer.finish().unwrap();
    }
    assert_eq!(std::fs::read(fixture.path("d/f")).unwrap(), b"content");
    assert_eq!(names_in(&fixture.path("d")), [b"f"]);
}

#[test]
fn who_comes_second_does_not_replace_a_new_tree() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let source: Source = store.clone();
    let tree = fixture.tree();
    let mut one = tree.materialize(&[&source], Placement::Staged).unwrap();
    let mut other = tree.materialize(&[&source], Placement::Staged).unwrap();
    one.submit(staged_batch(&store)).unwrap();
    other.submit(staged_batch(&store)).unwrap();
    one.finish().unwrap();
    let error = other.finish().unwrap_err();
    let MaterializeError::Destination(DestinationFailure { error, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(error.kind, IoErrorKind::AlreadyExists);
    assert_eq!(names_in(fixture.scratch.path()), [b"tree"]);
}

#[test]
fn a_directory_that_became_a_link_is_not_written_through() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(1, 1));
    let outside = fixture.scratch.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "safe").unwrap();
    fixture.symlink("d", "../outside");
    let mut batch = one_file_batch(&store, b"victim", b"written", Existing::Replace);
    batch.directories.push(DirectoryPlan { name: b"d".to_vec(), ..present_root() });
    batch.files[0].directory = Some(1);
    for state in [DirectoryState::Present, DirectoryState::Outdated] {
        batch.directories[1].state = state;
        let result = carry_out(&fixture.tree(), &store, Placement::InPlace, vec![batch.clone()]);
        assert!(result.is_err());
    }
    let mut batch = MaterializeBatch { directories: batch.directories, ..Default::default() };
    batch.removals.push(RemovalPlan { directory: 1, name: b"victim".to_vec() });
    assert!(carry_out(&fixture.tree(), &store, Placement::InPlace, vec![batch]).is_err());
    assert_eq!(std::fs::read(outside.join("victim")).unwrap(), b"safe");
}

#[test]
fn a_link_as_the_destination_of_a_file_is_replaced_itself() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let victim = fixture.scratch.path().join("victim");
    std::fs::write(&victim, "safe").unwrap();
    std::os::unix::fs::symlink("victim", fixture.path("")).unwrap();
    let mut batch = one_file_batch(&store, b"", b"written", Existing::Replace);
    batch.directories.clear();
    batch.files[0].directory = None;
    carry_out(&fixture.tree(), &store, Placement::Staged, vec![batch]).unwrap();
    assert_eq!(std::fs::read(victim).unwrap(), b"safe");
    assert!(std::fs::symlink_metadata(fixture.path("")).unwrap().is_file());
    assert_eq!(names_in(fixture.scratch.path()), [&b"tree"[..], b"victim"]);
}

#[test]
fn directories_that_are_right_keep_their_times_when_their_content_changes() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(77, 7));
    fixture.directory("touched", 0o755, at(60, 6));
    fixture.directory("other", 0o755, at(61, 6));
    set_time(&fixture.path(""), at(77, 7));
    let present = |name: &[u8], modified| DirectoryPlan {
        name: name.to_vec(),
        state: DirectoryState::Present,
        modified,
        ..present_root()
    };
    let mut batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
    batch.directories[0].state = DirectoryState::Present;
    // The plan of the untouched one is not carried out: it says that there is nothing to do.
    batch.directories.extend([present(b"touched", at(60, 6)), present(b"other", at(1, 1))]);
    batch.files[0].directory = Some(1);
    carry_out(&fixture.tree(), &store, Placement::InPlace, vec![batch]).unwrap();
    let after = contents(&fixture.tree());
    let times = [&b""[..], b"touched", b"other"].map(|path| after[path].entry.modified);
    assert_eq!(times, [at(77, 7), at(60, 6), at(61, 6)]);
}

#[test]
fn a_file_that_grows_while_it_is_packed_is_noticed() {
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(1, 1));
    fixture.file("f", b"content", 0o644, at(2, 2));
    let file =
        |size| PackFile { directory: Some(0), name: b"f".to_vec(), size, modified: at(2, 2) };
    std::fs::write(fixture.path("f"), "longer content").unwrap();
    set_time(&fixture.path("f"), at(2, 2));
    let sink: Sink = TestStore::new();
    let mut packer = fixture.tree().pack(&sink, SIZES).unwrap();
    let batch = PackBatch {
        directories: vec![Vec::new()],
        files: vec![file(7)],
        groups: vec![
            Group::Bundle(Bundle { first: 0, count: 1 }),
            Group::Cut(Cut { file: 0, offset: 0, length: 7 }),
        ],
    };
    packer.submit(batch).unwrap();
    let fault = Packed::Fault(PackedFault { file: 0, fault: FileFault::Changed });
    assert_eq!(packer.finish().unwrap(), [fault.clone(), fault]);
}

#[test]
fn something_else_in_the_place_of_a_file_is_a_change_and_never_a_wait() {
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(1, 1));
    fixture.symlink("link", "/etc/passwd");
    fixture.directory("directory", 0o755, at(1, 1));
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let path = fixture.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let names: [&[u8]; 3] = [b"link", b"directory", b"fifo"];
    let file = |name: &[u8]| PackFile {
        directory: Some(0),
        name: name.to_vec(),
        size: 0,
        modified: at(1, 1),
    };
    let batch = PackBatch {
        directories: vec![Vec::new()],
        files: names.map(file).to_vec(),
        groups: (0..3).map(|first| Group::Bundle(Bundle { first, count: 1 })).collect(),
    };
    let sink: Sink = TestStore::new();
    let mut packer = fixture.tree().pack(&sink, SIZES).unwrap();
    packer.submit(batch).unwrap();
    for packed in packer.finish().unwrap() {
        assert!(
            matches!(packed, Packed::Fault(PackedFault { fault: FileFault::Changed, .. })),
            "{packed:?}"
        );
    }
    let list = fixture.tree().read_directories(&[Vec::new()], FollowLinks::Never).remove(0);
    assert_eq!(list.unwrap()[1].kind, EntryKind::Special);
}

#[test]
fn paths_longer_than_the_system_takes_are_listed_written_and_removed() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let mut batch = staged_batch(&store);
    let name = vec![b'd'; 200];
    for parent in 0..40 {
        let state = DirectoryState::Absent;
        batch.directories.push(DirectoryPlan {
            parent,
            name: name.clone(),
            state,
            ..present_root()
        });
    }
    batch.files[0].directory = Some(40);
    let tree = fixture.tree();
    carry_out(&tree, &store, Placement::Staged, vec![batch]).unwrap();
    let after = contents(&tree);
    assert_eq!(after.len(), 42);
    assert!(after.keys().any(|path| path.len() > 8000));
    let removal = MaterializeBatch {
        directories: vec![present_root()],
        removals: vec![RemovalPlan { directory: 0, name }],
        ..MaterializeBatch::default()
    };
    carry_out(&tree, &store, Placement::InPlace, vec![removal]).unwrap();
    assert_eq!(contents(&tree).len(), 1);
}
