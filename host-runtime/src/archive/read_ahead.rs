//! The memory for chunks read ahead, shared by outgoing archives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit on the chunks that streams hold together, beyond the one that each of them needs.
///
/// A chunk takes its raw content and its stored form: rarely more than 2 MiB, and never more than 8
/// MiB and what zstd needs. A stream on its own holds up to 6, more only if the source is remote. A
/// stream that gets none reads each chunk on demand, on its own thread.
pub struct ReadAhead {
    free: AtomicUsize,
}

impl ReadAhead {
    /// A limit of `chunks`.
    #[must_use]
    pub fn new(chunks: usize) -> Self {
        ReadAhead { free: AtomicUsize::new(chunks) }
    }

    /// No limit.
    #[must_use]
    pub fn unlimited() -> Self {
        ReadAhead::new(usize::MAX / 2)
    }

    /// Takes up to `wanted` chunks.
    pub(super) fn take(self: &Arc<Self>, wanted: usize) -> Lease {
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            let chunks = wanted.min(free);
            let left = free - chunks;
            let ordering = Ordering::Relaxed;
            match self.free.compare_exchange_weak(free, left, ordering, ordering) {
                Ok(_) => return Lease { from: Arc::clone(self), chunks },
                Err(other) => free = other,
            }
        }
    }
}

/// Chunks taken from the limit until this is dropped.
pub(super) struct Lease {
    from: Arc<ReadAhead>,
    /// How many chunks.
    pub(super) chunks: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.from.free.fetch_add(self.chunks, Ordering::Relaxed);
    }
}
