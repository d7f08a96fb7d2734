//! Reads a tree level by level, many directories per call: the host reads them in parallel.

use btdt_ports::client::Error;
use btdt_ports::{Entry, FollowLinks, IoError, Tree};

/// A directory to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// The caller's number for it; 0 is the root.
    pub number: u32,
    /// Path from the root; empty for the root itself.
    pub path: Vec<u8>,
}

/// Reads the root of `tree`, then level after level. `visit` gets each directory with its entries,
/// and adds the subdirectories to read to the next level.
///
/// # Errors
/// Those of `visit`, which also decides about directories that cannot be read.
pub fn walk(
    tree: &impl Tree,
    mut visit: impl FnMut(
        &Directory,
        Result<Vec<Entry>, IoError>,
        &mut Vec<Directory>,
    ) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut level = vec![Directory::default()];
    while !level.is_empty() {
        let mut next = Vec::new();
        let mut size = BatchSize::default();
        let mut rest = level.as_slice();
        while !rest.is_empty() {
            let batch;
            (batch, rest) = size.split(rest);
            let mut count = 0;
            let paths: Vec<Vec<u8>> = batch.iter().map(|one| one.path.clone()).collect();
            let listed = tree.read_directories(&paths, FollowLinks::Never);
            for (directory, entries) in batch.iter().zip(listed) {
                count += entries.as_ref().map_or(0, Vec::len);
                visit(directory, entries, &mut next)?;
            }
            size.note(batch.len(), count);
        }
        level = next;
    }
    Ok(())
}

/// The path of `name` in `directory`.
#[must_use]
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, b"/", name].concat()
}

/// How many directories to read per call: enough to keep all threads of the host busy, few enough
/// to keep the returned list small, estimated from the directories before.
#[derive(Clone, Copy, Debug)]
struct BatchSize(usize);

impl Default for BatchSize {
    /// For the first call of a level.
    fn default() -> Self {
        BatchSize(16)
    }
}

impl BatchSize {
    const MAX_DIRECTORIES: usize = 512;
    const ENTRIES: usize = 16 * 1024;

    /// Splits off the directories to read next.
    fn split<'level, T>(&self, level: &'level [T]) -> (&'level [T], &'level [T]) {
        level.split_at(self.0.min(level.len()))
    }

    /// Adapts to directories that were read, and their total number of entries.
    fn note(&mut self, directories: usize, entries: usize) {
        let fitting = Self::ENTRIES * directories / entries.max(1);
        self.0 = fitting.min(4 * self.0).clamp(1, Self::MAX_DIRECTORIES);
    }
}
