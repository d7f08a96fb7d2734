//! A real directory to cache: the sources of this project's dependencies, which cargo has unpacked
//! on every machine that can build it.

use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// How many files the demo edits, each in another crate.
const EDITED_FILES: usize = 5;

/// What was changed in a tree, in words.
pub(super) struct Changes {
    /// Files with another content.
    pub(super) edited: usize,
    /// New files.
    pub(super) added: usize,
    /// Files that are gone.
    pub(super) deleted: usize,
}

/// The directories of the crates that this project depends on, downloaded where necessary.
///
/// # Errors
/// When cargo can't tell, or a crate is not where cargo says.
pub(super) fn dependencies(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let triple = workspace.host_triple()?;
    let mut cargo = workspace.cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked"]);
    cargo.args(["--filter-platform", &triple]);
    let text = process::capture(&mut cargo)?;
    let crates = registry_crates(&text)?;
    if crates.is_empty() {
        bail!("cargo knows of no dependency from a registry");
    }
    Ok(crates)
}

/// The directories of the packages that come from a registry, sorted by name and version.
fn registry_crates(metadata: &str) -> Result<Vec<PathBuf>> {
    let metadata: Value =
        serde_json::from_str(metadata).context("cargo's metadata can't be parsed")?;
    let packages = metadata["packages"].as_array().context("cargo's metadata has no packages")?;
    let mut crates = Vec::new();
    for package in packages {
        let source = package["source"].as_str().unwrap_or_default();
        if !["registry+", "sparse+"].iter().any(|kind| source.starts_with(kind)) {
            continue;
        }
        let manifest = package["manifest_path"].as_str().context("a package has no manifest")?;
        crates.extend(Path::new(manifest).parent().map(Path::to_path_buf));
    }
    crates.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(crates)
}

/// Copies the crates into `tree`, each in a directory with its own name and version.
///
/// # Errors
/// When something can't be read or written.
pub(super) fn copy_all(crates: &[PathBuf], tree: &Path) -> Result<()> {
    for source in crates {
        let name = source.file_name().context("a crate without a name")?;
        copy_directory(source, &tree.join(name))?;
    }
    Ok(())
}

/// Copies a directory with everything in it: content, permissions and modification times.
fn copy_directory(source: &Path, destination: &Path) -> Result<()> {
    let context = || format!("could not copy {}", source.display());
    fs::create_dir_all(destination).with_context(context)?;
    for entry in fs::read_dir(source).with_context(context)? {
        let entry = entry.with_context(context)?;
        let from = entry.path();
        let to = destination.join(entry.file_name());
        let kind = entry.file_type().with_context(context)?;
        if kind.is_dir() {
            copy_directory(&from, &to)?;
        } else if kind.is_file() {
            copy_file(&from, &to).with_context(|| format!("could not copy {}", from.display()))?;
        }
    }
    // Last, because every new entry changes the time of its directory.
    copy_time(source, destination).with_context(context)
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    copy_time(from, to)
}

fn copy_time(from: &Path, to: &Path) -> std::io::Result<()> {
    let modified = from.metadata()?.modified()?;
    File::open(to)?.set_modified(modified)
}

/// Changes a tree as an update of a few dependencies would: edits some files, adds one and deletes
/// one.
///
/// # Errors
/// When the tree has too few crates with Rust files, or a file can't be written.
pub(super) fn change(tree: &Path) -> Result<Changes> {
    let mut crates = Vec::new();
    for entry in fs::read_dir(tree).context("could not list the tree")? {
        crates.extend(first_rust_file(&entry?.path())?);
    }
    crates.sort();
    let wanted = EDITED_FILES + 1;
    if crates.len() < wanted {
        bail!("too few crates with Rust files to change: {}", crates.len());
    }
    // Evenly spread, so that the edits meet different chunks.
    let step = crates.len() / wanted;
    let chosen: Vec<&PathBuf> = crates.iter().step_by(step).take(wanted).collect();
    let (deleted, edited) = chosen.split_last().context("nothing was chosen")?;
    for path in edited {
        let mut content = fs::read(path)?;
        content.extend(b"\n// Edited by the demo.\n");
        fs::write(path, content).with_context(|| format!("could not edit {}", path.display()))?;
    }
    fs::write(edited[0].with_file_name("added_by_the_demo.rs"), "//! New.\n")?;
    fs::remove_file(deleted)?;
    Ok(Changes { edited: edited.len(), added: 1, deleted: 1 })
}

fn first_rust_file(directory: &Path) -> Result<Option<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if let Some(found) = first_rust_file(&path)? {
                return Ok(Some(found));
            }
        } else if path.extension() == Some(OsStr::new("rs")) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::compare::{compare, measure};
    use super::*;

    #[test]
    fn only_crates_from_a_registry_count() {
        let metadata = r#"{"packages": [
            {"source": null, "manifest_path": "/repo/host-cli/Cargo.toml"},
            {"source": "registry+https://example.org/index", "manifest_path": "/c/b-2.0.0/Cargo.toml"},
            {"source": "git+https://example.org/x", "manifest_path": "/c/git/Cargo.toml"},
            {"source": "sparse+https://example.org/", "manifest_path": "/c/a-1.0.0/Cargo.toml"}
        ]}"#;
        let crates = registry_crates(metadata).unwrap();
        assert_eq!(crates, ["/c/a-1.0.0", "/c/b-2.0.0"].map(PathBuf::from));
        assert!(registry_crates("{}").is_err());
        assert!(registry_crates("no JSON").is_err());
    }

    #[test]
    fn a_copy_is_equal_until_it_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let original = directory.path().join("original");
        for number in 0..20 {
            let source = original.join(format!("crate-{number}/src"));
            fs::create_dir_all(&source).unwrap();
            fs::write(source.join("lib.rs"), format!("//! Crate {number}.\n")).unwrap();
        }
        let copy = directory.path().join("copy");
        copy_directory(&original, &copy).unwrap();
        assert!(compare(&original, &copy).is_ok());

        let changes = change(&copy).unwrap();
        assert_eq!((changes.edited, changes.added, changes.deleted), (5, 1, 1));
        assert!(compare(&original, &copy).is_err());
        let before = measure(&original).unwrap();
        let after = measure(&copy).unwrap();
        assert_eq!(before.files, after.files);
        assert!(after.bytes > before.bytes);
    }

    #[test]
    fn a_tree_that_is_too_small_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("empty-1.0.0")).unwrap();
        assert!(change(directory.path()).is_err());
    }
}
