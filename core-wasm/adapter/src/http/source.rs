//! Gets chunks from a server.

use super::chunks::call;
use super::client::Shared;
use super::exchange::Outgoing;
use btdt_host_runtime::chunk_io::ChunkSource;
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::http_rules::chunks as rules;
use btdt_ports::{ChunkEndpoint, Digest, ObjectFault};
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
}

impl ChunkSource for RemoteSource {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let get = |url: &str, buffer: &mut Vec<u8>, limit| {
            let outgoing = Outgoing::new("GET", url, Vec::new());
            call(&self.shared, &self.endpoint.retries, outgoing, buffer, limit)
        };
        let remember = |failure| self.shared.remember(failure);
        rules::read(&self.endpoint, digest, raw_size, codec, get, remember)
    }
}
