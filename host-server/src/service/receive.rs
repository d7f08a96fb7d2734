//! Reads the bodies of requests, as fast as they come but not for ever.

use super::exchange::Refusal;
use super::timed::Activity;
use super::{LOOK, Service};
use btdt_host_runtime::archive::TransportError;
use btdt_host_runtime::clock;
use btdt_host_runtime::content_coding::CodingFault;
use btdt_ports::{HttpError, HttpErrorKind};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Bytes a second that a sender has to reach on average, once it has had the time of an idle body
/// to begin. Slower ones would hold their share of memory for hours.
const LEAST_RATE: u64 = 1024;

/// What is received of a body before it needs a share of the memory: whoever sends nothing or
/// little holds nothing that others need.
pub(super) const FREE_PART: usize = 16 << 10;

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

impl From<CodingFault> for ReceiveFault {
    fn from(fault: CodingFault) -> Self {
        match fault {
            CodingFault::Invalid => ReceiveFault::Interrupted,
            CodingFault::TooLarge => ReceiveFault::TooLarge,
        }
    }
}

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
            // Trailers are of no interest.
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
            match tokio::time::timeout(left.min(LOOK), self.body.frame()).await {
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
        self.holds
            .is_some_and(|(since, from)| self.service.is_in_the_way(since, self.received - from))
    }

    /// Notes that from now on it holds memory.
    pub(super) fn hold(&mut self) {
        self.holds = Some((clock::instant(), self.received));
    }

    /// All of it, of at most `limit` bytes, with the memory that `share` gets for it.
    pub(super) async fn collect<Share, F>(
        &mut self,
        limit: u64,
        share: Share,
    ) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal>
    where
        Share: FnOnce() -> F,
        F: Future<Output = Result<OwnedSemaphorePermit, Refusal>>,
    {
        if self.announced().is_some_and(|length| length > limit) {
            return Err(ReceiveFault::TooLarge.into());
        }
        let mut collected = Vec::new();
        let ended = self.append(&mut collected, limit, FREE_PART).await?;
        let permit = share().await?;
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
