//! Checks plans completely before anything is done: mistakes of the core, or those it was tricked
//! into, must not reach the file system.

use btdt_ports::{
    Bundle, Cut, DestinationFailure, DirectoryPlan, DirectoryState, Existing, FilePlan, Group,
    IoError, IoErrorKind, MaterializeBatch, MaterializeError, PackBatch, PackError, Timestamp,
};

/// Largest chunk of a store in bytes of raw content: a worker holds it in memory.
pub const MAX_RAW_CHUNK: u64 = 64 << 20;

/// The operating system's error for an invalid argument.
pub const INVALID: IoError = IoError { kind: IoErrorKind::Other, os_code: Some(22) };

/// Whether `name` can only name something in a directory, not elsewhere.
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// `directory/name`; the path of the root is empty.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Checks that all groups of the batch refer to its files, and that none is too large.
pub fn check_pack(batch: &PackBatch) -> Result<(), PackError> {
    let known = |directory: Option<u32>| match directory {
        Some(number) => (number as usize) < batch.directories.len(),
        None => true,
    };
    let files = batch.files.iter().all(|file| {
        known(file.directory)
            && (is_name(&file.name) || (file.directory.is_none() && file.name.is_empty()))
    });
    let groups = batch.groups.iter().all(|group| match *group {
        Group::Bundle(Bundle { first, count }) => bundled(batch, first, count)
            .and_then(|files| {
                files.iter().try_fold(0_u64, |total, file| total.checked_add(file.size))
            })
            .is_some_and(|total| total <= MAX_RAW_CHUNK),
        Group::Cut(Cut { file, offset, length }) => {
            batch.files.get(file as usize).is_some_and(|file| {
                length > 0 && offset.checked_add(length).is_some_and(|end| end <= file.size)
            })
        }
    });
    if files && groups { Ok(()) } else { Err(PackError(INVALID)) }
}

/// The files of a bundle; `None` if it is empty or out of range.
pub fn bundled(batch: &PackBatch, first: u32, count: u32) -> Option<&[btdt_ports::PackFile]> {
    let end = first.checked_add(count)?;
    batch.files.get(first as usize..end as usize).filter(|files| !files.is_empty())
}

/// A directory of the plan, without its name.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    /// The number of its parent.
    pub parent: u32,
    /// What to do with it.
    pub state: DirectoryState,
    /// Its final permission bits.
    pub mode: Option<u32>,
    /// Its final time.
    pub modified: Timestamp,
    name_start: usize,
    name_end: usize,
}

/// The directories of a materializer by number. There may be many, and they are kept to the end, so
/// their names share one buffer.
#[derive(Debug, Default)]
pub struct DirectoryTable {
    directories: Vec<Directory>,
    names: Vec<u8>,
}

impl DirectoryTable {
    /// Whether there is no directory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// Number of directories.
    pub fn len(&self) -> usize {
        self.directories.len()
    }

    /// The directory with this number, which must exist.
    pub fn get(&self, number: u32) -> Directory {
        self.directories[number as usize]
    }

    /// The name of a directory in its parent.
    pub fn name(&self, number: u32) -> &[u8] {
        let directory = &self.directories[number as usize];
        &self.names[directory.name_start..directory.name_end]
    }

    /// The path of a directory in the tree; empty for the root.
    pub fn path(&self, number: u32) -> Vec<u8> {
        let mut chain = Vec::new();
        let mut current = number;
        while current != 0 {
            chain.push(current);
            current = self.directories[current as usize].parent;
        }
        let length = chain.iter().map(|number| self.name(*number).len() + 1).sum();
        let mut path = Vec::with_capacity(length);
        for number in chain.iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(self.name(*number));
        }
        path
    }

    /// The path of a name in a directory; tolerates an unknown directory.
    pub fn path_of(&self, directory: Option<u32>, name: &[u8]) -> Vec<u8> {
        match directory {
            Some(number) if (number as usize) < self.len() => join(&self.path(number), name),
            _ => name.to_vec(),
        }
    }

    /// Adds a directory.
    pub fn push(&mut self, plan: &DirectoryPlan) -> Result<(), MaterializeError> {
        let number = self.len();
        let valid = if number == 0 {
            plan.parent == 0 && plan.name.is_empty()
        } else {
            (plan.parent as usize) < number && is_name(&plan.name)
        };
        if !valid || u32::try_from(number).is_err() {
            return Err(invalid(self.path_of(Some(plan.parent), &plan.name)));
        }
        let name_start = self.names.len();
        self.names.extend_from_slice(&plan.name);
        self.directories.push(Directory {
            parent: plan.parent,
            state: plan.state,
            mode: plan.mode,
            modified: plan.modified,
            name_start,
            name_end: self.names.len(),
        });
        Ok(())
    }
}

/// The error for an invalid plan.
pub fn invalid(path: Vec<u8>) -> MaterializeError {
    MaterializeError::Destination(DestinationFailure { path, error: INVALID })
}

/// How many segments make up a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The file is empty.
    Empty,
    /// One segment is the whole file.
    Whole,
    /// This many segments make up the file.
    Parts(u32),
}

/// Checks a batch except for its directories, which `table` already contains. Returns the coverage
/// of each file.
///
/// # Errors
/// When a name could lead elsewhere, an index is unknown, or a file is not covered exactly once.
pub fn check_materialize(
    batch: &MaterializeBatch,
    table: &DirectoryTable,
    sources: usize,
) -> Result<Vec<Coverage>, MaterializeError> {
    let check = |directory: u32, name: &[u8], more: bool| {
        let valid = (directory as usize) < table.len() && is_name(name) && more;
        valid.then_some(()).ok_or_else(|| invalid(table.path_of(Some(directory), name)))
    };
    for removal in &batch.removals {
        check(removal.directory, &removal.name, true)?;
    }
    for symlink in &batch.symlinks {
        let target = !symlink.target.is_empty() && !symlink.target.contains(&0);
        check(symlink.directory, &symlink.name, target)?;
    }
    for metadata in &batch.metadata {
        check(metadata.directory, &metadata.name, true)?;
    }
    for link in &batch.hard_links {
        check(link.directory, &link.name, true)?;
        check(link.target_directory, &link.target_name, true)?;
    }
    let coverage = check_segments(batch, table, sources)?;
    for (file, coverage) in batch.files.iter().zip(&coverage) {
        // Comparing several segments with a file would need them all in memory.
        let possible =
            file.existing != Existing::Compare || !matches!(coverage, Coverage::Parts(_));
        match file.directory {
            Some(directory) => check(directory, &file.name, possible)?,
            None if possible && table.is_empty() && batch.files.len() == 1 => {}
            None => return Err(invalid(file.name.clone())),
        }
    }
    Ok(coverage)
}

fn check_segments(
    batch: &MaterializeBatch,
    table: &DirectoryTable,
    sources: usize,
) -> Result<Vec<Coverage>, MaterializeError> {
    let path = |file: Option<&FilePlan>| {
        file.map_or_else(Vec::new, |file| table.path_of(file.directory, &file.name))
    };
    let mut counts = vec![0_u32; batch.files.len()];
    for chunk in &batch.chunks {
        let known = (chunk.source as usize) < sources;
        for segment in &chunk.segments {
            let file = batch.files.get(segment.file as usize);
            let inside = |file: &FilePlan| {
                let chunk_end = segment.chunk_offset.checked_add(segment.length);
                let file_end = segment.file_offset.checked_add(u64::from(segment.length));
                segment.length > 0
                    && chunk_end.is_some_and(|end| end <= chunk.raw_size)
                    && file_end.is_some_and(|end| end <= file.size)
            };
            if !known || !file.is_some_and(inside) {
                return Err(invalid(path(file)));
            }
            let count = &mut counts[segment.file as usize];
            *count = count.checked_add(1).ok_or_else(|| invalid(path(file)))?;
        }
    }
    // Only files of several segments need sorting.
    let mut parts = Vec::new();
    let mut lengths = vec![0_u64; batch.files.len()];
    for segment in batch.chunks.iter().flat_map(|chunk| &chunk.segments) {
        let file = segment.file as usize;
        lengths[file] = lengths[file].saturating_add(u64::from(segment.length));
        if counts[file] > 1 {
            parts.push((segment.file, segment.file_offset, u64::from(segment.length)));
        }
    }
    parts.sort_unstable();
    let touching =
        |pair: &[(u32, u64, u64)]| pair[0].0 != pair[1].0 || pair[0].1 + pair[0].2 == pair[1].1;
    if let Some(pair) = parts.windows(2).find(|pair| !touching(pair)) {
        return Err(invalid(path(batch.files.get(pair[0].0 as usize))));
    }
    // Covered exactly once: as long as the file, inside it, without gap or overlap.
    if let Some(file) =
        (0..batch.files.len()).find(|file| lengths[*file] != batch.files[*file].size)
    {
        return Err(invalid(path(batch.files.get(file))));
    }
    Ok(counts
        .iter()
        .map(|count| match count {
            0 => Coverage::Empty,
            1 => Coverage::Whole,
            count => Coverage::Parts(*count),
        })
        .collect())
}
