//! The requests that transfer chunks, and what their responses mean.

use super::client_request::Request;
use super::redirect::send_following;
use super::request_error::RequestError;
use super::retry::persist;
use super::transport::{Response, Transport, is_success, judge};
use crate::chunk_io::ChunkSource;
use crate::codec::{Codec, max_stored_size};
use crate::workers::suitable_count;
use btdt_ports::{
    ChunkEndpoint, Damage, Digest, HttpErrorKind, IoError, IoErrorKind, Method, ObjectFault,
    Refusal, TransferFailure, TransferFault,
};
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes that are kept of the body of a refusal.
const MAX_MESSAGE: u64 = 4096;

/// The longest response to a chunk that was sent, in bytes.
const MAX_CONFIRMATION: u64 = 64 * 1024;

/// A line of a list of digests, in bytes.
const LINE: usize = 2 * Digest::LENGTH + 1;

/// The longest list of missing chunks, in bytes, when so many were asked about. Twice as much as
/// needed, for line breaks of another kind.
const fn max_missing_list(asked: usize) -> u64 {
    (asked * LINE * 2) as u64
}

/// The number of workers for transfers, which mostly wait for the server.
#[must_use]
pub fn transfer_workers() -> usize {
    (2 * suitable_count()).clamp(8, 32)
}

/// Requests about the chunks of one cache on a server.
pub struct ChunkRequests<T> {
    transport: Arc<T>,
    endpoint: ChunkEndpoint,
}

impl<T: Transport> ChunkRequests<T> {
    /// Requests to `endpoint`.
    #[must_use]
    pub const fn new(transport: Arc<T>, endpoint: ChunkEndpoint) -> Self {
        ChunkRequests { transport, endpoint }
    }

    /// Asks which of some chunks the server lacks.
    ///
    /// # Errors
    /// When the server does not say so. The user is told why.
    pub fn missing(&self, asked: &[Digest]) -> Result<HashSet<Digest>, IoError> {
        let url = &self.endpoint.missing;
        let request = Request::new(Method::Post, url, Digest::to_lines(asked).into());
        let request = request.map(|request| request.with_content_type("text/plain"));
        let mut list = Vec::new();
        let status = self.call(request, &mut list, max_missing_list(asked.len()));
        let missing = status.and_then(|status| parse_missing(status, &list, asked));
        missing.map_err(|reason| self.failed(url.clone(), reason))
    }

    /// Sends the stored form of a chunk. Returns whether it is new to the server.
    ///
    /// # Errors
    /// When the server does not take it. The user is told why.
    pub fn put(&self, digest: &Digest, stored: Bytes) -> Result<bool, IoError> {
        let url = self.url(digest, &self.endpoint.query);
        let request = Request::new(Method::Put, &url, stored);
        let request = request.map(|request| request.with_content_type("application/octet-stream"));
        let status = self.call(request, &mut Vec::new(), MAX_CONFIRMATION);
        let new = status.and_then(|status| match status {
            200 | 201 | 204 => Ok(status == 201),
            _ => Err(refused(status, Vec::new())),
        });
        new.map_err(|reason| self.failed(url, reason))
    }

    /// Gets a chunk into the buffers of `codec` and verifies it.
    fn fetch(
        &self,
        url: &str,
        digest: &Digest,
        raw_size: u32,
        codec: &mut Codec,
    ) -> Result<(), FetchFault> {
        let request = Request::new(Method::Get, url, Bytes::new());
        let limit = max_stored_size(u64::from(raw_size));
        match self.call(request, codec.load(), limit) {
            Ok(200) => {}
            Ok(status) => return Err(FetchFault::Failed(refused(status, Vec::new()))),
            Err(TransferFault::Refused(Refusal { status: 404, .. })) => {
                return Err(FetchFault::Object(ObjectFault::Missing));
            }
            Err(TransferFault::NoAnswer(error)) if error.kind == HttpErrorKind::TooLarge => {
                return Err(FetchFault::Object(ObjectFault::Damaged(Damage::Length)));
            }
            Err(reason) => return Err(FetchFault::Failed(reason)),
        }
        codec.verify_loaded(digest, u64::from(raw_size)).map_err(FetchFault::Object)?;
        codec.loaded_of_size(raw_size).map(drop).map_err(FetchFault::Object)
    }

    /// Sends a request until it succeeds or its retries are used up. The body of the response
    /// replaces the content of `buffer`.
    fn call(
        &self,
        request: Result<Request, RequestError>,
        buffer: &mut Vec<u8>,
        limit: u64,
    ) -> Result<u16, TransferFault> {
        let request = request.map_err(|failure| TransferFault::NoAnswer(failure.error))?;
        let (transport, policy) = (&self.transport, &self.endpoint.retries);
        let status = persist(policy, &mut 0, &**transport, || {
            buffer.clear();
            let response = send_following(transport, &request)?;
            let attempt = judge(&**transport, policy, &response, response.status());
            if is_success(response.status()) {
                response.read(buffer, limit)?;
            } else {
                *buffer = response.message(MAX_MESSAGE);
            }
            Ok(attempt)
        });
        match status.map_err(TransferFault::NoAnswer)? {
            status if is_success(status) => Ok(status),
            status => Err(refused(status, std::mem::take(buffer))),
        }
    }

    /// Keeps the reason for the user and returns what the caller may know.
    fn failed(&self, url: String, reason: TransferFault) -> IoError {
        let kind = match &reason {
            TransferFault::Refused(Refusal { status: 507, .. }) => IoErrorKind::NoSpace,
            TransferFault::Refused(Refusal { status: 401 | 403, .. }) => IoErrorKind::AccessDenied,
            TransferFault::Refused(Refusal { status: 413, .. }) => IoErrorKind::TooLarge,
            _ => IoErrorKind::Transfer,
        };
        self.transport.state().remember(TransferFailure { url, reason });
        IoError::new(kind)
    }

    fn url(&self, digest: &Digest, query: &str) -> String {
        format!("{}{}{query}", self.endpoint.chunk, digest.to_hex())
    }
}

impl<T: Transport> ChunkSource for ChunkRequests<T> {
    /// If the server's copy may be what is damaged, the server is asked once more, and to verify
    /// it first.
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let mut url = self.url(digest, &self.endpoint.query);
        let mut result = self.fetch(&url, digest, raw_size, codec);
        if result.as_ref().is_err_and(FetchFault::is_doubtful) {
            url = self.url(digest, &self.endpoint.verify_query);
            result = self.fetch(&url, digest, raw_size, codec);
        }
        match result {
            Ok(()) => codec.loaded_of_size(raw_size),
            Err(FetchFault::Object(fault)) => Err(fault),
            Err(FetchFault::Failed(reason)) => {
                self.transport.state().remember(TransferFailure { url, reason });
                Err(ObjectFault::Unreadable(IoError::new(IoErrorKind::Transfer)))
            }
        }
    }

    fn suitable_workers(&self) -> usize {
        transfer_workers()
    }
}

/// A status that is not one of success, or not the expected one.
const fn refused(status: u16, body: Vec<u8>) -> TransferFault {
    TransferFault::Refused(Refusal { status, body })
}

/// Which of `asked` are missing, as the response with this status and body says.
fn parse_missing(
    status: u16,
    list: &[u8],
    asked: &[Digest],
) -> Result<HashSet<Digest>, TransferFault> {
    if !matches!(status, 200 | 204) {
        return Err(refused(status, Vec::new()));
    }
    let asked: HashSet<&Digest> = asked.iter().collect();
    let parse = |line: &str| Digest::from_hex(line).filter(|digest| asked.contains(digest));
    let text = std::str::from_utf8(list).ok();
    // A list without a line break at its end may be incomplete.
    let text = text.filter(|text| text.is_empty() || text.ends_with('\n'));
    text.and_then(|text| text.lines().map(parse).collect()).ok_or_else(|| {
        let detail = "the answer to the question which chunks are missing is not a list of such";
        TransferFault::NoAnswer(RequestError::permanent(HttpErrorKind::Protocol, detail).error)
    })
}

/// Why a chunk was not received.
enum FetchFault {
    /// It cannot be used.
    Object(ObjectFault),
    /// It did not arrive.
    Failed(TransferFault),
}

impl FetchFault {
    /// Whether the server's copy may be damaged.
    fn is_doubtful(&self) -> bool {
        match self {
            FetchFault::Object(fault) => !matches!(fault, ObjectFault::Missing),
            FetchFault::Failed(TransferFault::NoAnswer(error)) => {
                error.kind == HttpErrorKind::Interrupted
            }
            FetchFault::Failed(_) => false,
        }
    }
}
