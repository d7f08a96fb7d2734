//! The files that the rules look at, and what each of them is.

use super::mask;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Directories that are nobody's source, for a tree without git.
const NOT_SOURCES: &[&str] = &[".git", "target", "node_modules"];

/// A text file of the repository.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Relative to the root of the repository, with `/`.
    pub(super) path: String,
    /// The whole content.
    pub(super) text: String,
    /// For Rust, the text with comments and literals blanked out, line by line as in `text`.
    pub(super) code: String,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { mask::mask(text) } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether a program wrote the file: it says so in one of its first lines.
    pub(super) fn is_generated(&self) -> bool {
        let marker = concat!("@", "generated");
        self.text.lines().take(5).any(|line| line.contains(marker))
    }

    /// Whether the file is not ours to edit.
    pub(super) fn is_vendored(&self) -> bool {
        self.path.starts_with("wit/deps/")
    }

    /// Whether the file holds exact output of a program, white space included.
    pub(super) fn is_golden(&self) -> bool {
        let extensions = [".snap", ".golden"];
        extensions.iter().any(|end| self.path.ends_with(end))
    }

    /// Whether nothing but tests is in the file.
    pub(super) fn is_test(&self) -> bool {
        let mut components: Vec<&str> = self.path.split('/').collect();
        let name = components.pop().unwrap_or_default();
        components.contains(&"tests") || name == "tests.rs" || name.ends_with("_tests.rs")
    }

    /// The line, counted from 1, where the unit tests at the end of a file begin; for a file of
    /// nothing but tests the first one, for a file without tests the one after the last.
    pub(super) fn first_test_line(&self) -> usize {
        if self.is_test() {
            return 1;
        }
        let lines: Vec<&str> = self.code.lines().collect();
        let begins = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        lines.windows(2).position(begins).map_or(lines.len() + 1, |index| index + 1)
    }
}

/// Reads every text file of the repository that git tracks or would track.
///
/// # Errors
/// When the files can't be listed or read.
pub(super) fn load(root: &Path) -> Result<Vec<SourceFile>> {
    let has_git = root.join(".git").exists() && process::find_program("git").is_some();
    let mut paths = if has_git {
        tracked(root)?
    } else {
        let mut paths = Vec::new();
        walk(root, "", &mut paths)?;
        paths
    };
    paths.sort();
    paths.dedup();
    let mut files = Vec::new();
    for path in paths {
        let full = root.join(&path);
        // A file that was deleted, but not from the index yet, is still listed.
        if !fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let bytes = fs::read(&full).with_context(|| format!("could not read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            files.push(SourceFile::new(&path, &text));
        }
    }
    Ok(files)
}

/// Tracked files, and new ones that are not ignored: a finding is of most use before the commit.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached"]);
    git.args(["--others", "--exclude-standard"]);
    let listing = process::capture(&mut git)?;
    let names = listing.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn walk(root: &Path, directory: &str, paths: &mut Vec<String>) -> Result<()> {
    let context = || format!("could not list {directory}/");
    for entry in fs::read_dir(root.join(directory)).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = match directory {
            "" => name.to_owned(),
            _ => format!("{directory}/{name}"),
        };
        if !entry.file_type().with_context(context)?.is_dir() {
            paths.push(path);
        } else if !NOT_SOURCES.contains(&name) {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_git_is_walked_and_build_output_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for folder in ["src/deep", "target/debug"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for name in ["a.md", "src/lib.rs", "src/deep/x.rs", "target/debug/out.rs"] {
            fs::write(root.join(name), "text\n").unwrap();
        }
        fs::write(root.join("binary"), b"\0\xff").unwrap();
        let files = load(root).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.md", "src/deep/x.rs", "src/lib.rs"]);
    }

    #[test]
    fn this_repository_is_listed() {
        let root = crate::workspace::Workspace::locate().unwrap();
        let files = load(root.root()).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/main.rs"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }

    #[test]
    fn tests_are_told_from_code() {
        for path in ["tests/cli/main.rs", "a/src/tests.rs", "a/src/lock_tests.rs"] {
            assert!(SourceFile::new(path, "").is_test(), "{path}");
        }
        for path in ["xtask/src/test.rs", "a/src/attests.txt", "a/src/lib.rs"] {
            assert!(!SourceFile::new(path, "").is_test(), "{path}");
        }
    }

    #[test]
    fn unit_tests_at_the_end_are_found() {
        let text = "//! Docs.\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more {\n}\n";
        assert_eq!(SourceFile::new("a.rs", text).first_test_line(), 4);
        assert_eq!(SourceFile::new("a.rs", "fn a() {}\n").first_test_line(), 2);
        assert_eq!(SourceFile::new("tests/a.rs", text).first_test_line(), 1);
    }
}
