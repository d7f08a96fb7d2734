//! Chunks on a server.

use super::body::{fill, message};
use super::client::Shared;
use super::exchange::{Outgoing, exchange, judge};
use super::failures::Failure;
use super::missing::Batches;
use super::upload::{Uploaded, upload_bytes};
use crate::chunk_io::{ChunkSink, ChunkSource};
use crate::codec::Codec;
use crate::http_rules::chunks as rules;
use crate::http_rules::retry::{Attempt, persist};
use crate::workers::{ComputePermits, suitable_count};
use btdt_ports::{
    ChunkEndpoint, Digest, HttpErrorKind, IoError, ObjectFault, PutOutcome, RetryPolicy,
    TransferFailure, TransferFault,
};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response};
use std::collections::HashSet;
use std::sync::Arc;

/// Workers spend most of their time waiting for the server.
fn suitable_workers() -> usize {
    (2 * suitable_count()).clamp(8, 32)
}

/// The chunks of a cache on a server, for both directions.
pub(super) struct RemoteChunks {
    shared: Arc<Shared>,
    endpoint: ChunkEndpoint,
    batches: Batches,
    compressing: ComputePermits,
}

impl RemoteChunks {
    pub(super) fn new(shared: Arc<Shared>, endpoint: ChunkEndpoint) -> Self {
        RemoteChunks {
            shared,
            endpoint,
            batches: Batches::default(),
            compressing: ComputePermits::default(),
        }
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
        let mut broken = false;
        let status = persist(&policy, &mut 0, &*self.shared, || {
            let bearer = self.shared.bearer()?;
            let taken = std::mem::take(buffer);
            let (shared, policy, outgoing) =
                (Arc::clone(&self.shared), Arc::clone(&policy), outgoing.clone());
            // A server that refuses a body without reading it may look like one that is gone.
            let careful = broken && !outgoing.body.is_empty();
            let (result, filled) = self.shared.run(async move {
                let mut buffer = taken;
                buffer.clear();
                let result = if careful {
                    upload_bytes(&shared, outgoing, bearer).await
                } else {
                    exchange(Arc::clone(&shared), outgoing, bearer).await.map(Uploaded::from)
                };
                let result = match result {
                    Ok(Uploaded { answer, stop: _stop }) => {
                        receive(&shared, &policy, answer, &mut buffer, limit).await
                    }
                    Err(failure) => Err(failure),
                };
                (result, buffer)
            })?;
            *buffer = filled;
            broken =
                matches!(&result, Err(failure) if failure.error.kind == HttpErrorKind::Interrupted);
            result
        })
        .map_err(TransferFault::NoAnswer)?;
        if (200..300).contains(&status) {
            return Ok(status);
        }
        Err(rules::refused(status, std::mem::take(buffer)))
    }

    /// Keeps the reason for the user and gives what the caller may know.
    fn failed(&self, url: String, reason: TransferFault) -> IoError {
        let error = rules::io_error(&reason);
        self.shared.remember(TransferFailure { url, reason });
        error
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
        let limit = rules::missing_limit(asked.len());
        let missing = self.call(outgoing, &mut answer, limit);
        let missing = missing.and_then(|status| rules::missing(status, &answer, asked));
        missing.map_err(|fault| self.failed(url.clone(), fault))
    }
}

/// The status of an answer; its body goes to `buffer`: all of it after a success, else the
/// beginning.
async fn receive(
    shared: &Shared,
    policy: &RetryPolicy,
    answer: Response,
    buffer: &mut Vec<u8>,
    limit: u64,
) -> Result<Attempt<u16>, Failure> {
    let status = answer.status().as_u16();
    let attempt = judge(shared, policy, &answer, status);
    if answer.status().is_success() {
        fill(shared, answer, buffer, limit).await?;
        return Ok(attempt);
    }
    buffer.extend_from_slice(&message(shared, answer, rules::MAX_MESSAGE as u64).await);
    Ok(attempt)
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
        let url = rules::url(&self.endpoint, digest, &self.endpoint.query);
        let mut outgoing = Outgoing::new(Method::PUT, &url, stored);
        if let Ok(outgoing) = &mut outgoing {
            let kind = HeaderValue::from_static("application/octet-stream");
            outgoing.headers.insert(CONTENT_TYPE, kind);
        }
        let status = self.call(outgoing, &mut Vec::new(), rules::MAX_CONFIRMATION);
        match status.and_then(rules::taken) {
            Ok(new) => Ok(PutOutcome { digest: *digest, stored_size, new }),
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
        let get = |url: &str, buffer: &mut Vec<u8>, limit| {
            self.call(Outgoing::new(Method::GET, url, Bytes::new()), buffer, limit)
        };
        let remember = |failure| self.shared.remember(failure);
        rules::read(&self.endpoint, digest, raw_size, codec, get, remember)
    }

    fn suitable_workers(&self) -> usize {
        suitable_workers()
    }
}
