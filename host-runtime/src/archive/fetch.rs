//! Fetches the chunks of an outgoing archive in the order of their use.

use super::read_ahead::Lease;
use super::stream_fault::StreamFault;
use super::tar_plan::TarPlan;
use crate::codec::Codec;
use crate::workers::Workers;
use btdt_ports::{ArchiveExtent, Damage, Digest, IoError, IoErrorKind, ObjectFault};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Chunks that are kept after use: when a tree was stored a second time, small files alternate
/// between an old chunk and a new one.
const KEPT: usize = 2;

/// Chunks that are read ahead from a local source.
const AHEAD: usize = 4;

/// The most chunks that are read ahead, however many requests suit the source.
const MAX_AHEAD: usize = 32;

/// A buffer that has grown beyond this many bytes is freed after use.
const USUAL_CHUNK: usize = 2 << 20;

/// The most recently used chunks, the latest at the end.
///
/// What to read ahead is found by simulating this list over the extents that follow, with the same
/// capacity, so that both agree on its content.
struct Recent<T> {
    chunks: Vec<(u32, T)>,
    capacity: usize,
}

impl<T> Recent<T> {
    fn new(capacity: usize) -> Self {
        Recent { chunks: Vec::with_capacity(capacity), capacity }
    }

    /// Finds a chunk and marks it as the latest.
    fn find(&mut self, chunk: u32) -> bool {
        let Some(at) = self.chunks.iter().position(|(other, _)| *other == chunk) else {
            return false;
        };
        self.chunks[at..].rotate_left(1);
        true
    }

    /// Makes room for one more; returns what was evicted.
    fn make_room(&mut self) -> Option<T> {
        (self.chunks.len() >= self.capacity).then(|| self.chunks.remove(0).1)
    }

    fn add(&mut self, chunk: u32, value: T) {
        self.chunks.push((chunk, value));
    }

    /// Drops the latest chunk after its end was used: files that share a chunk follow each other in
    /// it.
    fn pop(&mut self) -> Option<T> {
        self.chunks.pop().map(|(_, value)| value)
    }

    fn last(&self) -> Option<&T> {
        self.chunks.last().map(|(_, value)| value)
    }
}

type Fetched = Result<Codec, ObjectFault>;

/// A chunk to be read. It is always answered, even after a panic.
struct Job {
    digest: Digest,
    raw_size: u32,
    number: u64,
    codec: Codec,
    answers: Option<Sender<(u64, Fetched)>>,
}

impl Job {
    fn answer(&mut self, fetched: Fetched) {
        if let Some(answers) = self.answers.take() {
            // Fails when the stream was dropped.
            let _ = answers.send((self.number, fetched));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The worker panicked or was stopped.
        self.answer(Err(ObjectFault::Unreadable(IoError::new(IoErrorKind::Other))));
    }
}

/// Reads chunks ahead and keeps the latest ones.
pub(super) struct Fetcher {
    plan: Arc<TarPlan>,
    workers: Workers<Job>,
    sender: Sender<(u64, Fetched)>,
    answers: Receiver<(u64, Fetched)>,
    /// Answers that arrived out of order.
    early: Vec<(u64, Fetched)>,
    /// Idle codecs.
    idle: Vec<Codec>,
    kept: Recent<Codec>,
    /// Whether nothing is read ahead because the shared limit is used up. Then every buffer counts.
    is_alone: bool,
    /// Whether the latest chunk is no longer needed.
    used_up: bool,
    /// The first extent that has not been simulated, and the simulated list.
    planned_extent: usize,
    planned: Recent<()>,
    /// Chunks requested, and chunks received in order.
    asked: u64,
    received: u64,
    _lease: Lease,
}

impl Fetcher {
    pub(super) fn start(plan: Arc<TarPlan>) -> Self {
        let suitable = plan.source.suitable_workers();
        let ahead = suitable.clamp(AHEAD, MAX_AHEAD);
        let most = (ahead + KEPT).min(plan.chunks.len() + 1);
        let lease = plan.read_ahead.take(most.saturating_sub(1));
        let slots = 1 + lease.chunks;
        let kept = KEPT.min(slots - 1).max(1);
        // Without reading ahead, another thread is useless.
        let threads = if slots > kept { suitable.min(slots - kept).max(1) } else { 0 };
        let source = Arc::clone(&plan.source);
        let workers = Workers::start(threads, || {
            let source = Arc::clone(&source);
            move |mut job: Job| {
                let fault = match source.read(&job.digest, job.raw_size, &mut job.codec) {
                    Ok(raw) if raw.len() == job.raw_size as usize => None,
                    Ok(_) => Some(ObjectFault::Damaged(Damage::Length)),
                    Err(fault) => Some(fault),
                };
                let codec = std::mem::take(&mut job.codec);
                job.answer(fault.map_or(Ok(codec), Err));
                ControlFlow::Continue(())
            }
        });
        let (sender, answers) = unbounded();
        let mut fetcher = Fetcher {
            plan,
            workers,
            sender,
            answers,
            early: Vec::new(),
            idle: (0..slots).map(|_| Codec::new()).collect(),
            kept: Recent::new(kept),
            is_alone: slots == 1,
            used_up: false,
            planned_extent: 0,
            planned: Recent::new(kept),
            asked: 0,
            received: 0,
            _lease: lease,
        };
        fetcher.read_ahead();
        fetcher
    }

    /// `length` bytes of an extent, starting at `from`. Extents must be requested in order.
    pub(super) fn content(
        &mut self,
        extent: ArchiveExtent,
        from: u32,
        length: u32,
    ) -> Result<&[u8], StreamFault> {
        if std::mem::take(&mut self.used_up)
            && let Some(codec) = self.kept.pop()
        {
            self.retire(codec);
        }
        if !self.kept.find(extent.chunk) {
            if let Some(codec) = self.kept.make_room() {
                self.retire(codec);
            }
            let digest = self.plan.chunks[extent.chunk as usize].digest;
            let next = self.next_chunk();
            let mut codec = next.map_err(|fault| StreamFault::Chunk { digest, fault })?;
            if self.is_alone {
                codec.drop_stored();
            }
            self.kept.add(extent.chunk, codec);
        }
        let start = extent.offset + from;
        let end = start + length;
        self.used_up = end == self.plan.chunks[extent.chunk as usize].raw_size;
        let raw = self.kept.last().map_or(&[][..], Codec::loaded);
        raw.get(start as usize..end as usize).ok_or(StreamFault::Plan)
    }

    fn retire(&mut self, mut codec: Codec) {
        codec.shrink(USUAL_CHUNK);
        self.idle.push(codec);
        self.read_ahead();
    }

    /// Waits for the next requested chunk.
    fn next_chunk(&mut self) -> Fetched {
        let number = self.received;
        self.received += 1;
        if let Some(at) = self.early.iter().position(|(other, _)| *other == number) {
            return self.early.swap_remove(at).1;
        }
        loop {
            // `self` holds a sender, so the channel stays open; every job answers.
            match self.answers.recv() {
                Ok((other, fetched)) if other == number => return fetched,
                Ok(other) => self.early.push(other),
                Err(_) => return Err(ObjectFault::Unreadable(IoError::new(IoErrorKind::Other))),
            }
        }
    }

    /// Requests the next chunks while there are idle codecs.
    fn read_ahead(&mut self) {
        while !self.idle.is_empty() {
            let Some(extent) = self.plan.extents.get(self.planned_extent) else { return };
            let chunk = &self.plan.chunks[extent.chunk as usize];
            if !self.planned.find(extent.chunk) {
                let Some(codec) = self.idle.pop() else { return };
                self.planned.make_room();
                self.planned.add(extent.chunk, ());
                let job = Job {
                    digest: chunk.digest,
                    raw_size: chunk.raw_size,
                    number: self.asked,
                    codec,
                    answers: Some(self.sender.clone()),
                };
                self.asked += 1;
                // A refused job has already answered.
                let _ = self.workers.submit(job);
            }
            if extent.offset + extent.length == chunk.raw_size {
                self.planned.pop();
            }
            self.planned_extent += 1;
        }
    }
}
