//! Restores over directories that their owner may not change, as somebody who is not root.

use super::support::*;
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::*;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const NOBODY: u32 = 65534;

/// Set for the process that this test starts as another user.
const MARK: &str = "BTDT_TEST_UNPRIVILEGED";

#[test]
fn read_only_directories_are_restored_over_by_their_owner() {
    if !rustix::process::geteuid().is_root() || std::env::var_os(MARK).is_some() {
        return restore_over_read_only_directories();
    }
    let scratch = tempfile::tempdir().unwrap();
    run_as_nobody(
        "read_only_directories_are_restored_over_by_their_owner",
        scratch.path(),
        scratch.path(),
    );
}

/// Runs one test of this program as another user, in a directory that is there for it.
fn run_as_nobody(name: &str, scratch: &Path, current: &Path) {
    let program = std::env::current_exe().unwrap();
    // The test program may lie where nobody else may go; a copy does not.
    set_mode(scratch, 0o777);
    let copy = scratch.join("test");
    std::fs::copy(program, &copy).unwrap();
    let mut command = Command::new(&copy);
    command.args([name, "--nocapture"]).env(MARK, "1").env("TMPDIR", scratch);
    command.current_dir(current).uid(NOBODY).gid(NOBODY);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn what_belongs_to_others_keeps_its_mode_and_time() {
    let root = rustix::process::geteuid().is_root();
    if std::env::var_os(MARK).is_some() {
        return restore_over_foreign_things();
    } else if !root {
        // Only root can make something that belongs to somebody else.
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    std::fs::write(tree.join("same"), "same").unwrap();
    std::fs::write(tree.join("listed"), "x").unwrap();
    set_mode(&tree.join("sub"), 0o777);
    set_mode(&tree, 0o2777);
    run_as_nobody("what_belongs_to_others_keeps_its_mode_and_time", scratch.path(), &tree);
    let mode = |path: &str| std::fs::metadata(tree.join(path)).unwrap().mode() & 0o7777;
    assert_eq!(["", "sub", "same"].map(mode), [0o2777, 0o777, 0o644]);
    assert_eq!(std::fs::read(tree.join("sub/new")).unwrap(), b"new");
    assert_eq!(names_in(&tree), [&b"listed"[..], b"same", b"sub"]);
}

#[test]
fn without_threads_everything_is_still_done() {
    let name = "without_threads_everything_is_still_done";
    if std::env::var_os(MARK).is_some() {
        return work_without_threads();
    } else if !rustix::process::geteuid().is_root() {
        // In this process the limit would hold for all other tests.
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    run_as_nobody(name, scratch.path(), scratch.path());
}

fn work_without_threads() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Nproc, none).unwrap();
    assert!(std::thread::Builder::new().spawn(|| ()).is_err());
    let store = TestStore::new();
    let fixture = OnDisk::new();
    let mut batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
    batch.directories[0].state = DirectoryState::Absent;
    let names: Vec<Vec<u8>> = (0..600).map(|number| format!("{number}").into_bytes()).collect();
    batch.directories.extend(names.iter().map(|name| DirectoryPlan {
        name: name.clone(),
        state: DirectoryState::Absent,
        ..present_root()
    }));
    carry_out(&fixture.tree(), &store, Placement::Staged, vec![batch]).unwrap();
    let lists = fixture.tree().read_directories(&names, FollowLinks::Never);
    assert_eq!(lists, vec![Ok(Vec::new()); 600]);
    let paths = vec![b"f".to_vec(); 100];
    let digests = fixture.tree().digest_files(&paths, Algorithm::Sha256, FollowLinks::Never);
    assert_eq!(digests, vec![Ok(btdt_host_runtime::codec::sha256(b"content")); 100]);
}

fn restore_over_foreign_things() {
    let store = TestStore::new();
    let mut batch = one_file_batch(&store, b"same", b"same", Existing::Compare);
    let (mut file, mut chunk) = one_file(&store, b"new", b"new", Existing::Absent);
    file.directory = Some(1);
    chunk.segments[0].file = 1;
    batch.files.push(file);
    batch.chunks.push(chunk);
    batch.directories.push(DirectoryPlan { name: b"sub".to_vec(), ..present_root() });
    batch.metadata.push(MetadataPlan {
        directory: 0,
        name: b"listed".to_vec(),
        mode: Some(0o751),
        modified: at(5, 5),
    });
    let here = FilesystemTree::new(std::env::current_dir().unwrap());
    carry_out(&here, &store, Placement::InPlace, vec![batch]).unwrap();
}

fn restore_over_read_only_directories() {
    let store = TestStore::new();
    let fixture = OnDisk::new();
    fixture.directory("", 0o755, at(1, 1));
    fixture.directory("a", 0o755, at(1, 1));
    fixture.directory("a/b", 0o755, at(1, 1));
    fixture.file("a/b/f", b"old", 0o444, at(1, 1));
    fixture.directory("a/gone", 0o755, at(1, 1));
    fixture.file("a/gone/f", b"x", 0o444, at(1, 1));
    for path in ["a/gone", "a/b", "a", ""] {
        set_mode(&fixture.path(path), 0o555);
    }
    let directory = |parent, name: &[u8], state, mode| DirectoryPlan {
        parent,
        name: name.to_vec(),
        state,
        mode,
        modified: at(80, 8),
    };
    let mut batch = one_file_batch(&store, b"f", b"new", Existing::Replace);
    batch.files[0].directory = Some(2);
    batch.directories = vec![
        directory(0, b"", DirectoryState::Outdated, Some(0o555)),
        directory(0, b"a", DirectoryState::Present, Some(0o555)),
        directory(1, b"b", DirectoryState::Outdated, None),
        directory(1, b"new", DirectoryState::Absent, Some(0o500)),
        directory(3, b"in", DirectoryState::Absent, Some(0o111)),
    ];
    let (mut file, mut chunk) = one_file(&store, b"deep", b"deep content", Existing::Absent);
    file.directory = Some(4);
    file.mode = Some(0o400);
    chunk.segments[0].file = 1;
    batch.files.push(file);
    batch.chunks.push(chunk);
    batch.removals.push(RemovalPlan { directory: 1, name: b"gone".to_vec() });
    carry_out(&fixture.tree(), &store, Placement::InPlace, vec![batch.clone()]).unwrap();
    let mode = |path: &str| std::fs::metadata(fixture.path(path)).unwrap().mode() & 0o777;
    let modes = ["", "a", "a/b", "a/new", "a/new/in"].map(mode);
    assert_eq!(modes, [0o555, 0o555, 0o555, 0o500, 0o111]);
    assert_eq!(std::fs::read(fixture.path("a/b/f")).unwrap(), b"new");
    assert_eq!(std::fs::read(fixture.path("a/new/in/deep")).unwrap(), b"deep content");
    assert!(!fixture.path("a/gone").exists());
    let modified = std::fs::metadata(fixture.path("a")).unwrap().mtime();
    assert_eq!(modified, 80);
    // A failure takes the access back.
    batch.directories.truncate(3);
    batch.removals.clear();
    batch.files.truncate(1);
    batch.chunks.truncate(1);
    batch.chunks[0].digest = Digest::new([9; 32]);
    batch.removals.push(RemovalPlan { directory: 1, name: b"new".to_vec() });
    let result = carry_out(&fixture.tree(), &store, Placement::InPlace, vec![batch]);
    assert!(matches!(result, Err(MaterializeError::Chunk { .. })), "{result:?}");
    assert_eq!(["", "a", "a/b"].map(mode), [0o555, 0o555, 0o555]);
    for path in ["", "a", "a/b"] {
        set_mode(&fixture.path(path), 0o755);
    }
}
