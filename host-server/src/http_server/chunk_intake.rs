//! Keeps the chunks that clients send, within the quota, and counts them.

use super::faults::Refusal;
use crate::caches::Cache;
use crate::quota::Reservation;
use crate::service::Service;
use btdt_host_runtime::chunk_io::{ChunkSink, Sink, StoredPutError};
use btdt_host_runtime::codec::{Codec, max_stored_size};
use btdt_host_runtime::engine::SharedObjects;
use btdt_host_runtime::engine::server::UploadFault;
use btdt_ports::{Digest, IoError, IoErrorKind, ObjectFault, ObjectKind, PutOutcome};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static CODEC: RefCell<Codec> = const { RefCell::new(Codec::new()) };
}

/// The objects of a cache, as the place that chunks are sent to.
#[derive(Clone)]
pub(super) struct ChunkIntake {
    service: Arc<Service>,
    objects: SharedObjects,
}

impl ChunkIntake {
    /// Refuses a cache whose quota is used up.
    pub(super) fn new(service: Arc<Service>, objects: SharedObjects) -> Result<Self, Refusal> {
        let intake = ChunkIntake { service, objects };
        match intake.cache() {
            Some((_, cache)) if cache.quota.is_full() => Err(Refusal::Full),
            _ => Ok(intake),
        }
    }

    /// Reserves room for a chunk of so many bytes in stored form.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, Refusal> {
        let reserved = self.cache().and_then(|(_, cache)| cache.quota.reserve(bytes));
        reserved.ok_or(Refusal::Full)
    }

    /// Keeps the stored form of a chunk if it is intact and its content has at most `limit` bytes.
    /// Blocks.
    pub(super) fn keep(
        &self,
        digest: &Digest,
        stored: &[u8],
        limit: u64,
        reserved: Reservation,
    ) -> Result<PutOutcome, UploadFault> {
        let put = CODEC.with_borrow_mut(|codec| {
            self.objects.put_stored(ObjectKind::Chunk, digest, stored, limit, codec)
        });
        let outcome = put.map_err(|error| match error {
            StoredPutError::Fault(ObjectFault::TooLarge) => UploadFault::TooLarge,
            StoredPutError::Fault(fault) => UploadFault::Damaged(fault),
            StoredPutError::Io(error) if error.kind == IoErrorKind::TooLarge => {
                UploadFault::TooLarge
            }
            StoredPutError::Io(error) => UploadFault::Storage(error),
        })?;
        self.count(&outcome, Some(reserved));
        Ok(outcome)
    }

    /// A sink for the chunks of an archive.
    pub(super) fn into_sink(self) -> Sink {
        let sink = self.objects.sink();
        Arc::new(ArchiveSink { intake: self, sink })
    }

    fn cache(&self) -> Option<(&str, &Cache)> {
        self.service.caches.owner(&self.objects)
    }

    /// Counts a chunk that is in the cache now.
    fn count(&self, outcome: &PutOutcome, reserved: Option<Reservation>) {
        if let Some(reserved) = reserved {
            reserved.used(if outcome.new { outcome.stored_size } else { 0 });
        }
        if let Some((name, _)) = self.cache() {
            self.service.metrics.kept(name, outcome.stored_size, outcome.new);
        }
    }
}

/// Takes the chunks of one archive of many.
struct ArchiveSink {
    intake: ChunkIntake,
    sink: Sink,
}

impl ChunkSink for ArchiveSink {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let existing = self.sink.existing(digest)?;
        if let Some(outcome) = &existing {
            self.intake.count(outcome, None);
        }
        Ok(existing)
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        // The size of its stored form is not known yet.
        let reserved = self.intake.reserve(max_stored_size(raw.len() as u64));
        let reserved = reserved.map_err(|_| IoError::new(IoErrorKind::NoSpace))?;
        let outcome = self.sink.put(digest, raw, codec)?;
        self.intake.count(&outcome, Some(reserved));
        Ok(outcome)
    }

    /// All archives together keep the CPU busy; more workers would only take memory.
    fn suitable_workers(&self) -> usize {
        1
    }
}
