//! Sends chunks to a server, many at a time.
//!
//! The native client has many workers, whose questions what the server lacks are batched. Here is
//! one worker, and a question for each chunk would cost a round trip each. So this sink gathers
//! chunks, asks about all of them and sends those that are missing. Their outcomes are known only
//! in the end, see [`GatheringSink::settle`].

use super::wasi_transport::WasiTransport;
use btdt_host_runtime::chunk_io::ChunkSink;
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::http_client::ChunkRequests;
use btdt_ports::{ChunkEndpoint, Digest, IoError, Packed, PutOutcome};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Digests in one request.
const MAX_BATCH: usize = 1000;

/// Raw bytes that are gathered before the server is asked: four of the largest chunks.
const MAX_GATHERED: usize = 16 << 20;

/// Takes chunks for a cache on a server.
pub(crate) struct GatheringSink {
    requests: ChunkRequests<WasiTransport>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Chunks that the server has not been asked about.
    waiting: Vec<(Digest, Vec<u8>)>,
    /// Their raw content in bytes.
    bytes: usize,
    /// The outcome of each chunk; `None` while it waits.
    outcomes: HashMap<Digest, Option<PutOutcome>>,
}

impl GatheringSink {
    pub(crate) fn new(transport: Arc<WasiTransport>, endpoint: ChunkEndpoint) -> Self {
        GatheringSink { requests: ChunkRequests::new(transport, endpoint), state: Mutex::default() }
    }

    /// Sends the remaining chunks and corrects the outcomes that a packer has got: only now is it
    /// known which chunks were new. Each new one counts once.
    pub(crate) fn settle(&self, packed: &mut [Packed]) -> Result<(), IoError> {
        let mut state = self.lock();
        self.flush(&mut state, &mut Codec::new())?;
        for packed in packed {
            let Packed::Chunks(chunks) = packed else { continue };
            for chunk in chunks {
                let Some(Some(outcome)) = state.outcomes.get_mut(&chunk.digest) else { continue };
                chunk.stored_size = u32::try_from(outcome.stored_size).unwrap_or(u32::MAX);
                chunk.new = std::mem::take(&mut outcome.new);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks which of the waiting chunks are missing, and sends those.
    fn flush(&self, state: &mut State, codec: &mut Codec) -> Result<(), IoError> {
        let waiting = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let asked: Vec<Digest> = waiting.iter().map(|(digest, _)| *digest).collect();
        let missing = self.requests.missing(&asked)?;
        for (digest, raw) in waiting {
            let outcome = if missing.contains(&digest) {
                let stored = codec.encode(&raw)?.to_vec();
                let stored_size = stored.len() as u64;
                let new = self.requests.put(&digest, stored.into())?;
                PutOutcome { digest, stored_size, new }
            } else {
                // The server does not tell the stored size of what it has.
                PutOutcome { digest, stored_size: 0, new: false }
            };
            state.outcomes.insert(digest, Some(outcome));
        }
        Ok(())
    }
}

impl ChunkSink for GatheringSink {
    /// Knows only its own chunks. The outcome is not final.
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let known = self.lock().outcomes.contains_key(digest);
        Ok(known.then_some(PutOutcome { digest: *digest, stored_size: 0, new: false }))
    }

    /// Gathers the chunk. The outcome is not final, and an error may be that of an earlier chunk.
    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        let mut state = self.lock();
        if state.outcomes.insert(*digest, None).is_none() {
            state.waiting.push((*digest, raw.to_vec()));
            state.bytes += raw.len();
        }
        if state.bytes >= MAX_GATHERED || state.waiting.len() >= MAX_BATCH {
            self.flush(&mut state, codec)?;
        }
        Ok(PutOutcome { digest: *digest, stored_size: 0, new: false })
    }
}
