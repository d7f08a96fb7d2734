//! Writes the chunks of an incoming archive to a sink, on several threads.

use super::format::MAX_CHUNK;
use crate::chunk_cutting;
use crate::chunk_io::Sink;
use crate::codec::Codec;
use crate::workers::Workers;
use btdt_ports::{ArchiveFault, IoError, IoErrorKind, PackedChunk};
use crossbeam_channel::{Receiver, unbounded};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const UNKNOWN: IoError = IoError::new(IoErrorKind::Other);

/// The content of a chunk and its position.
struct Job {
    raw: Vec<u8>,
    place: usize,
}

struct Shared {
    sink: Sink,
    kept: Mutex<Vec<Option<PackedChunk>>>,
    error: Mutex<Option<IoError>>,
}

/// Hashes, compresses and stores chunks.
///
/// There is one more buffer of at most [`MAX_CHUNK`] bytes than there are workers; the caller waits
/// for a worker to free one.
pub(super) struct Ingest {
    workers: Workers<Job>,
    shared: Arc<Shared>,
    buffers: Receiver<Vec<u8>>,
    /// Chunks submitted so far, and their number per group.
    jobs: usize,
    grouped: usize,
    groups: Vec<usize>,
}

impl Ingest {
    pub(super) fn start(sink: Sink) -> Self {
        let count = sink.suitable_workers().max(1);
        let shared = Arc::new(Shared { sink, kept: Mutex::default(), error: Mutex::default() });
        let (sender, buffers) = unbounded();
        for _ in 0..=count {
            // The receiver exists, so this cannot fail.
            let _ = sender.send(Vec::new());
        }
        // Only workers hold a sender: waiting for a buffer ends when they are gone.
        let make = {
            let shared = Arc::clone(&shared);
            move || {
                let (shared, sender) = (Arc::clone(&shared), sender.clone());
                let mut codec = Codec::new();
                move |mut job: Job| {
                    let flow = shared.keep(&job, &mut codec);
                    job.raw.clear();
                    let _ = sender.send(job.raw);
                    flow
                }
            }
        };
        let workers = Workers::start(count, make);
        Ingest { workers, shared, buffers, jobs: 0, grouped: 0, groups: Vec::new() }
    }

    /// An empty buffer.
    pub(super) fn buffer(&mut self) -> Result<Vec<u8>, ArchiveFault> {
        self.buffers.recv().map_err(|_| self.failure())
    }

    /// Submits a chunk of the current group.
    pub(super) fn submit(&mut self, raw: Vec<u8>) -> Result<(), ArchiveFault> {
        debug_assert!(raw.len() <= MAX_CHUNK as usize);
        let job = Job { raw, place: self.jobs };
        self.jobs += 1;
        self.workers.submit(job).map_err(|_| self.failure())
    }

    /// Ends the current group: all chunks since the last one.
    pub(super) fn end_group(&mut self) {
        self.groups.push(self.jobs - self.grouped);
        self.grouped = self.jobs;
    }

    /// Waits for all chunks and returns them by group.
    pub(super) fn finish(mut self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        let finished = self.workers.finish();
        if let Some(error) = lock(&self.shared.error).take() {
            return Err(ArchiveFault::Sink(error));
        }
        let kept = std::mem::take(&mut *lock(&self.shared.kept));
        let kept: Option<Vec<PackedChunk>> = kept.into_iter().collect();
        let kept = kept.filter(|kept| finished.is_ok() && kept.len() == self.jobs);
        let mut kept = kept.ok_or(ArchiveFault::Sink(UNKNOWN))?.into_iter();
        Ok(self.groups.iter().map(|count| kept.by_ref().take(*count).collect()).collect())
    }

    /// Why the workers have stopped.
    fn failure(&mut self) -> ArchiveFault {
        self.workers.cancel();
        ArchiveFault::Sink(lock(&self.shared.error).unwrap_or(UNKNOWN))
    }
}

impl Shared {
    fn keep(&self, job: &Job, codec: &mut Codec) -> ControlFlow<()> {
        match chunk_cutting::keep(&self.sink, &job.raw, codec) {
            Ok(chunk) => {
                let mut kept = lock(&self.kept);
                if kept.len() <= job.place {
                    kept.resize(job.place + 1, None);
                }
                kept[job.place] = Some(chunk);
                ControlFlow::Continue(())
            }
            Err(error) => {
                lock(&self.error).get_or_insert(error);
                ControlFlow::Break(())
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is a single assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
