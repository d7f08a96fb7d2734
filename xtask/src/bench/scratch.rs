//! The directory for everything that is measured, gone when the bench ends.

use super::files;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PREFIX: &str = "btdt-bench-";

#[derive(Debug)]
pub(super) struct Scratch {
    root: PathBuf,
    /// Whether what was written goes to a disk sooner or later.
    on_disk: bool,
}

impl Scratch {
    /// Makes the directory beneath `parent`, which has to have so many bytes free.
    ///
    /// # Errors
    /// When there is too little space or the directory can't be made.
    pub(super) fn new(parent: &Path, space: u64) -> Result<Self> {
        fs::create_dir_all(parent)
            .with_context(|| format!("could not create {}", parent.display()))?;
        remove_left_over(parent)?;
        let free = files::free_space(parent)?;
        if free < space {
            bail!(
                "{} has {} free, {} are needed; --dir chooses another place",
                parent.display(),
                super::numbers::bytes(free),
                super::numbers::bytes(space)
            );
        }
        let root = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&root).with_context(|| format!("could not create {}", root.display()))?;
        let on_disk = files::file_system(&root) != "tmpfs";
        Ok(Self { root, on_disk })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// An empty directory of that name.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        files::remove(&path)?;
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Waits until the disk has what was written so far, which would otherwise slow down whatever
    /// comes next.
    pub(super) fn settle(&self) -> Result<()> {
        if self.on_disk {
            process::run(&mut Command::new("sync"))?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = files::remove(&self.root) {
            eprintln!("note: {error:#}");
        }
    }
}

/// Removes what a killed bench left behind; its process number is in the name.
fn remove_left_over(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let lives = |process: &str| Path::new("/proc").join(process).exists();
        if process.is_some_and(|process| !lives(process)) && Path::new("/proc/self").exists() {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_away_with_everything_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path(), 0).unwrap();
        fs::write(scratch.fresh("run").unwrap().join("file"), "x").unwrap();
        let root = scratch.path("");
        assert!(root.exists());
        drop(scratch);
        assert!(!root.exists());
    }

    #[test]
    fn too_little_space_is_said_before_anything_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let error = Scratch::new(parent.path(), u64::MAX).unwrap_err();
        assert!(error.to_string().contains("--dir"), "{error}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
