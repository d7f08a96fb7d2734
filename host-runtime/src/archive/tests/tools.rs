//! Other programs: GNU tar, and the crate that btdt 0.4 has its archives from.

use super::support::{NOW, Outgoing, content, expected, receive};
use crate::archive::Compression;
use btdt_ports::{ArchiveContent, ArchiveNodeContent, Timestamp};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

/// Names that have made trouble somewhere.
fn names() -> Vec<Vec<u8>> {
    let mut names = vec![
        b"plain".to_vec(),
        b"with space".to_vec(),
        b"line\nbreak".to_vec(),
        b"back\\slash".to_vec(),
        b"not \xff UTF-8".to_vec(),
        "ümläut".as_bytes().to_vec(),
        b"-rf".to_vec(),
    ];
    names.extend([99, 100, 101, 154, 155, 156, 254, 255].map(|length| vec![b'n'; length]));
    names
}

fn path_of(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}

/// A tree with all that an archive can have, and the contents of its files by path.
fn rich_tree() -> Outgoing {
    let mut tree = Outgoing::new();
    for (index, name) in names().iter().enumerate() {
        let directory = tree.directory(0, name);
        let below = tree.directory(directory, &[b'd'; 120]);
        for (at, name) in names().iter().enumerate() {
            let file = tree.file(below, name, &content(at as u64, at * 400 + index));
            let node = &mut tree.batch.nodes[file as usize];
            node.mode = [0o644, 0o755, 0o400, 0o600][at % 4];
            node.modified.nanoseconds = [0, 1, 123_456_789][at % 3];
            node.modified.seconds += [0, -1_700_000_000, -1_700_000_005][at % 3];
        }
    }
    let file = tree.file(0, b"large", &content(9, 5_000_000));
    for (index, name) in names().iter().enumerate() {
        let target = [&name[..], b"/", name].concat();
        let named = |kind: &str| {
            [format!("{kind} {index} ").as_bytes(), &name[..name.len().min(200)]].concat()
        };
        tree.node(0, &named("to"), ArchiveNodeContent::Symlink(target));
        tree.node(0, &named("hard"), ArchiveNodeContent::HardLink(file));
    }
    let number = tree.directory(0, b"read-only");
    tree.file(number, b"in it", b"x");
    tree.batch.nodes[number as usize].mode = 0o555;
    tree.batch.nodes[number as usize].modified = Timestamp { seconds: 7, nanoseconds: 8 };
    tree
}

/// Compares what was unpacked with the tree; times to the nanosecond if `exact`.
fn compare(tree: &Outgoing, stream: &[u8], root: &Path, exact: bool) {
    let received = receive(stream, Compression::None).unwrap();
    for (entry, (_, raw)) in expected(&tree.batch).iter().zip(&received) {
        let path = path_of(root, &entry.path);
        // A link's path must not be followed by its trailing slash.
        let metadata = fs::symlink_metadata(&path).unwrap();
        let symlink = matches!(entry.content, ArchiveContent::Symlink(_));
        if !symlink && !matches!(entry.content, ArchiveContent::HardLink(_)) {
            assert_eq!(metadata.permissions().mode() & 0o777, entry.mode, "{path:?}");
        }
        if exact && !matches!(entry.content, ArchiveContent::HardLink(_)) {
            let modified = (metadata.mtime(), metadata.mtime_nsec() as u32);
            assert_eq!(modified, (entry.modified.seconds, entry.modified.nanoseconds), "{path:?}");
        }
        match &entry.content {
            ArchiveContent::File(_) => assert!(fs::read(&path).unwrap() == *raw, "{path:?}"),
            ArchiveContent::Symlink(target) => {
                assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_bytes(), target);
            }
            ArchiveContent::HardLink(target) => {
                let other = fs::metadata(path_of(root, target)).unwrap();
                assert_eq!(metadata.ino(), other.ino(), "{path:?}");
            }
            _ => assert!(metadata.is_dir()),
        }
    }
}

#[test]
fn gnu_tar_unpacks_ours() {
    let mut tree = rich_tree();
    let stream = tree.stream();
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new("tar")
        .args(["--extract", "--file=-", "--same-permissions", "--directory"])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&stream).unwrap();
    let output = child.wait_with_output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    // It finds times before 1970 or in the year 1970 noteworthy, and nothing else.
    let messages = messages.replace("line\nbreak", "");
    let unexpected = messages.lines().find(|line| !line.contains("implausibly old time stamp"));
    assert_eq!(unexpected, None);
    compare(&tree, &stream, directory.path(), true);
}

#[test]
fn the_crate_of_the_original_unpacks_ours() {
    let mut tree = rich_tree();
    let stream = tree.stream();
    let directory = tempfile::tempdir().unwrap();
    let mut archive = tar::Archive::new(&stream[..]);
    archive.unpack(directory.path()).unwrap();
    // It leaves the root alone, and so does it the modes of what its umask forbids.
    let root = &mut tree.batch.nodes[0];
    root.mode = fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777;
    compare(&tree, &stream, directory.path(), false);
    let file = fs::metadata(directory.path().join("large")).unwrap();
    assert_eq!(file.mtime(), NOW.seconds);
}

/// Makes a tree on disk; the contents of its files by path.
fn tree_on_disk(root: &Path, longest: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (index, name) in names().iter().filter(|name| name.len() <= longest).enumerate() {
        let directory = path_of(root, name);
        fs::create_dir(&directory).unwrap();
        symlink(
            OsStr::from_bytes(name),
            path_of(root, &[b"to ", &name[3.min(name.len())..]].concat()),
        )
        .unwrap();
        let raw = content(index as u64, index * 1000 + index);
        let file = path_of(&directory, name);
        fs::write(&file, &raw).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let modified = UNIX_EPOCH + Duration::new(1_600_000_000, index as u32 * 1_000_003);
        fs::File::open(&file).unwrap().set_modified(modified).unwrap();
        files.insert([&name[..], b"/", name].concat(), raw);
    }
    let large = content(77, 3_000_000);
    fs::write(root.join("large"), &large).unwrap();
    fs::hard_link(root.join("large"), root.join("larger")).unwrap();
    files.insert(b"large".to_vec(), large);
    files
}

fn check_received(bytes: &[u8], root: &Path, files: &BTreeMap<Vec<u8>, Vec<u8>>, exact: bool) {
    let received = receive(bytes, Compression::None).unwrap();
    let mut seen = 0;
    for (entry, raw) in received {
        let path = entry.path.strip_prefix(b"./").unwrap_or(&entry.path).to_vec();
        let on_disk = path_of(root, path.strip_suffix(b"/").unwrap_or(&path));
        let metadata = fs::symlink_metadata(&on_disk).unwrap();
        if exact {
            let modified = (entry.modified.seconds, i64::from(entry.modified.nanoseconds));
            assert_eq!(modified, (metadata.mtime(), metadata.mtime_nsec()), "{on_disk:?}");
        }
        match entry.content {
            ArchiveContent::File(size) => {
                seen += 1;
                assert_eq!(size, metadata.len());
                assert!(files.get(&path).or(files.get(&b"large"[..])) == Some(&raw), "{on_disk:?}");
                assert_eq!(entry.mode, metadata.permissions().mode() & 0o777);
            }
            ArchiveContent::Symlink(target) => {
                assert_eq!(fs::read_link(&on_disk).unwrap().into_os_string().into_vec(), target);
            }
            ArchiveContent::HardLink(target) => {
                let target = target.strip_prefix(b"./").unwrap_or(&target);
                assert!(target == b"large" || target == b"larger");
            }
            ArchiveContent::Directory => assert!(metadata.is_dir()),
            ArchiveContent::Special => panic!("{on_disk:?} is nothing special"),
        }
    }
    assert!(seen >= files.len(), "{seen} files");
}

#[test]
fn we_read_what_gnu_tar_packs() {
    for (format, longest, exact) in [
        ("gnu", 255, false),
        ("oldgnu", 255, false),
        ("pax", 255, true),
        ("ustar", 90, false),
        ("v7", 40, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let files = tree_on_disk(directory.path(), longest);
        let output = Command::new("tar")
            .args(["--create", "--file=-", &format!("--format={format}"), "--directory"])
            .arg(directory.path())
            .arg(".")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        check_received(&output.stdout, directory.path(), &files, exact);
    }
}

#[test]
fn sparse_files_of_gnu_tar_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = fs::File::create(directory.path().join("sparse")).unwrap();
    file.set_len(10 << 20).unwrap();
    drop(file);
    for format in ["--format=gnu", "--format=pax"] {
        let output = Command::new("tar")
            .args(["--create", "--file=-", "--sparse", format, "--directory"])
            .arg(directory.path())
            .arg(".")
            .output()
            .unwrap();
        assert!(output.stdout.len() < 1 << 20);
        let received = receive(&output.stdout, Compression::None);
        assert_eq!(received.err(), Some(btdt_ports::ArchiveFault::Malformed));
    }
}

#[test]
fn we_read_what_the_original_packs() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let files = tree_on_disk(root, 255);
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    let mut paths: Vec<_> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    let below = |path: &PathBuf| fs::read_dir(path).ok();
    let inner = paths.iter().filter(|path| !path.is_symlink()).filter_map(below).flatten();
    paths.extend(inner.map(|entry| entry.unwrap().path()).collect::<Vec<_>>());
    for path in paths {
        let name = path.strip_prefix(root).unwrap();
        if path.is_symlink() {
            // Neither a mode nor a magic is in these.
            let mut header = tar::Header::new_old();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, fs::read_link(&path).unwrap()).unwrap();
        } else if path.is_dir() {
            builder.append_dir(name, &path).unwrap();
        } else {
            builder.append_file(name, &mut fs::File::open(&path).unwrap()).unwrap();
        }
    }
    check_received(&builder.into_inner().unwrap(), root, &files, false);
}
