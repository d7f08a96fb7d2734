//! Where the chunks of an incoming archive go.

use super::Service;
use btdt_host_runtime::chunk_io::{ChunkSink, Sink};
use btdt_host_runtime::codec::{Codec, max_stored_size};
use btdt_host_runtime::engine::SharedObjects;
use btdt_ports::{Digest, IoError, IoErrorKind, PutOutcome};
use std::sync::Arc;

/// A sink for an archive that is one of many, which counts what it takes and keeps to the quota.
pub(super) struct Counted {
    service: Arc<Service>,
    objects: SharedObjects,
    sink: Sink,
}

impl Counted {
    /// A sink into these objects.
    pub(super) fn new(service: Arc<Service>, objects: SharedObjects) -> Self {
        let sink = objects.sink();
        Counted { service, objects, sink }
    }
}

impl ChunkSink for Counted {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let existing = self.sink.existing(digest)?;
        if let Some(outcome) = &existing {
            self.service.kept(&self.objects, outcome, 0);
        }
        Ok(existing)
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        // Its stored form is not known yet.
        let most = max_stored_size(raw.len() as u64);
        let room = self.service.caches.reserve(&self.objects, most);
        let room = room.ok_or(IoError::new(IoErrorKind::NoSpace))?;
        let outcome = self.sink.put(digest, raw, codec);
        match &outcome {
            Ok(outcome) => self.service.kept(&self.objects, outcome, room),
            Err(_) => self.service.caches.give_back(&self.objects, room),
        }
        outcome
    }

    /// The server's cores are kept busy by all archives together, and each further worker would
    /// only take memory.
    fn suitable_workers(&self) -> usize {
        1
    }
}
