//! Sends chunks to a server.

use super::hyper_transport::HyperTransport;
use super::missing_batches::Batches;
use crate::chunk_io::ChunkSink;
use crate::codec::Codec;
use crate::http_client::{ChunkRequests, transfer_workers};
use crate::workers::ComputePermits;
use btdt_ports::{ChunkEndpoint, Digest, IoError, PutOutcome};
use bytes::Bytes;
use std::sync::Arc;

/// Takes chunks for a cache on a server.
pub(super) struct ChunkUpload {
    requests: ChunkRequests<HyperTransport>,
    batches: Batches,
    compressing: ComputePermits,
}

impl ChunkUpload {
    pub(super) fn new(transport: Arc<HyperTransport>, endpoint: ChunkEndpoint) -> Self {
        ChunkUpload {
            requests: ChunkRequests::new(transport, endpoint),
            batches: Batches::default(),
            compressing: ComputePermits::default(),
        }
    }
}

impl ChunkSink for ChunkUpload {
    /// The stored size is always 0: the server does not tell it.
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let missing = self.batches.ask(digest, |asked| self.requests.missing(asked))?;
        Ok((!missing).then_some(PutOutcome { digest: *digest, stored_size: 0, new: false }))
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        let stored = self.compressing.with(|| codec.encode(raw).map(Bytes::copy_from_slice))?;
        let stored_size = stored.len() as u64;
        let new = self.requests.put(digest, stored)?;
        Ok(PutOutcome { digest: *digest, stored_size, new })
    }

    fn suitable_workers(&self) -> usize {
        transfer_workers()
    }
}
