//! Reads the bodies of requests, as fast as they come but not for ever.

use crate::config::Limits;
use crate::metrics::Metrics;
use btdt_host_runtime::archive::TransportError;
use btdt_host_runtime::clock;
use btdt_ports::{HttpError, HttpErrorKind};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes a second that a sender has to reach on average, once it has had the time of an idle body
/// to begin. Slower ones would hold their share of memory for hours.
const LEAST_RATE: u64 = 1024;

/// Frames that wait between the connection and the thread that unpacks them.
const QUEUED_FRAMES: usize = 16;

/// Why a body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveFault {
    /// The connection broke, or the body is not well-formed.
    Interrupted,
    /// It came too slowly.
    TooSlow,
    /// It is too large.
    TooLarge,
}

/// A body on its way in.
pub(super) struct Receiver {
    body: Incoming,
    idle: Duration,
    total: Duration,
    began: Instant,
    received: u64,
    metrics: Arc<Metrics>,
}

impl Receiver {
    pub(super) fn new(body: Incoming, limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Receiver {
            body,
            idle: limits.body_timeout,
            total: limits.request_timeout,
            began: clock::instant(),
            received: 0,
            metrics,
        }
    }

    /// The length that the sender announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next run of bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ReceiveFault> {
        loop {
            let frame = tokio::time::timeout(self.idle, self.body.frame()).await;
            let frame = match frame.map_err(|_| ReceiveFault::TooSlow)? {
                None => return Ok(None),
                Some(frame) => frame.map_err(|_| ReceiveFault::Interrupted)?,
            };
            // Trailers are of no interest.
            let Ok(bytes) = frame.into_data() else { continue };
            self.received += bytes.len() as u64;
            self.metrics.received(bytes.len() as u64);
            self.check_rate()?;
            return Ok(Some(bytes));
        }
    }

    fn check_rate(&self) -> Result<(), ReceiveFault> {
        let took = self.began.elapsed();
        let measured = took.saturating_sub(self.idle).as_secs();
        let too_slow = took > self.total || self.received < measured.saturating_mul(LEAST_RATE);
        if too_slow { Err(ReceiveFault::TooSlow) } else { Ok(()) }
    }

    /// All of it, of at most `limit` bytes.
    pub(super) async fn collect(&mut self, limit: u64) -> Result<Vec<u8>, ReceiveFault> {
        let announced = self.announced();
        if announced.is_some_and(|length| length > limit) {
            return Err(ReceiveFault::TooLarge);
        }
        let capacity = usize::try_from(announced.unwrap_or(0)).unwrap_or(0);
        let mut collected = Vec::with_capacity(capacity);
        while let Some(bytes) = self.next().await? {
            if (collected.len() + bytes.len()) as u64 > limit {
                return Err(ReceiveFault::TooLarge);
            }
            collected.extend_from_slice(&bytes);
        }
        Ok(collected)
    }

    /// Passes it on to a [`BlockingReader`] until its end, or until nobody reads any more.
    pub(super) async fn pass_on(mut self, to: mpsc::Sender<Passed>) -> Result<(), ReceiveFault> {
        loop {
            let passed = match self.next().await {
                Ok(Some(bytes)) => Passed::Bytes(bytes),
                Ok(None) => Passed::End,
                Err(fault) => {
                    // The reader may have gone; then nobody needs to know.
                    let _ = to.send(Passed::Fault(fault)).await;
                    return Err(fault);
                }
            };
            let ended = matches!(passed, Passed::End);
            if to.send(passed).await.is_err() || ended {
                return Ok(());
            }
        }
    }
}

/// What passes from the connection to a [`BlockingReader`].
pub(super) enum Passed {
    Bytes(Bytes),
    End,
    Fault(ReceiveFault),
}

/// A body as something to read from, on a thread that may block.
pub(super) struct BlockingReader {
    from: mpsc::Receiver<Passed>,
    current: Bytes,
    ended: bool,
}

/// Both ends between a connection and a thread.
pub(super) fn channel() -> (mpsc::Sender<Passed>, BlockingReader) {
    let (sender, from) = mpsc::channel(QUEUED_FRAMES);
    (sender, BlockingReader { from, current: Bytes::new(), ended: false })
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.from.blocking_recv() {
                Some(Passed::Bytes(bytes)) => self.current = bytes,
                Some(Passed::End) => self.ended = true,
                Some(Passed::Fault(fault)) => return Err(transport(fault)),
                // The connection is gone without an end of the body.
                None => return Err(transport(ReceiveFault::Interrupted)),
            }
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

fn transport(fault: ReceiveFault) -> io::Error {
    let (kind, detail) = match fault {
        ReceiveFault::Interrupted => (HttpErrorKind::Interrupted, "the connection broke"),
        ReceiveFault::TooSlow => (HttpErrorKind::TimedOut, "the sender was too slow"),
        ReceiveFault::TooLarge => (HttpErrorKind::TooLarge, "it is too large"),
    };
    io::Error::other(TransportError(HttpError { kind, detail: detail.to_owned() }))
}

/// Decompresses a body that was received whole, to at most `limit` bytes.
pub(super) fn decompress(
    body: Vec<u8>,
    compression: super::exchange::Encoding,
    limit: u64,
) -> Result<Vec<u8>, ReceiveFault> {
    use super::exchange::Encoding;
    let mut decoder: Box<dyn Read + '_> = match compression {
        Encoding::Identity => return Ok(body),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(body.as_slice())),
        Encoding::Zstd => {
            let decoder = zstd::Decoder::with_buffer(body.as_slice());
            Box::new(decoder.map_err(|_| ReceiveFault::Interrupted)?)
        }
    };
    let mut raw = Vec::new();
    let read = decoder.by_ref().take(limit.saturating_add(1)).read_to_end(&mut raw);
    read.map_err(|_| ReceiveFault::Interrupted)?;
    if raw.len() as u64 > limit { Err(ReceiveFault::TooLarge) } else { Ok(raw) }
}
