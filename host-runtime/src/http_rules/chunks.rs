//! What the answers about chunks mean.

use super::Failure;
use btdt_ports::{
    Damage, Digest, HttpErrorKind, IoError, IoErrorKind, ObjectFault, Refusal, TransferFault,
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

/// Why a chunk was not received.
pub enum FetchFault {
    /// It cannot be used.
    Object(ObjectFault),
    /// It did not come.
    Failed(TransferFault),
}

impl FetchFault {
    /// Whether the server's copy may be what is damaged.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
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
///
/// # Errors
/// See [`FetchFault`].
pub fn fetched(answer: Result<u16, TransferFault>) -> Result<(), FetchFault> {
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
