//! Sends chunks to a server.
//!
//! The native client has many workers, whose questions what the server lacks go together. Here is
//! one, and a question for each chunk would cost a round trip each. So chunks are gathered, and
//! asked for and sent together; what became of them is known in the end only, see
//! [`RemoteSink::settle`].

use super::body::{fill, message};
use super::client::Shared;
use super::exchange::{Outgoing, exchange, judged};
use btdt_host_runtime::chunk_io::ChunkSink;
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::http_rules::Failure;
use btdt_host_runtime::http_rules::chunks::{self as rules, MAX_CONFIRMATION, MAX_MESSAGE};
use btdt_host_runtime::http_rules::retry::persist;
use btdt_ports::{
    ChunkEndpoint, Digest, IoError, Packed, PutOutcome, RetryPolicy, TransferFailure, TransferFault,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Digests in one question.
const MAX_BATCH: usize = 1000;

/// Raw bytes that are gathered before the server is asked: four of the largest chunks.
const MAX_GATHERED: usize = 16 << 20;

/// Sends a request until there is a successful answer, of which the body is in `buffer`.
pub(super) fn call(
    shared: &Shared,
    policy: &RetryPolicy,
    outgoing: Result<Outgoing, Failure>,
    buffer: &mut Vec<u8>,
    limit: u64,
) -> Result<u16, TransferFault> {
    let outgoing = outgoing.map_err(|failure| TransferFault::NoAnswer(failure.error))?;
    let status = persist(policy, &mut 0, shared, || {
        buffer.clear();
        let mut answer = exchange(shared, &outgoing)?;
        if (200..300).contains(&answer.status) {
            fill(&mut answer, buffer, limit)?;
        } else {
            *buffer = message(&mut answer, MAX_MESSAGE as u64);
        }
        Ok(judged(policy, &answer, answer.status))
    });
    match status.map_err(TransferFault::NoAnswer)? {
        status @ 200..300 => Ok(status),
        status => Err(rules::refused(status, std::mem::take(buffer))),
    }
}

/// Takes chunks for a cache on a server.
pub(crate) struct RemoteSink {
    shared: Arc<Shared>,
    endpoint: ChunkEndpoint,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Chunks that have not been asked for.
    waiting: Vec<(Digest, Vec<u8>)>,
    /// Their raw content in bytes.
    bytes: usize,
    /// What became of all others; nothing yet for those that wait.
    outcomes: HashMap<Digest, Option<PutOutcome>>,
}

impl RemoteSink {
    pub(super) fn new(shared: Arc<Shared>, endpoint: ChunkEndpoint) -> Self {
        RemoteSink { shared, endpoint, state: Mutex::default() }
    }

    /// Sends what is left, and completes what a packer has been told about the chunks: only now is
    /// it known which of them were new. Each new one counts once.
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

    /// Asks which of the chunks that wait are missing, and sends those.
    fn flush(&self, state: &mut State, codec: &mut Codec) -> Result<(), IoError> {
        let waiting = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let asked: Vec<Digest> = waiting.iter().map(|(digest, _)| *digest).collect();
        let missing = self.missing(&asked)?;
        for (digest, raw) in waiting {
            let outcome = if missing.contains(&digest) {
                self.send(&digest, &raw, codec)?
            } else {
                // The server does not tell the stored size of what it has.
                PutOutcome { digest, stored_size: 0, new: false }
            };
            state.outcomes.insert(digest, Some(outcome));
        }
        Ok(())
    }

    /// Which of `asked` the server does not have.
    fn missing(&self, asked: &[Digest]) -> Result<HashSet<Digest>, IoError> {
        let url = &self.endpoint.missing;
        let outgoing = outgoing("POST", url, Digest::to_lines(asked).into(), "text/plain");
        let mut answer = Vec::new();
        let limit = rules::missing_limit(asked.len());
        let status = call(&self.shared, &self.endpoint.retries, outgoing, &mut answer, limit);
        let missing = status.and_then(|status| rules::missing(status, &answer, asked));
        missing.map_err(|reason| self.failed(url.clone(), reason))
    }

    fn send(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        let stored = codec.encode(raw)?.to_vec();
        let stored_size = stored.len() as u64;
        let url = rules::url(&self.endpoint, digest, &self.endpoint.query);
        let outgoing = outgoing("PUT", &url, stored, "application/octet-stream");
        let policy = &self.endpoint.retries;
        let status = call(&self.shared, policy, outgoing, &mut Vec::new(), MAX_CONFIRMATION);
        match status.and_then(rules::taken) {
            Ok(new) => Ok(PutOutcome { digest: *digest, stored_size, new }),
            Err(reason) => Err(self.failed(url, reason)),
        }
    }

    /// Keeps the reason for the user and gives what the caller may know.
    fn failed(&self, url: String, reason: TransferFault) -> IoError {
        let error = rules::io_error(&reason);
        self.shared.remember(TransferFailure { url, reason });
        error
    }
}

fn outgoing(
    method: &'static str,
    url: &str,
    body: Vec<u8>,
    media_type: &str,
) -> Result<Outgoing, Failure> {
    let mut outgoing = Outgoing::new(method, url, body)?;
    outgoing.headers.push(("content-type".to_owned(), media_type.into()));
    Ok(outgoing)
}

impl ChunkSink for RemoteSink {
    /// Knows only what has been sent by it. The outcome is not the final one.
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let known = self.lock().outcomes.contains_key(digest);
        Ok(known.then_some(PutOutcome { digest: *digest, stored_size: 0, new: false }))
    }

    /// Gathers it; the error may be one of an earlier chunk. The outcome is not the final one.
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
