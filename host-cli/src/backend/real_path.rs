//! Resolves symbolic links as far as this program can see them.
//!
//! `canonicalize` of the standard library needs every directory of the path. A program in
//! WebAssembly sees only the directories that its runtime has opened: names above them stay as they
//! are.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The limit of Linux for links in one path.
const MAX_LINKS: u32 = 40;

/// An existing path, absolute and without the symbolic links that can be read; `None` if it does
/// not exist or its links form a loop.
pub(crate) fn real_path(path: &Path) -> Option<PathBuf> {
    fs::metadata(path).ok()?;
    let mut rest = Vec::new();
    push_reversed(&mut rest, &std::path::absolute(path).ok()?);
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            real.pop();
            continue;
        }
        real.push(&name);
        if let Ok(target) = fs::read_link(&real) {
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            push_reversed(&mut rest, &target);
        }
    }
    Some(real)
}

/// Adds the names of a path in reverse, so that the first one is popped first.
fn push_reversed(names: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => names.push("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn agrees_with_the_standard_library_where_all_can_be_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("a/b/c")).unwrap();
        symlink("b/c", path("a/relative")).unwrap();
        symlink("../a/relative", path("a/b/up")).unwrap();
        symlink(path("a/b"), path("absolute")).unwrap();
        symlink("round", path("round")).unwrap();
        symlink("nothing", path("dangling")).unwrap();
        for name in [
            "",
            "a/b/../b/./c//",
            "a/relative",
            "a/relative/..",
            "a/b/up/../../b",
            "absolute/c",
            "absolute/../a/b/up",
            "round",
            "dangling",
            "missing",
            "missing/../a",
        ] {
            let path = path(name);
            assert_eq!(real_path(&path), path.canonicalize().ok(), "{name}");
        }
        assert_eq!(real_path(Path::new(".")), Path::new(".").canonicalize().ok());
        assert_eq!(real_path(Path::new("/")).as_deref(), Some(Path::new("/")));
    }
}
