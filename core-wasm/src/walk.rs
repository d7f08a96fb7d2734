//! Reads a tree level by level: many directories with one call of the host, which reads them on
//! all of its threads.

use crate::error::Error;
use btdt_ports::{Entry, FollowLinks, IoError, Tree};

/// A directory that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// The number by which the one who walks knows it; 0 is the root.
    pub number: u32,
    /// From the root, which is empty.
    pub path: Vec<u8>,
}

/// Reads the root of `tree`, then the directories that `visit` adds to those of the next level.
///
/// # Errors
/// What `visit` makes of a directory that cannot be read, and its own.
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

/// How many directories of one level to read with one call: enough to keep all threads of the host
/// busy, few enough that the list which comes back stays small, judging by those before.
#[derive(Clone, Copy, Debug)]
struct BatchSize(usize);

impl Default for BatchSize {
    /// For the first call, when nothing is known of the level.
    fn default() -> Self {
        BatchSize(16)
    }
}

impl BatchSize {
    const MAX_DIRECTORIES: usize = 512;
    const ENTRIES: usize = 16 * 1024;

    /// Splits off the directories to be read next.
    fn split<'level, T>(&self, level: &'level [T]) -> (&'level [T], &'level [T]) {
        level.split_at(self.0.min(level.len()))
    }

    /// Takes note of directories that were read, and of the number of entries in all of them.
    fn note(&mut self, directories: usize, entries: usize) {
        let fitting = Self::ENTRIES * directories / entries.max(1);
        self.0 = fitting.min(4 * self.0).clamp(1, Self::MAX_DIRECTORIES);
    }
}
