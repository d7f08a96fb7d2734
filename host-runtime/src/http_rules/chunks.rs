//! How chunks are asked for, and what the answers about them mean.

use super::Failure;
use crate::codec::Codec;
use crate::codec::max_stored_size;
use btdt_ports::{
    ChunkEndpoint, Damage, Digest, HttpErrorKind, IoError, IoErrorKind, ObjectFault, Refusal,
    TransferFailure, TransferFault,
};
use std::collections::HashSet;

/// Of the body of a refusal, so much is kept, in bytes.
pub const MAX_MESSAGE: usize = 4096;

/// Nothing that a server has to say about a chunk that it took is longer, in bytes.
pub const MAX_CONFIRMATION: u64 = 64 * 1024;

/// A line of a list of digests.
const LINE: usize = 2 * Digest::LENGTH + 1;

/// The longest answer, in bytes, to the question which of so many chunks are missing. Twice as
/// much as needed, for line breaks of another kind.
#[must_use]
pub const fn missing_limit(asked: usize) -> u64 {
    (asked * LINE * 2) as u64
}

/// A status that is not one of success, or not the one that was to be expected.
#[must_use]
pub const fn refused(status: u16, body: Vec<u8>) -> TransferFault {
    TransferFault::Refused(Refusal { status, body })
}

/// What the caller of a transfer may know of its failure; the user is told the rest.
#[must_use]
pub fn io_error(reason: &TransferFault) -> IoError {
    IoError::new(match reason {
        TransferFault::Refused(Refusal { status: 507, .. }) => IoErrorKind::NoSpace,
        TransferFault::Refused(Refusal { status: 401 | 403, .. }) => IoErrorKind::AccessDenied,
        TransferFault::Refused(Refusal { status: 413, .. }) => IoErrorKind::TooLarge,
        _ => IoErrorKind::Transfer,
    })
}

/// Which of `asked` are missing, as the answer with this status and body says.
///
/// # Errors
/// When it is not a list of some of them.
pub fn missing(
    status: u16,
    answer: &[u8],
    asked: &[Digest],
) -> Result<HashSet<Digest>, TransferFault> {
    if !matches!(status, 200 | 204) {
        return Err(refused(status, Vec::new()));
    }
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

/// Whether a chunk that was sent is new to the server.
///
/// # Errors
/// When the status does not say that it took it.
pub const fn taken(status: u16) -> Result<bool, TransferFault> {
    match status {
        200 | 201 | 204 => Ok(status == 201),
        _ => Err(refused(status, Vec::new())),
    }
}

/// Where a chunk is.
#[must_use]
pub fn url(endpoint: &ChunkEndpoint, digest: &Digest, query: &str) -> String {
    format!("{}{}{query}", endpoint.chunk, digest.to_hex())
}

/// Why a chunk was not received.
enum FetchFault {
    /// It cannot be used.
    Object(ObjectFault),
    /// It did not come.
    Failed(TransferFault),
}

impl FetchFault {
    /// Whether the server's copy may be what is damaged.
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

/// Whether a chunk that was asked for has come.
fn fetched(answer: Result<u16, TransferFault>) -> Result<(), FetchFault> {
    match answer {
        Ok(200) => Ok(()),
        Ok(status) => Err(FetchFault::Failed(refused(status, Vec::new()))),
        Err(TransferFault::Refused(Refusal { status: 404, .. })) => {
            Err(FetchFault::Object(ObjectFault::Missing))
        }
        Err(TransferFault::NoAnswer(error)) if error.kind == HttpErrorKind::TooLarge => {
            Err(FetchFault::Object(ObjectFault::Damaged(Damage::Length)))
        }
        Err(reason) => Err(FetchFault::Failed(reason)),
    }
}

/// Gets a chunk and verifies it. If the server's copy may be what is damaged, the server is asked
/// once more, to look at it first.
///
/// `get` fills a buffer with what is at a URL, up to so many bytes, and gives the status;
/// `remember` is told why a chunk did not come.
///
/// # Errors
/// When it is missing, damaged, or did not come.
pub fn read<'codec>(
    endpoint: &ChunkEndpoint,
    digest: &Digest,
    raw_size: u32,
    codec: &'codec mut Codec,
    get: impl Fn(&str, &mut Vec<u8>, u64) -> Result<u16, TransferFault>,
    remember: impl FnOnce(TransferFailure),
) -> Result<&'codec [u8], ObjectFault> {
    let fetch = |url: &str, codec: &mut Codec| {
        fetched(get(url, codec.load(), max_stored_size(u64::from(raw_size))))?;
        codec.verify_loaded(digest, u64::from(raw_size)).map_err(FetchFault::Object)?;
        codec.loaded_of_size(raw_size).map(drop).map_err(FetchFault::Object)
    };
    let mut url = self::url(endpoint, digest, &endpoint.query);
    let mut result = fetch(&url, codec);
    if result.as_ref().is_err_and(FetchFault::is_doubtful) {
        url = self::url(endpoint, digest, &endpoint.verify_query);
        result = fetch(&url, codec);
    }
    match result {
        Ok(()) => codec.loaded_of_size(raw_size),
        Err(FetchFault::Object(fault)) => Err(fault),
        Err(FetchFault::Failed(reason)) => {
            remember(TransferFailure { url, reason });
            Err(ObjectFault::Unreadable(IoError::new(IoErrorKind::Transfer)))
        }
    }
}
