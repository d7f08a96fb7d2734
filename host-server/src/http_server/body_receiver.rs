//! Reads the bodies of requests as fast as they come, and gives up slow senders.

use super::faults::{ReceiveFault, Refusal};
use super::io_timeouts::Activity;
use crate::admission::{CHECK_INTERVAL, Permit, Saturated};
use crate::service::Service;
use btdt_host_runtime::archive::TransportError;
use btdt_host_runtime::clock;
use btdt_ports::{HttpError, HttpErrorKind};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes per second that a sender has to reach on average, after a start of as long as a body may be
/// idle. Slower ones would hold their share of memory for hours.
const LEAST_RATE: u64 = 1024;

/// Bytes of a body that are received before it needs a share of the memory: a peer that sends
/// little or nothing holds nothing that others need.
const FREE_PART: usize = 16 << 10;

/// Frames that wait between the connection and the thread that unpacks them.
const QUEUED_FRAMES: usize = 16;

/// A body on its way in.
pub(super) struct Receiver {
    body: Incoming,
    activity: Arc<Activity>,
    idle: Duration,
    total: Duration,
    began: Instant,
    received: u64,
    /// Since when, and from which byte on, it has held memory.
    holds: Option<(Instant, u64)>,
    service: Arc<Service>,
}

impl Receiver {
    pub(super) fn new(body: Incoming, service: Arc<Service>, activity: Arc<Activity>) -> Self {
        Receiver {
            body,
            activity,
            idle: service.limits.body_timeout,
            total: service.limits.request_timeout,
            began: clock::instant(),
            received: 0,
            holds: None,
            service,
        }
    }

    /// The length that the sender announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next run of bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ReceiveFault> {
        loop {
            let frame = match self.frame().await? {
                None => {
                    self.activity.set_unread(false);
                    return Ok(None);
                }
                Some(frame) => frame.map_err(|_| ReceiveFault::Interrupted)?,
            };
            // Trailers are ignored.
            let Ok(bytes) = frame.into_data() else { continue };
            self.received += bytes.len() as u64;
            self.service.metrics.received(bytes.len() as u64);
            self.check_rate()?;
            return Ok(Some(bytes));
        }
    }

    async fn frame(&mut self) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, ReceiveFault> {
        let waited_since = clock::instant();
        loop {
            let left = self.idle.saturating_sub(waited_since.elapsed());
            if left.is_zero() {
                return Err(ReceiveFault::TooSlow);
            }
            match tokio::time::timeout(left.min(CHECK_INTERVAL), self.body.frame()).await {
                Ok(frame) => return Ok(frame),
                Err(_) => self.check_rate()?,
            }
        }
    }

    fn check_rate(&self) -> Result<(), ReceiveFault> {
        let took = self.began.elapsed();
        let measured = took.saturating_sub(self.idle).as_secs();
        let too_slow = took > self.total || self.received < measured.saturating_mul(LEAST_RATE);
        if too_slow || self.is_in_the_way() { Err(ReceiveFault::TooSlow) } else { Ok(()) }
    }

    /// Whether it slowly fills memory that others wait for.
    fn is_in_the_way(&self) -> bool {
        self.holds.is_some_and(|(since, from)| {
            self.service.admission.is_in_the_way(since, self.received - from)
        })
    }

    /// Notes that it holds memory from now on.
    pub(super) fn hold(&mut self) {
        self.holds = Some((clock::instant(), self.received));
    }

    /// All of it, of at most `limit` bytes, with the `memory` for it.
    pub(super) async fn collect(
        &mut self,
        limit: u64,
        memory: impl Future<Output = Result<Permit, Saturated>>,
    ) -> Result<(Vec<u8>, Permit), Refusal> {
        if self.announced().is_some_and(|length| length > limit) {
            return Err(ReceiveFault::TooLarge.into());
        }
        let mut collected = Vec::new();
        let ended = self.append(&mut collected, limit, FREE_PART).await?;
        let permit = memory.await?;
        if !ended {
            self.hold();
            let announced = self.announced().unwrap_or(0);
            collected.reserve_exact(usize::try_from(announced).unwrap_or(0));
            self.append(&mut collected, limit, usize::MAX).await?;
            self.holds = None;
        }
        Ok((collected, permit))
    }

    /// Appends what comes until there are `enough` bytes. Whether it has ended.
    async fn append(
        &mut self,
        collected: &mut Vec<u8>,
        limit: u64,
        enough: usize,
    ) -> Result<bool, ReceiveFault> {
        while collected.len() < enough {
            let Some(bytes) = self.next().await? else { return Ok(true) };
            if (collected.len() + bytes.len()) as u64 > limit {
                return Err(ReceiveFault::TooLarge);
            }
            collected.extend_from_slice(&bytes);
        }
        Ok(false)
    }

    /// Passes it on to a [`BlockingReader`] until its end, or until that is dropped.
    pub(super) async fn pass_on(mut self, to: mpsc::Sender<Passed>) -> Result<(), ReceiveFault> {
        loop {
            let passed = match self.next().await {
                Ok(Some(bytes)) => Passed::Bytes(bytes),
                Ok(None) => Passed::End,
                Err(fault) => {
                    // If the reader is gone, it does not need to know.
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

/// A body as a reader for a thread that may block.
pub(super) struct BlockingReader {
    from: mpsc::Receiver<Passed>,
    current: Bytes,
    ended: bool,
}

/// Both ends of the channel between a connection and a thread.
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
