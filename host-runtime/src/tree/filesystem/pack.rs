//! Reads files into chunks: the data path of a store.
//!
//! A worker holds the content of one chunk. If the size or times of a file differ from the plan
//! before or after reading, its group fails: so each file in the sink has the content of a single
//! moment.

use crate::chunk_cutting;
use crate::chunk_io::Sink;
use crate::codec::Codec;
use crate::tree::plan_checks::{self, bundled};
use crate::workers::Workers;
use btdt_ports::{
    Bundle, Cut, CutSizes, EntryKind, FileFault, Group, IoError, IoErrorKind, PackBatch, PackError,
    PackFile, Packed, PackedChunk, PackedFault, Packer,
};
use btdt_sys::handle::{self as os, Handle, Status};
use btdt_sys::host_paths;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A group of a batch, and the index of its outcome.
struct Job {
    batch: Arc<PackBatch>,
    group: usize,
    place: usize,
}

struct Shared {
    /// The root if it is a directory.
    root: Option<Handle>,
    path: PathBuf,
    sink: Sink,
    sizes: CutSizes,
    outcomes: Mutex<Vec<Option<Packed>>>,
    error: Mutex<Option<PackError>>,
}

/// Reads, hashes and stores, on several threads.
pub struct FilesystemPacker {
    workers: Workers<Job>,
    shared: Arc<Shared>,
    places: usize,
}

impl FilesystemPacker {
    /// Starts packing the tree at `path`.
    pub(super) fn start(path: &Path, sink: Sink, sizes: CutSizes) -> Result<Self, IoError> {
        if !chunk_cutting::are_usable(sizes) {
            return Err(plan_checks::INVALID);
        }
        let root = match host_paths::status_of(path).map_err(os::io_error)?.kind {
            EntryKind::Directory => Some(host_paths::open_directory(path).map_err(os::io_error)?),
            _ => None,
        };
        let shared = Arc::new(Shared {
            root,
            path: path.to_owned(),
            sink,
            sizes,
            outcomes: Mutex::default(),
            error: Mutex::default(),
        });
        let workers = Workers::start(shared.sink.suitable_workers(), || {
            let mut worker = Worker::new(Arc::clone(&shared));
            move |job: Job| worker.work(&job)
        });
        Ok(FilesystemPacker { workers, shared, places: 0 })
    }
}

impl Packer for FilesystemPacker {
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError> {
        if let Err(error) = plan_checks::check_pack(&batch) {
            lock(&self.shared.error).get_or_insert(error);
            return Err(error);
        }
        let batch = Arc::new(batch);
        for group in 0..batch.groups.len() {
            let job = Job { batch: Arc::clone(&batch), group, place: self.places };
            self.places += 1;
            if self.workers.submit(job).is_err() {
                // Wait for the worker that stopped them, which says why.
                self.workers.cancel();
                return Err(self.shared.error());
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Packed>, PackError> {
        let finished = self.workers.finish();
        let error = lock(&self.shared.error).take();
        match (error, finished) {
            (Some(error), _) => return Err(error),
            (None, Err(_)) => return Err(PackError(IoError::new(IoErrorKind::Other))),
            (None, Ok(())) => {}
        }
        let outcomes = std::mem::take(&mut *lock(&self.shared.outcomes));
        let complete: Option<Vec<Packed>> = outcomes.into_iter().collect();
        complete
            .filter(|outcomes| outcomes.len() == self.places)
            .ok_or(PackError(IoError::new(IoErrorKind::Other)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every change under these locks is a single assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn error(&self) -> PackError {
        lock(&self.error).unwrap_or(PackError(IoError::new(IoErrorKind::Other)))
    }
}

/// Why a group has no chunks.
enum Failure {
    File(u32, FileFault),
    Sink(PackError),
}

struct Worker {
    shared: Arc<Shared>,
    codec: Codec,
    buffer: Vec<u8>,
    /// The directory of the previous file, usually also that of the next one.
    directory: Option<(Vec<u8>, Handle)>,
    keep_access_time: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        Worker {
            shared,
            codec: Codec::new(),
            buffer: Vec::new(),
            directory: None,
            keep_access_time: true,
        }
    }

    fn work(&mut self, job: &Job) -> ControlFlow<()> {
        let packed = match job.batch.groups[job.group] {
            Group::Bundle(Bundle { first, count }) => {
                self.bundle(&job.batch, first, count).map(|chunk| vec![chunk])
            }
            Group::Cut(Cut { file, offset, length }) => self.cut(&job.batch, file, offset, length),
        };
        let outcome = match packed {
            Ok(chunks) => Packed::Chunks(chunks),
            Err(Failure::File(file, fault)) => Packed::Fault(PackedFault { file, fault }),
            Err(Failure::Sink(error)) => {
                lock(&self.shared.error).get_or_insert(error);
                return ControlFlow::Break(());
            }
        };
        let mut outcomes = lock(&self.shared.outcomes);
        if outcomes.len() <= job.place {
            outcomes.resize(job.place + 1, None);
        }
        outcomes[job.place] = Some(outcome);
        ControlFlow::Continue(())
    }

    fn bundle(
        &mut self,
        batch: &PackBatch,
        first: u32,
        count: u32,
    ) -> Result<PackedChunk, Failure> {
        self.buffer.clear();
        for (index, file) in (first..).zip(bundled(batch, first, count).unwrap_or_default()) {
            self.append(batch, file).map_err(|fault| Failure::File(index, fault))?;
        }
        keep(&self.shared.sink, &self.buffer, &mut self.codec)
    }

    /// Appends the whole content of a file to the buffer.
    fn append(&mut self, batch: &PackBatch, file: &PackFile) -> Result<(), FileFault> {
        let handle = self.open(batch, file)?;
        let before = handle.status().map_err(unreadable)?;
        expect_planned(&before, file)?;
        let size = usize::try_from(file.size).map_err(|_| FileFault::Changed)?;
        // Ask for one more byte to notice a file that has grown.
        let read = handle.read_to(&mut self.buffer, size, size + 1).map_err(unreadable)?;
        if read != size {
            return Err(FileFault::Changed);
        }
        expect_unchanged(&before, &handle)
    }

    /// Opens a file, keeping its directory open for the next one.
    fn open(&mut self, batch: &PackBatch, file: &PackFile) -> Result<Handle, FileFault> {
        let (Some(number), Some(root)) = (file.directory, &self.shared.root) else {
            if file.directory.is_some() || self.shared.root.is_some() {
                return Err(FileFault::Changed);
            }
            return host_paths::open_file(&self.shared.path).map_err(unreadable);
        };
        let path = &batch.directories[number as usize];
        let directory = match &mut self.directory {
            Some((open, handle)) if open == path => handle,
            other => {
                let handle = root.open_directory(path).map_err(unreadable)?;
                &mut other.insert((path.clone(), handle)).1
            }
        };
        directory.open_file(&file.name, &mut self.keep_access_time).map_err(unreadable)
    }

    fn cut(
        &mut self,
        batch: &PackBatch,
        index: u32,
        offset: u64,
        length: u64,
    ) -> Result<Vec<PackedChunk>, Failure> {
        let file = &batch.files[index as usize];
        let failure = |fault| Failure::File(index, fault);
        let handle = self.open(batch, file).map_err(failure)?;
        let before = handle.status().map_err(|error| failure(unreadable(error)))?;
        expect_planned(&before, file).map_err(failure)?;
        let mut range = Range { handle: &handle, offset, left: length };
        let chunks = self.cut_range(&mut range, &failure)?;
        expect_unchanged(&before, &handle).map_err(failure)?;
        Ok(chunks)
    }

    fn cut_range(
        &mut self,
        range: &mut Range<'_>,
        failure: &impl Fn(FileFault) -> Failure,
    ) -> Result<Vec<PackedChunk>, Failure> {
        let Worker { shared, codec, buffer, .. } = self;
        let mut chunks = Vec::new();
        let length = range.left;
        chunk_cutting::cut(
            buffer,
            shared.sizes,
            length,
            |buffer, most| range.read(buffer, most).map_err(failure),
            |raw| {
                chunks.push(keep(&shared.sink, raw, codec)?);
                Ok(())
            },
        )?;
        Ok(chunks)
    }
}

/// The rest of a range of a file.
struct Range<'a> {
    handle: &'a Handle,
    offset: u64,
    left: u64,
}

impl Range<'_> {
    /// Appends the next `wanted` bytes, at most the rest.
    fn read(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> Result<(), FileFault> {
        let read = self.handle.read_at(buffer, self.offset, wanted).map_err(unreadable)?;
        if read != wanted {
            return Err(FileFault::Changed);
        }
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(())
    }
}

fn keep(sink: &Sink, raw: &[u8], codec: &mut Codec) -> Result<PackedChunk, Failure> {
    chunk_cutting::keep(sink, raw, codec).map_err(|error| Failure::Sink(PackError(error)))
}

fn expect_planned(status: &Status, file: &PackFile) -> Result<(), FileFault> {
    let planned = status.kind == EntryKind::File
        && status.size == file.size
        && status.modified == file.modified;
    if planned { Ok(()) } else { Err(FileFault::Changed) }
}

fn expect_unchanged(before: &Status, handle: &Handle) -> Result<(), FileFault> {
    let after = handle.status().map_err(unreadable)?;
    let same = after.size == before.size
        && after.modified == before.modified
        && after.changed == before.changed;
    if same { Ok(()) } else { Err(FileFault::Changed) }
}

/// A file that became something else has changed; other errors are reported as they are.
fn unreadable(error: os::Error) -> FileFault {
    match error {
        os::Error::LOOP | os::Error::NXIO | os::Error::ISDIR => FileFault::Changed,
        error => FileFault::Unreadable(os::io_error(error)),
    }
}
