//! The rest of an answer.

use super::archives;
use super::client::Shared;
use super::exchange::{Outgoing, exchange, judge};
use super::failures::{Failure, cut_off, place};
use super::options::Pause;
use super::pump::BodyReader;
use crate::archive::TarArchive;
use crate::clock;
use crate::http_rules::answers::{
    MAX_TRUSTED_LENGTH, compression, decoded, is_bodiless, is_identity,
};
use crate::http_rules::pace::Pace;
use crate::http_rules::retry::{next_pause, persist_since};
use btdt_ports::{ArchiveFault, HttpError, HttpErrorKind, IncomingBody, RetryPolicy};
use reqwest::header::{CONTENT_ENCODING, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Method, Response};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// The rest of an answer. Dropping it unread closes its connection.
pub struct HttpBody {
    shared: Arc<Shared>,
    response: Response,
    /// How to ask again; `None` where that is not possible.
    replay: Option<Replay>,
    /// Whether there is nothing to be read, whatever the headers say.
    empty: bool,
    /// Ends the upload that it is the answer to, if that still goes on.
    _upload: Option<oneshot::Sender<()>>,
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

impl HttpBody {
    pub(super) fn new(
        shared: Arc<Shared>,
        response: Response,
        method: &Method,
        replay: Option<Replay>,
        upload: Option<oneshot::Sender<()>>,
    ) -> Self {
        let status = response.status().as_u16();
        let empty = is_bodiless(method.as_str(), status);
        HttpBody { shared, response, replay, empty, _upload: upload }
    }

    #[cfg(test)]
    pub(super) fn into_response(self) -> Response {
        self.response
    }
}

impl Replay {
    /// Asks again.
    pub(super) fn send(&mut self, shared: &Arc<Shared>) -> Result<Response, HttpError> {
        let Replay { outgoing, policy, used, since } = self;
        persist_since(policy, used, *since, &**shared, || {
            let bearer = shared.bearer()?;
            let response = shared.run(exchange(Arc::clone(shared), outgoing.clone(), bearer))??;
            let busy = judge(shared, policy, &response, ());
            Ok(busy.map(|()| response))
        })
    }
}

/// Everything that comes, as it comes. Asks again, where that is allowed, for what is cut off.
fn collect(
    shared: &Arc<Shared>,
    mut response: Response,
    mut replay: Option<Replay>,
    limit: u64,
) -> Result<Vec<u8>, HttpError> {
    if !response.status().is_success() {
        let on_network = Arc::clone(shared);
        let message = async move { message(&on_network, response, limit).await };
        return shared.run(message).map_err(|failure| failure.error);
    }
    let first = identity(&response);
    loop {
        let on_network = Arc::clone(shared);
        let read = shared.run(async move {
            let mut buffer = Vec::new();
            fill(&on_network, response, &mut buffer, limit).await.map(|()| buffer)
        });
        let failure = match read {
            Ok(Ok(buffer)) => return Ok(buffer),
            Ok(Err(failure)) | Err(failure) => failure,
        };
        let again = replay.as_mut().filter(|_| failure.passing).and_then(|replay| {
            let spent = shared.now().saturating_duration_since(replay.since);
            Some((next_pause(&replay.policy, replay.used, None, spent)?, replay))
        });
        let Some((pause, replay)) = again else { return Err(failure.error) };
        shared.pause(pause);
        response = replay.send(shared)?;
        // Another answer does not belong to the headers that the caller has seen.
        if identity(&response) != first {
            return Err(failure.error);
        }
    }
}

/// What of the headers has to be the same when a body is asked for again.
fn identity(response: &Response) -> (u16, Vec<(String, Vec<u8>)>) {
    let headers = response.headers().iter().filter(|(name, _)| is_identity(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    (response.status().as_u16(), headers.collect())
}

/// The message of a refusal, or as much of it as comes in time and is not longer than `limit`: a
/// message that is cut off is better than none.
pub(super) async fn message(shared: &Shared, mut response: Response, limit: u64) -> Vec<u8> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut buffer, mut pace) = (Vec::new(), Pace::default());
    let reading = async {
        while buffer.len() < limit
            && let Ok(Some(piece)) = next_piece(shared, &mut response, &mut pace).await
        {
            buffer.extend_from_slice(&piece[..piece.len().min(limit - buffer.len())]);
        }
    };
    // Either way, what there is has been kept.
    let _ = tokio::time::timeout(shared.timeouts.refusal, reading).await;
    buffer
}

/// Reads the rest of an answer to the end of `buffer`, which gets no longer than `limit`.
pub(super) async fn fill(
    shared: &Shared,
    mut response: Response,
    buffer: &mut Vec<u8>,
    limit: u64,
) -> Result<(), Failure> {
    let url = response.url().clone();
    let length = response.content_length();
    let chunked = response.headers().contains_key(TRANSFER_ENCODING);
    if length.is_none() && !chunked && response.status().is_success() {
        // Such a body ends where the connection does, so that nobody can tell whether it is
        // complete. In the message of an error that does not matter.
        let detail = format!("the answer of {} does not say how long it is", place(&url));
        return Err(Failure::lasting(HttpErrorKind::Protocol, detail));
    }
    if let Some(length) = length {
        if length > limit {
            return Err(Failure::too_large(&url, limit));
        }
        buffer.reserve(usize::try_from(length.min(MAX_TRUSTED_LENGTH)).unwrap_or(0));
    }
    let mut pace = Pace::default();
    while let Some(piece) = next_piece(shared, &mut response, &mut pace).await? {
        if (buffer.len() + piece.len()) as u64 > limit {
            return Err(Failure::too_large(&url, limit));
        }
        buffer.extend_from_slice(&piece);
    }
    Ok(())
}

/// The next bytes of an answer, of which `pace` keeps count; `None` at its end.
pub(super) async fn next_piece(
    shared: &Shared,
    response: &mut Response,
    pace: &mut Pace,
) -> Result<Option<bytes::Bytes>, Failure> {
    let limit = shared.timeouts.idle;
    let since = clock::instant();
    let came = tokio::time::timeout(limit, response.chunk()).await;
    match came {
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(piece))) => {
            pace.note(piece.len() as u64, since.elapsed());
            if pace.is_too_slow(limit) {
                return Err(Failure::too_slow(response.url()));
            }
            Ok(Some(piece))
        }
        Ok(Err(error)) => Err(cut_off(&error, response.url())),
        Err(_) => Err(Failure::silence(response.url(), limit)),
    }
}

fn encoding(response: &Response) -> Option<&[u8]> {
    response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes)
}

impl IncomingBody for HttpBody {
    type Reader = TarArchive;
    type Sink = crate::chunk_io::Sink;

    fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError> {
        if self.empty {
            return Ok(Vec::new());
        }
        let from = place(self.response.url());
        let encoding = encoding(&self.response).map(<[u8]>::to_vec);
        decoded(&from, encoding.as_deref(), limit, |compressed_limit| {
            collect(&self.shared, self.response, self.replay, compressed_limit)
        })
    }

    fn unarchive(self, sink: &Self::Sink) -> Result<TarArchive, ArchiveFault> {
        let compression = compression(encoding(&self.response)).ok_or(ArchiveFault::Malformed)?;
        let body = BodyReader::start(&self.shared, self.response)
            .map_err(|failure| ArchiveFault::Interrupted(failure.error))?;
        archives::reader(Box::new(body), compression, sink)
    }
}
