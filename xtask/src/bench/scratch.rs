//! The directory for everything that is measured, gone when the bench ends.

use super::directories;
use super::figures;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

#[derive(Debug)]
pub(super) struct Scratch {
    root: PathBuf,
    is_on_disk: bool,
    /// Held as long as this bench runs.
    _lock: File,
}

impl Scratch {
    /// Makes the directory beneath the first of `parents` that has so many bytes free.
    ///
    /// # Errors
    /// When there is too little space, or another bench runs there.
    pub(super) fn new(parents: &[PathBuf], space: u64) -> Result<Self> {
        for parent in parents {
            fs::create_dir_all(parent)?;
            let path = parent.join("btdt-bench.lock");
            let lock = File::create(&path)
                .with_context(|| format!("could not create {}", path.display()))?;
            let root = parent.join("btdt-bench");
            if lock.try_lock().is_err() {
                bail!("another bench runs in {}", root.display());
            }
            // What an interrupted bench left behind.
            directories::remove(&root)?;
            let mut stat = Command::new("stat");
            let text = process::capture(stat.args(["-f", "-c", "%a %S %T"]).arg(parent))?;
            let free = text.split(' ').map_while(|word| word.parse::<u64>().ok()).product::<u64>();
            if free >= space {
                fs::create_dir(&root)?;
                let is_on_disk = !text.contains("tmpfs");
                return Ok(Self { root, is_on_disk, _lock: lock });
            }
            println!("{} has only {} free", parent.display(), figures::bytes(free as f64));
        }
        bail!("{} are needed; --dir chooses another place", figures::bytes(space as f64))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// An empty directory of that name.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        directories::remove(&path)?;
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Waits until the disk has what was written so far, which would otherwise slow down the next
    /// command.
    pub(super) fn settle(&self) -> Result<()> {
        if self.is_on_disk {
            process::run(&mut Command::new("sync"))?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = directories::remove(&self.root) {
            eprintln!("note: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_away_with_everything_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(&[parent.path().to_path_buf()], 0).unwrap();
        fs::write(scratch.fresh("run").unwrap().join("file"), "x").unwrap();
        let root = scratch.path("");
        assert!(root.exists());
        drop(scratch);
        assert!(!root.exists());
    }

    #[test]
    fn what_was_left_behind_is_removed_but_not_what_is_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join("btdt-bench/left");
        fs::create_dir_all(&left).unwrap();
        let _scratch = Scratch::new(&[parent.path().to_path_buf()], 0).unwrap();
        assert!(!left.exists());
        let error = Scratch::new(&[parent.path().to_path_buf()], 0).unwrap_err();
        assert!(error.to_string().contains("another bench"), "{error}");
    }

    #[test]
    fn too_little_space_is_said_before_anything_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let error = Scratch::new(&[parent.path().to_path_buf()], u64::MAX).unwrap_err();
        assert!(error.to_string().contains("--dir"), "{error}");
        assert!(!parent.path().join("btdt-bench").exists());
    }
}
