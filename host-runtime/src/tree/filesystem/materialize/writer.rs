//! The work of a worker: writing files.

use super::entries;
use super::shared::{DirectoryCache, OpenDirectory, Shared};
use crate::codec::Codec;
use crate::tree::plan_checks::Coverage;
use btdt_ports::{
    ChunkFailure, Damage, DestinationFailure, EntryKind, Existing, FilePlan, MaterializeBatch,
    MaterializeError, ObjectFault, Segment,
};
use btdt_sys::handle::{self as os, Handle};
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of a root that is a file, in the staging directory.
pub(super) const SINGLE_FILE: &[u8] = b"content";

/// The mode of a new file without a mode in the plan, before the umask.
const DEFAULT_MODE: u32 = 0o666;

/// A checked batch.
pub(super) struct Batch {
    pub(super) plan: MaterializeBatch,
    pub(super) coverage: Vec<Coverage>,
    /// The files of several segments, by index.
    large: HashMap<u32, LargeFile>,
}

/// A file that several workers write, open from its first segment to its last.
struct LargeFile {
    left: AtomicU32,
    handle: Mutex<Option<Arc<Handle>>>,
}

impl Batch {
    pub(super) fn new(plan: MaterializeBatch, coverage: Vec<Coverage>) -> Self {
        let large = (0..).zip(&coverage).filter_map(|(index, coverage)| match coverage {
            Coverage::Parts(count) => {
                let left = AtomicU32::new(*count);
                Some((index, LargeFile { left, handle: Mutex::default() }))
            }
            _ => None,
        });
        Batch { large: large.collect(), plan, coverage }
    }
}

/// A job for one worker.
pub(super) enum Job {
    /// All segments of a chunk.
    Chunk(Arc<Batch>, usize),
    /// The empty files among these.
    EmptyFiles(Arc<Batch>, Range<usize>),
    Symlinks(Arc<Batch>, Range<usize>),
    Metadata(Arc<Batch>, Range<usize>),
}

/// A worker: a codec, a buffer for comparing, and some open directories.
pub(super) struct Writer {
    codec: Codec,
    files: Files,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let files = Files { shared, directories: DirectoryCache::default(), existing: Vec::new() };
        Writer { codec: Codec::new(), files }
    }

    pub(super) fn work(&mut self, job: &Job) -> ControlFlow<()> {
        let Files { shared, directories, .. } = &mut self.files;
        let result = match job {
            Job::Chunk(batch, index) => self.write_chunk(batch, *index),
            Job::EmptyFiles(batch, range) => range
                .clone()
                .filter(|index| batch.coverage[*index] == Coverage::Empty)
                .try_for_each(|index| self.files.write_whole(&batch.plan.files[index], &[])),
            Job::Symlinks(batch, range) => batch.plan.symlinks[range.clone()]
                .iter()
                .try_for_each(|link| entries::make_symlink(shared, directories, link)),
            Job::Metadata(batch, range) => batch.plan.metadata[range.clone()]
                .iter()
                .try_for_each(|plan| entries::set_metadata(shared, directories, plan)),
        };
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.files.shared.fail(error);
                ControlFlow::Break(())
            }
        }
    }

    fn write_chunk(&mut self, batch: &Batch, index: usize) -> Result<(), MaterializeError> {
        let plan = &batch.plan.chunks[index];
        let failure = |fault| MaterializeError::Chunk(ChunkFailure { digest: plan.digest, fault });
        let source = Arc::clone(&self.files.shared.sources[plan.source as usize]);
        let raw = source.read(&plan.digest, plan.raw_size, &mut self.codec).map_err(failure)?;
        if raw.len() as u64 != u64::from(plan.raw_size) {
            return Err(failure(ObjectFault::Damaged(Damage::Length)));
        }
        for segment in &plan.segments {
            let file = &batch.plan.files[segment.file as usize];
            let start = segment.chunk_offset as usize;
            let content = &raw[start..start + segment.length as usize];
            match batch.large.get(&segment.file) {
                None => self.files.write_whole(file, content)?,
                Some(large) => self.files.write_part(file, large, segment, content)?,
            }
        }
        Ok(())
    }
}

struct Files {
    shared: Arc<Shared>,
    directories: DirectoryCache,
    existing: Vec<u8>,
}

/// The directory and the name of a file; a root that is a file lies in the staging directory.
fn place(file: &FilePlan) -> (u32, &[u8]) {
    match file.directory {
        Some(number) => (number, &file.name),
        None => (0, SINGLE_FILE),
    }
}

impl Files {
    fn failure(&self, file: &FilePlan, error: os::Error) -> MaterializeError {
        let path = self.shared.table().path_of(file.directory, &file.name);
        MaterializeError::Destination(DestinationFailure { path, error: os::io_error(error) })
    }

    /// Writes a file whose whole content is available.
    fn write_whole(&mut self, file: &FilePlan, content: &[u8]) -> Result<(), MaterializeError> {
        match self.try_write_whole(file, content) {
            Ok(true) => {
                self.shared.count_written(file.size);
                self.shared.note_rewritten(file);
            }
            Ok(false) => self.shared.count_kept(),
            Err(error) => return Err(self.failure(file, error)),
        }
        Ok(())
    }

    /// False if the file was right already.
    fn try_write_whole(&mut self, file: &FilePlan, content: &[u8]) -> Result<bool, os::Error> {
        let Files { shared, directories, existing } = self;
        let (number, name) = place(file);
        let directory = directories.open(shared, number)?;
        if file.existing == Existing::Compare
            && is_right(shared, directory, file, content, existing)?
        {
            return Ok(false);
        }
        let handle = create(shared, directory, name, file)?;
        let written = handle
            .write_all(content)
            .and_then(|()| settle_mode(&handle, file.mode, &mut directory.created_mode))
            .and_then(|()| handle.set_file_time(&directory.handle, name, file.modified));
        if written.is_err() {
            // A partial file must not remain. If this fails too, nothing more can be done.
            let _ = directory.handle.remove(name);
        }
        written.map(|()| true)
    }

    /// Writes one of several segments of a file, and completes the file with the last.
    fn write_part(
        &mut self,
        file: &FilePlan,
        large: &LargeFile,
        segment: &Segment,
        content: &[u8],
    ) -> Result<(), MaterializeError> {
        self.try_write_part(file, large, segment, content)
            .map_err(|error| self.failure(file, error))
    }

    fn try_write_part(
        &mut self,
        file: &FilePlan,
        large: &LargeFile,
        segment: &Segment,
        content: &[u8],
    ) -> Result<(), os::Error> {
        let (number, name) = place(file);
        let handle = {
            // Other workers wait until the file exists.
            let mut handle = large.handle.lock().unwrap_or_else(PoisonError::into_inner);
            match &*handle {
                Some(handle) => Arc::clone(handle),
                None => {
                    let directory = self.directories.open(&self.shared, number)?;
                    let created = Arc::new(create(&self.shared, directory, name, file)?);
                    self.shared.begin_file(number, name);
                    Arc::clone(handle.insert(created))
                }
            }
        };
        handle.write_all_at(content, segment.file_offset)?;
        // The writes of the others happen before the time is set, so it stays.
        if large.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            settle_mode(&handle, file.mode, &mut None)?;
            let directory = self.directories.open(&self.shared, number)?;
            handle.set_file_time(&directory.handle, name, file.modified)?;
            *large.handle.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.shared.end_file(number, name);
            self.shared.count_written(file.size);
        }
        Ok(())
    }
}

/// Creates a file, replacing what the plan knows of.
fn create(
    shared: &Shared,
    directory: &OpenDirectory,
    name: &[u8],
    file: &FilePlan,
) -> Result<Handle, os::Error> {
    let replace = file.existing != Existing::Absent;
    let mode = file.mode.map_or(DEFAULT_MODE, |mode| mode & os::PERMISSIONS);
    entries::make_anew(shared, directory, name, replace, || {
        directory.handle.create_file(name, mode)
    })
}

/// Sets the mode of a new file unless it was created with it. Files created in a directory with the
/// same mode get the same one, so only the first is checked.
fn settle_mode(
    handle: &Handle,
    mode: Option<u32>,
    created_mode: &mut Option<(u32, bool)>,
) -> Result<(), os::Error> {
    let Some(mode) = mode.map(|mode| mode & os::PERMISSIONS).filter(|_| os::KEEPS_MODES) else {
        return Ok(());
    };
    let right = match *created_mode {
        Some((seen, right)) if seen == mode => right,
        _ => handle.status()?.mode() == mode,
    };
    *created_mode = Some((mode, right));
    if right { Ok(()) } else { handle.set_mode(mode) }
}

/// Whether the existing file has this content and no other name; if so, corrects its mode and time
/// if the user owns it.
fn is_right(
    shared: &Shared,
    directory: &OpenDirectory,
    file: &FilePlan,
    content: &[u8],
    existing: &mut Vec<u8>,
) -> Result<bool, os::Error> {
    let name = place(file).1;
    // An unreadable file is replaced, which reports any error.
    let mut keep_access_time = false;
    let opened = shared
        .with_access(directory.number, || directory.handle.open_file(name, &mut keep_access_time));
    let Ok(handle) = opened else { return Ok(false) };
    let status = handle.status()?;
    if status.kind != EntryKind::File || status.size != file.size || status.links != 1 {
        return Ok(false);
    }
    existing.clear();
    let read = handle.read_to(existing, content.len(), content.len() + 1);
    if read.is_err() || existing != content {
        return Ok(false);
    }
    if let Some(mode) = file.mode.map(|mode| mode & os::PERMISSIONS)
        && os::KEEPS_MODES
        && mode != status.mode()
    {
        status.unless_foreign(handle.set_mode(mode))?;
    }
    if status.modified != file.modified {
        let set = handle.set_file_time(&directory.handle, name, file.modified);
        status.unless_foreign(set)?;
    }
    Ok(true)
}
