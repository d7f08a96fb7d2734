//! The response to a request: its headers, and the ways to read its body.

use super::network_threads::NetworkThreads;
use super::response_stream::ResponseStream;
use crate::http_client::{RequestError, Response, Url};
use btdt_ports::{HttpError, HttpErrorKind};
use bytes::{Buf, Bytes};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;

/// Pieces of a body that wait to be read; each has at most some hundred KiB.
const WAITING_PIECES: usize = 8;

/// A response whose body has not been read.
pub struct HyperResponse {
    network: Arc<NetworkThreads>,
    stream: ResponseStream,
    /// Ends the upload that this is the response to, if it still goes on, when dropped.
    _upload: Option<oneshot::Sender<()>>,
}

impl HyperResponse {
    pub(super) fn new(network: Arc<NetworkThreads>, stream: ResponseStream) -> Self {
        HyperResponse { network, stream, _upload: None }
    }

    /// Ends the upload that this is the response to, when the response is dropped.
    pub(super) fn stopping(self, upload: oneshot::Sender<()>) -> Self {
        HyperResponse { _upload: Some(upload), ..self }
    }
}

impl Response for HyperResponse {
    fn status(&self) -> u16 {
        self.stream.head.status().as_u16()
    }

    fn url(&self) -> &Url {
        &self.stream.url
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.stream.head.headers().iter();
        headers.map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    fn read(mut self, buffer: &mut Vec<u8>, limit: u64) -> Result<(), RequestError> {
        if self.stream.is_ended() {
            return Ok(());
        }
        let network = Arc::clone(&self.network);
        let mut filled = std::mem::take(buffer);
        let (result, filled) = network.run(async move {
            let result = self.stream.fill(&mut filled, limit).await;
            (result, filled)
        })?;
        *buffer = filled;
        result
    }

    fn message(mut self, limit: u64) -> Vec<u8> {
        let network = Arc::clone(&self.network);
        network.run(async move { self.stream.beginning(limit).await }).unwrap_or_default()
    }

    fn into_reader(self) -> Result<Box<dyn Read + Send>, RequestError> {
        let network = Arc::clone(&self.network);
        Ok(Box::new(BodyReader::start(&network, self)?))
    }
}

/// An element of the queue. The end of the queue alone means nothing.
enum Piece {
    Data(Bytes),
    End,
    Failed(HttpError),
}

/// Reads a body. A body that is cut off or stops arriving ends in an error that contains the
/// [`HttpError`], and never just ends.
pub(super) struct BodyReader {
    pieces: Receiver<Piece>,
    current: Bytes,
    /// How the body ended, if it did.
    ended: Option<Result<(), HttpError>>,
}

impl BodyReader {
    pub(super) fn start(
        network: &NetworkThreads,
        response: HyperResponse,
    ) -> Result<Self, RequestError> {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        network.runtime()?.spawn(async move {
            // All of it: the rest keeps the threads and the upload alive that the stream needs.
            let mut response = response;
            loop {
                let piece = match response.stream.next().await {
                    Ok(Some(data)) => Piece::Data(data),
                    Ok(None) => Piece::End,
                    Err(failure) => Piece::Failed(failure.error),
                };
                let last = !matches!(piece, Piece::Data(_));
                // Fails when the reader has been dropped; the response is dropped then.
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(BodyReader { pieces, current: Bytes::new(), ended: None })
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && self.ended.is_none() && !buffer.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = Some(Ok(())),
                Some(Piece::Failed(error)) => self.ended = Some(Err(error)),
                None => {
                    let detail = "the transfer was given up".to_owned();
                    let error = HttpError { kind: HttpErrorKind::Interrupted, detail };
                    self.ended = Some(Err(error));
                }
            }
        }
        if let (true, Some(Err(error))) = (self.current.is_empty(), &self.ended) {
            let kind = match error.kind {
                HttpErrorKind::TimedOut => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::ConnectionAborted,
            };
            return Err(io::Error::new(kind, error.clone()));
        }
        let length = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
