//! A stream whose reads and writes fail when the peer sends or reads nothing for too long.

use btdt_host_runtime::clock;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long the rest of an unwanted body is thrown away, so that its sender gets to read the
/// answer: closing a connection with unread bytes in it loses the answer as well.
const LINGER: Duration = Duration::from_secs(5);

/// Bytes that are thrown away at once.
const SCRATCH: usize = 8 << 10;

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For the head of a request.
    pub(super) head: Duration,
    /// From the end of an answer to the next request.
    pub(super) idle: Duration,
    /// For a write that makes no progress.
    pub(super) write: Duration,
}

/// What a connection is busy with, as told by the handlers of its requests.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    unread: AtomicBool,
}

impl Activity {
    /// The head of a request has arrived.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer to it is written, or given up.
    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a body is on its way that has not been read to its end.
    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// How many requests have been answered; `None` while one is being answered.
    fn answered(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Relaxed);
        (self.begun.load(Ordering::Relaxed) == ended).then_some(ended)
    }
}

/// What the next bytes that are read belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A head that has begun, or the first one, which should come at once.
    Head,
    /// The request after so many.
    Request(u64),
    /// The body of a request, which is timed where it is read.
    Body,
}

/// Fails heads that take too long to arrive, connections that stay idle for too long, and writes
/// that make no progress.
pub(super) struct TimedStream<S> {
    stream: S,
    activity: Arc<Activity>,
    timeouts: Timeouts,
    expected: Expected,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
    waits_for_writing: bool,
    is_shut: bool,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, timeouts: Timeouts, activity: Arc<Activity>) -> Self {
        TimedStream {
            stream,
            activity,
            timeouts,
            expected: Expected::Head,
            reading: Box::pin(sleep(timeouts.head)),
            writing: Box::pin(sleep(timeouts.write)),
            waits_for_writing: false,
            is_shut: false,
        }
    }

    fn read_within(&mut self, time: Duration) {
        self.reading.as_mut().reset((clock::instant() + time).into());
    }

    /// Finds out what is being read, and sets the timeout for it.
    fn update_expected(&mut self) {
        match self.activity.answered() {
            None => self.expected = Expected::Body,
            // The first head is timed from the beginning of the connection.
            Some(0) => {}
            Some(answered) => {
                let anew = match self.expected {
                    Expected::Head => false,
                    Expected::Request(other) => other != answered,
                    Expected::Body => true,
                };
                if anew {
                    self.expected = Expected::Request(answered);
                    self.read_within(self.timeouts.idle);
                }
            }
        }
    }

    /// The result of a write, or a timeout if it has made no progress for too long.
    fn or_timeout<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waits_for_writing = false;
            return polled;
        }
        if !self.waits_for_writing {
            self.waits_for_writing = true;
            let limit = clock::instant() + self.timeouts.write;
            self.writing.as_mut().reset(limit.into());
        }
        ready!(self.writing.as_mut().poll(context));
        self.waits_for_writing = false;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> TimedStream<S> {
    /// Throws away what still comes, for a while.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; SCRATCH];
        while self.reading.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.update_expected();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            let came = buffer.filled().len() > before;
            if came && matches!(this.expected, Expected::Request(_)) {
                this.expected = Expected::Head;
                this.read_within(this.timeouts.head);
            }
            return polled;
        }
        if this.expected == Expected::Body {
            return Poll::Pending;
        }
        ready!(this.reading.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.or_timeout(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.or_timeout(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        // A read may have been waiting since before the answer was given, and nothing would poll it
        // again: from the end of the answer on, the timeout has to wake the connection.
        self.update_expected();
        if matches!(self.expected, Expected::Request(_))
            && self.reading.as_mut().poll(context).is_ready()
        {
            context.waker().wake_by_ref();
        }
        self.or_timeout(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_shut {
            let polled = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.or_timeout(polled, context))?;
            this.is_shut = true;
            this.read_within(LINGER);
        }
        if this.activity.unread.load(Ordering::Relaxed) {
            this.drain(context)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}
