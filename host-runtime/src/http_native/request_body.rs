//! The bodies of requests: bytes in memory, or a stream that a thread reads.

use crate::http_client::RequestError;
use btdt_ports::HttpErrorKind;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

/// Bodies are sent in pieces of so many bytes. A connection that does not take one within the
/// timeout is as good as broken.
const PIECE: usize = 256 * 1024;

/// Pieces of a stream that wait to be sent.
const WAITING_PIECES: usize = 4;

/// The body of a request.
pub(super) struct RequestBody {
    progress: Arc<Progress>,
    content: Content,
}

enum Content {
    Bytes(Bytes),
    Stream {
        pieces: Receiver<Piece>,
        /// Resolves when the response has been dropped.
        stopped: oneshot::Receiver<()>,
    },
    Ended,
}

/// An element of the queue. The queue just ends where the stream fails.
enum Piece {
    Data(Bytes),
    End,
}

/// The other end of a streamed body.
pub(super) struct StreamControl {
    /// Ends the stream when dropped, if it still goes on.
    pub(super) stop: oneshot::Sender<()>,
    /// Why the stream could not be read.
    pub(super) fault: Arc<OnceLock<String>>,
}

impl RequestBody {
    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        RequestBody { progress: Arc::default(), content: Content::Bytes(bytes) }
    }

    /// What `read` yields, read by a thread of its own.
    pub(super) fn of_stream(
        read: impl Read + Send + 'static,
    ) -> Result<(Self, StreamControl), RequestError> {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        let (stop, stopped) = oneshot::channel();
        let fault = Arc::new(OnceLock::new());
        let seen = Arc::clone(&fault);
        let passing_on = move || {
            if let Err(error) = pass_on(read, &sender) {
                // Before the queue ends.
                let _ = seen.set(error.to_string());
            }
        };
        thread::Builder::new().name("btdt-upload".to_owned()).spawn(passing_on).map_err(
            |error| {
                let detail = format!("no thread for an upload can be started: {error}");
                RequestError::permanent(HttpErrorKind::Interrupted, detail)
            },
        )?;
        let content = Content::Stream { pieces, stopped };
        let body = RequestBody { progress: Arc::default(), content };
        Ok((body, StreamControl { stop, fault }))
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

/// Reads to the end and says so. Stops silently when the queue is closed.
fn pass_on(mut read: impl Read, sender: &Sender<Piece>) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        read.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        let last = piece.len() < PIECE;
        if !piece.is_empty() && sender.blocking_send(Piece::Data(piece.into())).is_err() {
            return Ok(());
        }
        if last {
            let _ = sender.blocking_send(Piece::End);
            return Ok(());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let RequestBody { progress, content } = &mut *self;
        let piece = match content {
            Content::Bytes(rest) if rest.is_empty() => Some(Piece::End),
            Content::Bytes(rest) => Some(Piece::Data(rest.split_to(rest.len().min(PIECE)))),
            Content::Stream { pieces, stopped } => {
                if Pin::new(stopped).poll(context).is_ready() {
                    return Poll::Ready(Some(Err(io::Error::other("the upload was given up"))));
                }
                let polled = pieces.poll_recv(context);
                if polled.is_pending() {
                    progress.note_starved();
                }
                ready!(polled)
            }
            Content::Ended => return Poll::Ready(None),
        };
        if piece.is_some() {
            progress.note_taken();
        }
        Poll::Ready(match piece {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::End) => {
                *content = Content::Ended;
                None
            }
            None => Some(Err(io::Error::other("what is sent could not be read"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(rest) => rest.is_empty(),
            Content::Stream { .. } => false,
            Content::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(rest) => SizeHint::with_exact(rest.len() as u64),
            Content::Stream { .. } | Content::Ended => SizeHint::default(),
        }
    }
}

/// Whether a request makes progress.
#[derive(Default)]
pub(super) struct Progress {
    /// Pieces of the body that were taken.
    taken: AtomicU64,
    /// Whether the server waits for this side.
    starved: AtomicBool,
}

impl Progress {
    fn note_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.starved.store(false, Ordering::Relaxed);
    }

    fn note_starved(&self) {
        self.starved.store(true, Ordering::Relaxed);
    }

    /// The result of `future`; `None` if there was no progress for as long as `limit`.
    pub(super) async fn watch<T>(
        &self,
        future: impl Future<Output = T>,
        limit: Duration,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            if let Ok(result) = tokio::time::timeout(limit, &mut future).await {
                return Some(result);
            }
            let moved = before != self.taken.load(Ordering::Relaxed);
            if !moved && !self.starved.load(Ordering::Relaxed) {
                return None;
            }
        }
    }
}
