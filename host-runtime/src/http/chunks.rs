//! Chunks on a server.

use super::body::{fill, next_piece};
use super::client::Shared;
use super::exchange::{Outgoing, exchange, judge};
use super::failures::Failure;
use super::missing::Batches;
use super::retry::{Attempt, persist};
use crate::storage::codec::{Codec, max_stored_size};
use crate::transfer::{ChunkSink, ChunkSource};
use crate::workers::{Turns, suitable_count};
use btdt_ports::{
    ChunkEndpoint, Damage, Digest, HttpErrorKind, IoError, IoErrorKind, ObjectFault, PutOutcome,
    Refusal, RetryPolicy, TransferFailure, TransferFault,
};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response};
use std::collections::HashSet;
use std::sync::Arc;

/// Of the body of a refusal, so much is kept.
const MAX_MESSAGE: usize = 4096;

/// Nothing that a server has to say about a chunk that it took is longer.
const MAX_CONFIRMATION: u64 = 64 * 1024;

/// A line of a list of digests.
const LINE: usize = 2 * Digest::LENGTH + 1;

/// Workers spend most of their time waiting for the server.
fn suitable_workers() -> usize {
    (2 * suitable_count()).clamp(8, 32)
}

/// The chunks of a cache on a server, for both directions.
pub(super) struct RemoteChunks {
    shared: Arc<Shared>,
    endpoint: ChunkEndpoint,
    batches: Batches,
    compressing: Turns,
}

impl RemoteChunks {
    pub(super) fn new(shared: Arc<Shared>, endpoint: ChunkEndpoint) -> Self {
        RemoteChunks {
            shared,
            endpoint,
            batches: Batches::default(),
            compressing: Turns::default(),
        }
    }

    fn url(&self, digest: &Digest, query: &str) -> String {
        format!("{}{}{query}", self.endpoint.chunk, digest.to_hex())
    }

    /// Sends a request until there is a successful answer, of which the body is in `buffer`.
    fn call(
        &self,
        outgoing: Result<Outgoing, Failure>,
        buffer: &mut Vec<u8>,
        limit: u64,
    ) -> Result<u16, TransferFault> {
        let outgoing = outgoing.map_err(|failure| TransferFault::NoAnswer(failure.error))?;
        let policy = Arc::new(self.endpoint.retries.clone());
        let status = persist(&policy, &mut 0, &*self.shared, || {
            let bearer = self.shared.bearer.header();
            let bearer = bearer.map_err(|error| Failure { error, passing: false })?;
            let taken = std::mem::take(buffer);
            let (shared, policy, outgoing) =
                (Arc::clone(&self.shared), Arc::clone(&policy), outgoing.clone());
            let (result, filled) = self.shared.run(async move {
                let mut buffer = taken;
                buffer.clear();
                let result = match exchange(Arc::clone(&shared), outgoing, bearer).await {
                    Ok(answer) => receive(&shared, &policy, answer, &mut buffer, limit).await,
                    Err(failure) => Err(failure),
                };
                (result, buffer)
            })?;
            *buffer = filled;
            result
        })
        .map_err(TransferFault::NoAnswer)?;
        if (200..300).contains(&status) {
            return Ok(status);
        }
        Err(TransferFault::Refused(Refusal { status, body: std::mem::take(buffer) }))
    }

    /// Keeps the reason for the user and gives what the caller may know.
    fn failed(&self, url: String, reason: TransferFault) -> IoError {
        let kind = match &reason {
            TransferFault::Refused(Refusal { status: 507, .. }) => IoErrorKind::NoSpace,
            TransferFault::Refused(Refusal { status: 401 | 403, .. }) => IoErrorKind::AccessDenied,
            TransferFault::Refused(Refusal { status: 413, .. }) => IoErrorKind::TooLarge,
            _ => IoErrorKind::Transfer,
        };
        self.shared.remember(TransferFailure { url, reason });
        IoError::new(kind)
    }

    /// Which of `asked` the server does not have.
    fn missing(&self, asked: &[Digest]) -> Result<HashSet<Digest>, IoError> {
        let url = &self.endpoint.missing;
        let body = Digest::to_lines(asked).into();
        let mut outgoing = Outgoing::new(Method::POST, url, body);
        if let Ok(outgoing) = &mut outgoing {
            outgoing.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        let mut answer = Vec::new();
        // Twice as much, for line breaks of another kind.
        let limit = (asked.len() * LINE * 2) as u64;
        let missing = match self.call(outgoing, &mut answer, limit) {
            Ok(200 | 204) => parse_missing(&answer, asked),
            Ok(status) => Err(TransferFault::Refused(Refusal { status, body: Vec::new() })),
            Err(fault) => Err(fault),
        };
        missing.map_err(|fault| self.failed(url.clone(), fault))
    }

    /// Gets a chunk and leaves its verified content in `codec`.
    fn fetch(
        &self,
        digest: &Digest,
        raw_size: u32,
        query: &str,
        codec: &mut Codec,
    ) -> Result<(), Fault> {
        let url = self.url(digest, query);
        let limit = max_stored_size(u64::from(raw_size));
        let outgoing = Outgoing::new(Method::GET, &url, Bytes::new());
        match self.call(outgoing, codec.load(), limit) {
            Ok(200) => {}
            Ok(status) => {
                let reason = TransferFault::Refused(Refusal { status, body: Vec::new() });
                return Err(Fault::Failed(url, reason));
            }
            Err(TransferFault::Refused(Refusal { status: 404, .. })) => {
                return Err(Fault::Object(ObjectFault::Missing));
            }
            Err(TransferFault::NoAnswer(error)) if error.kind == HttpErrorKind::TooLarge => {
                return Err(Fault::Object(ObjectFault::Damaged(Damage::Length)));
            }
            Err(reason) => return Err(Fault::Failed(url, reason)),
        }
        codec.verify_loaded(digest, u64::from(raw_size)).map_err(Fault::Object)?;
        codec.loaded_of_size(raw_size).map(drop).map_err(Fault::Object)
    }
}

/// Why a chunk was not received.
enum Fault {
    Object(ObjectFault),
    Failed(String, TransferFault),
}

impl Fault {
    /// Whether the server's copy may be what is damaged.
    fn is_doubtful(&self) -> bool {
        match self {
            Fault::Object(fault) => !matches!(fault, ObjectFault::Missing),
            Fault::Failed(_, TransferFault::NoAnswer(error)) => {
                error.kind == HttpErrorKind::Interrupted
            }
            Fault::Failed(..) => false,
        }
    }
}

/// The status of an answer; its body goes to `buffer`: all of it after a success, else the
/// beginning.
async fn receive(
    shared: &Shared,
    policy: &RetryPolicy,
    mut answer: Response,
    buffer: &mut Vec<u8>,
    limit: u64,
) -> Result<Attempt<u16>, Failure> {
    let status = answer.status().as_u16();
    let attempt = judge(shared, policy, &answer, status);
    if answer.status().is_success() {
        fill(shared, answer, buffer, limit).await?;
        return Ok(attempt);
    }
    // A message that is cut off is better than none.
    while let Ok(Some(piece)) = next_piece(shared, &mut answer).await {
        buffer.extend_from_slice(&piece[..piece.len().min(MAX_MESSAGE - buffer.len())]);
        if buffer.len() == MAX_MESSAGE {
            break;
        }
    }
    Ok(attempt)
}

fn parse_missing(answer: &[u8], asked: &[Digest]) -> Result<HashSet<Digest>, TransferFault> {
    let asked: HashSet<&Digest> = asked.iter().collect();
    let parse = |line: &str| Digest::from_hex(line).filter(|digest| asked.contains(digest));
    let text = std::str::from_utf8(answer).ok();
    // The last line ends like the others, or there may have been more.
    let text = text.filter(|text| text.is_empty() || text.ends_with('\n'));
    text.and_then(|text| text.lines().map(parse).collect()).ok_or_else(|| {
        let detail = "the answer to the question which chunks are missing is not a list of such";
        TransferFault::NoAnswer(Failure::lasting(HttpErrorKind::Protocol, detail).error)
    })
}

impl ChunkSink for RemoteChunks {
    /// The server does not tell the stored size of what it has: it is 0 here.
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let missing = self.batches.ask(digest, |asked| self.missing(asked))?;
        Ok((!missing).then_some(PutOutcome { digest: *digest, stored_size: 0, new: false }))
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        let stored = self.compressing.with(|| codec.encode(raw).map(Bytes::copy_from_slice))?;
        let stored_size = stored.len() as u64;
        let url = self.url(digest, &self.endpoint.query);
        let mut outgoing = Outgoing::new(Method::PUT, &url, stored);
        if let Ok(outgoing) = &mut outgoing {
            let kind = HeaderValue::from_static("application/octet-stream");
            outgoing.headers.insert(CONTENT_TYPE, kind);
        }
        match self.call(outgoing, &mut Vec::new(), MAX_CONFIRMATION) {
            Ok(status @ (200 | 201 | 204)) => {
                Ok(PutOutcome { digest: *digest, stored_size, new: status == 201 })
            }
            Ok(status) => {
                Err(self.failed(url, TransferFault::Refused(Refusal { status, body: Vec::new() })))
            }
            Err(reason) => Err(self.failed(url, reason)),
        }
    }

    fn suitable_workers(&self) -> usize {
        suitable_workers()
    }
}

impl ChunkSource for RemoteChunks {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let mut result = self.fetch(digest, raw_size, &self.endpoint.query, codec);
        if result.as_ref().is_err_and(Fault::is_doubtful) {
            result = self.fetch(digest, raw_size, &self.endpoint.verify_query, codec);
        }
        match result {
            Ok(()) => codec.loaded_of_size(raw_size),
            Err(Fault::Object(fault)) => Err(fault),
            Err(Fault::Failed(url, reason)) => {
                self.shared.remember(TransferFailure { url, reason });
                Err(ObjectFault::Unreadable(IoError::new(IoErrorKind::Transfer)))
            }
        }
    }

    fn suitable_workers(&self) -> usize {
        suitable_workers()
    }
}
