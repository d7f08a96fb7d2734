//! The rest of an answer.

use super::client::{IDLE, REFUSAL, Shared};
use super::exchange::{Outgoing, exchange, judged};
use super::wire::Answer;
use btdt_host_runtime::archive::{TarArchive, TransportError};
use btdt_host_runtime::chunk_io::Sink;
use btdt_host_runtime::clock;
use btdt_host_runtime::http_rules::Failure;
use btdt_host_runtime::http_rules::answers::{
    MAX_TRUSTED_LENGTH, compression, decoded, is_identity,
};
use btdt_host_runtime::http_rules::failure::place;
use btdt_host_runtime::http_rules::retry::{Pause, next_pause, persist_since};
use btdt_ports::{ArchiveFault, HttpError, RetryPolicy};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

/// The rest of an answer. Dropping it unread closes its connection.
pub(crate) struct AnswerBody {
    shared: Arc<Shared>,
    answer: Answer,
    /// Whether there is nothing to be read, whatever the headers say.
    empty: bool,
    /// How to ask again; `None` where that is not possible.
    replay: Option<Replay>,
}

/// How to ask again for a body that was cut off.
pub(super) struct Replay {
    pub(super) outgoing: Outgoing,
    pub(super) policy: RetryPolicy,
    /// Attempts so far.
    pub(super) used: u32,
    /// When the first one began.
    pub(super) since: Instant,
}

impl Replay {
    /// Asks again.
    pub(super) fn send(&mut self, shared: &Shared) -> Result<Answer, HttpError> {
        let Replay { outgoing, policy, used, since } = self;
        persist_since(policy, used, *since, shared, || {
            let answer = exchange(shared, outgoing)?;
            let busy = judged(policy, &answer, ());
            Ok(busy.map(|()| answer))
        })
    }
}

impl AnswerBody {
    pub(super) fn new(
        shared: Arc<Shared>,
        answer: Answer,
        empty: bool,
        replay: Option<Replay>,
    ) -> Self {
        AnswerBody { shared, answer, empty, replay }
    }

    /// All of it, decompressed.
    pub(crate) fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError> {
        if self.empty {
            return Ok(Vec::new());
        }
        let AnswerBody { shared, answer, replay, .. } = self;
        let from = place(&answer.url);
        let encoding = answer.header("content-encoding").map(<[u8]>::to_vec);
        decoded(&from, encoding.as_deref(), limit, |compressed_limit| {
            collect(&shared, answer, replay, compressed_limit)
        })
    }

    /// Reads it as a tar stream of which the contents go to `sink`.
    pub(crate) fn unarchive(self, sink: Sink) -> Result<TarArchive, ArchiveFault> {
        let encoding = self.answer.header("content-encoding");
        let compression = compression(encoding).ok_or(ArchiveFault::Malformed)?;
        // However large: the archive is never in memory as a whole.
        TarArchive::new(Box::new(BodyReader::new(self.answer)), compression, sink, u64::MAX)
    }
}

/// Everything that comes, as it comes. Asks again, where that is allowed, for what is cut off.
fn collect(
    shared: &Shared,
    mut answer: Answer,
    mut replay: Option<Replay>,
    limit: u64,
) -> Result<Vec<u8>, HttpError> {
    if !(200..300).contains(&answer.status) {
        return Ok(message(&mut answer, limit));
    }
    let first = identity(&answer);
    loop {
        let mut buffer = Vec::new();
        let failure = match fill(&mut answer, &mut buffer, limit) {
            Ok(()) => return Ok(buffer),
            Err(failure) => failure,
        };
        let again = replay.as_mut().filter(|_| failure.passing).and_then(|replay| {
            let spent = shared.now().saturating_duration_since(replay.since);
            Some((next_pause(&replay.policy, replay.used, None, spent)?, replay))
        });
        let Some((pause, replay)) = again else { return Err(failure.error) };
        shared.pause(pause);
        answer = replay.send(shared)?;
        // Another answer does not belong to the headers that the caller has seen.
        if identity(&answer) != first {
            return Err(failure.error);
        }
    }
}

/// What of the headers has to be the same when a body is asked for again.
fn identity(answer: &Answer) -> (u16, Vec<(String, Vec<u8>)>) {
    let headers = answer.headers.iter().filter(|(name, _)| is_identity(name));
    (answer.status, headers.cloned().collect())
}

/// The message of a refusal, or as much of it as comes in time and is not longer than `limit`: a
/// message that is cut off is better than none.
pub(super) fn message(answer: &mut Answer, limit: u64) -> Vec<u8> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut buffer, since) = (Vec::new(), clock::instant());
    while buffer.len() < limit
        && let Some(patience) = REFUSAL.checked_sub(since.elapsed())
        && let Ok(Some(piece)) = answer.next(limit - buffer.len(), patience)
    {
        buffer.extend_from_slice(&piece[..piece.len().min(limit - buffer.len())]);
    }
    buffer
}

/// Reads the rest of an answer to the end of `buffer`, which gets no longer than `limit`.
pub(super) fn fill(answer: &mut Answer, buffer: &mut Vec<u8>, limit: u64) -> Result<(), Failure> {
    let length = answer.header("content-length").and_then(|value| std::str::from_utf8(value).ok());
    let length: Option<u64> = length.and_then(|text| text.trim().parse().ok());
    if let Some(length) = length {
        if length > limit {
            return Err(Failure::too_large(&answer.url, limit));
        }
        buffer.reserve(usize::try_from(length.min(MAX_TRUSTED_LENGTH)).unwrap_or(0));
    }
    while let Some(piece) = answer.next(usize::MAX, IDLE)? {
        if (buffer.len() + piece.len()) as u64 > limit {
            return Err(Failure::too_large(&answer.url, limit));
        }
        buffer.extend_from_slice(&piece);
    }
    // A runtime that undoes a compression gives another number of bytes.
    let is_plain = answer.header("content-encoding").is_none();
    match length {
        Some(length) if is_plain && buffer.len() as u64 != length => {
            let reason = format!("{length} bytes were announced, and {} came", buffer.len());
            Err(Failure::cut_off(&answer.url, &reason))
        }
        _ => Ok(()),
    }
}

/// Reads a body. A body that is cut off, and one that stops coming, is an error in the end, and
/// never just the end; the error contains the [`HttpError`].
struct BodyReader {
    answer: Answer,
    current: Vec<u8>,
    /// How many bytes of `current` have been read.
    read: usize,
}

impl BodyReader {
    fn new(answer: Answer) -> Self {
        BodyReader { answer, current: Vec::new(), read: 0 }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.current.len() {
            let next = self.answer.next(usize::MAX, IDLE);
            let next = next.map_err(|failure| io::Error::other(TransportError(failure.error)))?;
            self.current = next.unwrap_or_default();
            self.read = 0;
        }
        let rest = &self.current[self.read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}
