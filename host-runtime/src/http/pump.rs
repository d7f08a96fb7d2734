//! The body of an answer as something that a thread reads.

use super::body::next_piece;
use super::client::Shared;
use super::failures::Failure;
use crate::http_rules::pace::Pace;
use btdt_ports::{HttpError, HttpErrorKind};
use bytes::{Buf, Bytes};
use reqwest::Response;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver};

/// Pieces that wait to be read; each has at most some hundred KiB.
const WAITING_PIECES: usize = 8;

/// What comes through the queue; its end alone means nothing.
enum Piece {
    Data(Bytes),
    End,
    Failed(HttpError),
}

/// Reads a body. A body that is cut off, and one that stops coming, is an error in the end, and
/// never just the end; the error contains the [`HttpError`].
pub(super) struct BodyReader {
    pieces: Receiver<Piece>,
    current: Bytes,
    /// How it ended, if it did.
    ended: Option<Result<(), HttpError>>,
}

impl BodyReader {
    pub(super) fn start(shared: &Arc<Shared>, mut response: Response) -> Result<Self, Failure> {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        let timeouts = Arc::clone(shared);
        shared.runtime()?.spawn(async move {
            let mut pace = Pace::default();
            loop {
                let piece = match next_piece(&timeouts, &mut response, &mut pace).await {
                    Ok(Some(data)) => Piece::Data(data),
                    Ok(None) => Piece::End,
                    Err(failure) => Piece::Failed(failure.error),
                };
                let last = !matches!(piece, Piece::Data(_));
                // Fails where nobody reads any more; the answer is dropped then.
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
