//! The body of a response as it arrives: with a limit of time for each piece, and of size.

use super::hyper_errors;
use super::options::Timeouts;
use crate::clock;
use crate::http_client::{ArrivalRate, MAX_TRUSTED_LENGTH, RequestError, Url, host_and_port};
use btdt_ports::HttpErrorKind;
use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::header::TRANSFER_ENCODING;
use std::future::poll_fn;
use std::pin::Pin;

/// The body of a response as it arrives.
pub(super) struct ResponseStream {
    pub(super) head: Response<()>,
    body: Incoming,
    pub(super) url: Url,
    timeouts: Timeouts,
    rate: ArrivalRate,
}

impl ResponseStream {
    pub(super) fn new(response: Response<Incoming>, url: Url, timeouts: Timeouts) -> Self {
        let (parts, body) = response.into_parts();
        let head = Response::from_parts(parts, ());
        ResponseStream { head, body, url, timeouts, rate: ArrivalRate::default() }
    }

    /// Whether it is known that nothing follows.
    pub(super) fn is_ended(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The next bytes; `None` at the end of a complete body.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        let limit = self.timeouts.idle;
        let since = clock::instant();
        loop {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let frame = tokio::time::timeout(limit, frame).await;
            let frame = match frame.map_err(|_| RequestError::silence(&self.url, limit))? {
                None => return Ok(None),
                Some(frame) => frame.map_err(|error| hyper_errors::cut_off(&error, &self.url))?,
            };
            // Trailers have no data.
            let Ok(data) = frame.into_data() else { continue };
            self.rate.note(data.len() as u64, since.elapsed());
            if self.rate.is_too_slow(limit) {
                return Err(RequestError::too_slow(&self.url));
            }
            return Ok(Some(data));
        }
    }

    /// Appends the whole body to `buffer`, which gets no longer than `limit`.
    pub(super) async fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        limit: u64,
    ) -> Result<(), RequestError> {
        let length = self.body.size_hint().exact();
        if length.is_none() && !self.head.headers().contains_key(TRANSFER_ENCODING) {
            // Such a body ends with the connection, so it may be incomplete.
            let server = host_and_port(&self.url);
            let detail = format!("the answer of {server} does not say how long it is");
            return Err(RequestError::permanent(HttpErrorKind::Protocol, detail));
        }
        if length.is_some_and(|length| length > limit) {
            return Err(RequestError::too_large(&self.url, limit));
        }
        let trusted = length.unwrap_or(0).min(MAX_TRUSTED_LENGTH);
        buffer.reserve(usize::try_from(trusted).unwrap_or(0));
        while let Some(piece) = self.next().await? {
            if (buffer.len() + piece.len()) as u64 > limit {
                return Err(RequestError::too_large(&self.url, limit));
            }
            buffer.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// As much of the body as arrives in the time for refusals, up to `limit` bytes.
    pub(super) async fn beginning(&mut self, limit: u64) -> Vec<u8> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut buffer = Vec::new();
        let time = self.timeouts.refusal;
        let reading = async {
            while buffer.len() < limit
                && let Ok(Some(piece)) = self.next().await
            {
                buffer.extend_from_slice(&piece[..piece.len().min(limit - buffer.len())]);
            }
        };
        // What has arrived by then is kept.
        let _ = tokio::time::timeout(time, reading).await;
        buffer
    }
}
