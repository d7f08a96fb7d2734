//! Gets chunks from a server.

use super::chunks::{call, chunk_url};
use super::client::Shared;
use super::exchange::Outgoing;
use btdt_host_runtime::http_rules::chunks::{FetchFault, fetched};
use btdt_host_runtime::storage::Codec;
use btdt_host_runtime::storage::codec::max_stored_size;
use btdt_host_runtime::transfer::ChunkSource;
use btdt_ports::{ChunkEndpoint, Digest, IoError, IoErrorKind, ObjectFault, TransferFailure};
use std::sync::Arc;

/// The chunks of a cache on a server.
pub(super) struct RemoteSource {
    shared: Arc<Shared>,
    endpoint: ChunkEndpoint,
}

impl RemoteSource {
    pub(super) fn new(shared: Arc<Shared>, endpoint: ChunkEndpoint) -> Self {
        RemoteSource { shared, endpoint }
    }

    /// Gets a chunk and leaves its verified content in `codec`.
    fn fetch(
        &self,
        digest: &Digest,
        raw_size: u32,
        query: &str,
        codec: &mut Codec,
    ) -> Result<(), FetchFault> {
        let outgoing = Outgoing::new("GET", &chunk_url(&self.endpoint, digest, query), Vec::new());
        let limit = max_stored_size(u64::from(raw_size));
        let policy = &self.endpoint.retries;
        fetched(call(&self.shared, policy, outgoing, codec.load(), limit))?;
        codec.verify_loaded(digest, u64::from(raw_size)).map_err(FetchFault::Object)?;
        codec.loaded_of_size(raw_size).map(drop).map_err(FetchFault::Object)
    }
}

impl ChunkSource for RemoteSource {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let mut query = &self.endpoint.query;
        let mut result = self.fetch(digest, raw_size, query, codec);
        if result.as_ref().is_err_and(FetchFault::is_doubtful) {
            query = &self.endpoint.verify_query;
            result = self.fetch(digest, raw_size, query, codec);
        }
        match result {
            Ok(()) => codec.loaded_of_size(raw_size),
            Err(FetchFault::Object(fault)) => Err(fault),
            Err(FetchFault::Failed(reason)) => {
                let url = chunk_url(&self.endpoint, digest, query);
                self.shared.remember(TransferFailure { url, reason });
                Err(ObjectFault::Unreadable(IoError::new(IoErrorKind::Transfer)))
            }
        }
    }
}
