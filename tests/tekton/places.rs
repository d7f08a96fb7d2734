//! Maps paths in a pod to local paths.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Replaces an absolute path, but not inside a longer one: not `/btdt` in `/tmp/btdt-token`.
pub(crate) fn relocate(text: &str, from: &str, to: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(from) {
        let (before, after) = (&rest[..start], &rest[start + from.len()..]);
        let last = before.chars().next_back().or_else(|| out.chars().next_back());
        let is_path = !last.is_some_and(|letter| is_part(letter) || letter == '/')
            && !after.starts_with(is_part);
        out.push_str(before);
        out.push_str(if is_path { to } else { from });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Writes a secret into a directory as Kubernetes mounts it: every file is a symbolic link into a
/// directory that is replaced as a whole when the secret changes.
pub(crate) fn mount_secret(place: &Path, files: &[(String, Vec<u8>)], mode: u32) -> io::Result<()> {
    const VERSION: &str = "..2026_01_31_12_00_00.123456789";
    fs::create_dir_all(place.join(VERSION))?;
    symlink(VERSION, place.join("..data"))?;
    for (name, content) in files {
        let file = place.join(VERSION).join(name);
        fs::write(&file, content)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        symlink(Path::new("..data").join(name), place.join(name))?;
    }
    Ok(())
}

#[test]
fn only_whole_paths_are_relocated() {
    for (text, expected) in [
        ("/btdt hash x", "/r/btdt hash x"),
        ("a=$(/btdt hash x)", "a=$(/r/btdt hash x)"),
        ("/tmp/btdt-token/token", "/tmp/btdt-token/token"),
        ("x/btdt /btdt2 /btdt/btdt", "x/btdt /btdt2 /r/btdt/btdt"),
        ("\"/btdt\"", "\"/r/btdt\""),
    ] {
        assert_eq!(relocate(text, "/btdt", "/r/btdt"), expected);
    }
    assert_eq!(relocate("f /tmp/m/token", "/tmp/m", "/r"), "f /r/token");
}

#[test]
fn a_secret_is_mounted_behind_links_with_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("token".to_owned(), b"secret".to_vec())];
    mount_secret(directory.path(), &files, 0o600).unwrap();
    let token = directory.path().join("token");
    assert!(fs::symlink_metadata(&token).unwrap().is_symlink());
    assert_eq!(fs::read_link(&token).unwrap(), Path::new("..data/token"));
    assert_eq!(fs::read(&token).unwrap(), b"secret");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o7777, 0o600);
}
