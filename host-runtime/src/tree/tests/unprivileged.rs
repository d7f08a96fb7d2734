//! Restores over directories that their owner may not change, as somebody who is not root.

use super::support::*;
use btdt_ports::*;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

const NOBODY: u32 = 65534;

/// Set for the process that this test starts as another user.
const MARK: &str = "BTDT_TEST_UNPRIVILEGED";

#[test]
fn read_only_directories_are_restored_over_by_their_owner() {
    if !rustix::process::geteuid().is_root() || std::env::var_os(MARK).is_some() {
        return restore_over_read_only_directories();
    }
    let name = "read_only_directories_are_restored_over_by_their_owner";
    let program = std::env::current_exe().unwrap();
    // The test program may lie where nobody else may go; a copy does not.
    let scratch = tempfile::tempdir().unwrap();
    set_mode(scratch.path(), 0o777);
    let copy = scratch.path().join("test");
    std::fs::copy(program, &copy).unwrap();
    let mut command = Command::new(&copy);
    command.args([name, "--nocapture"]).env(MARK, "1").env("TMPDIR", scratch.path());
    command.current_dir(scratch.path()).uid(NOBODY).gid(NOBODY);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
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
