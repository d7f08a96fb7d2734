//! A connection on which a peer that sends or reads nothing is given up.

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

/// How long the rest of a body that nobody wants is thrown away, so that its sender comes to read
/// the answer: a connection that is closed with unread bytes in it takes the answer with it.
const LINGER: Duration = Duration::from_secs(5);

/// Bytes that are thrown away at once.
const SCRATCH: usize = 8 << 10;

/// The times of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// For the head of a request.
    pub(super) head: Duration,
    /// From the end of an answer to the next request.
    pub(super) idle: Duration,
    /// For a write that makes no progress.
    pub(super) write: Duration,
}

/// What a connection is at, as those who answer its requests know it.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    unread: AtomicBool,
}

impl Activity {
    /// The head of a request is here.
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

    /// How many requests have been answered; `None` while one is.
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

/// Fails reads of heads that take too long, the wait for a request that does not come, and writes
/// that make no progress for a while.
pub(super) struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    times: Times,
    expected: Expected,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
    waits_for_writing: bool,
    is_shut: bool,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, times: Times, activity: Arc<Activity>) -> Self {
        Timed {
            stream,
            activity,
            times,
            expected: Expected::Head,
            reading: Box::pin(sleep(times.head)),
            writing: Box::pin(sleep(times.write)),
            waits_for_writing: false,
            is_shut: false,
        }
    }

    fn read_within(&mut self, time: Duration) {
        self.reading.as_mut().reset((clock::instant() + time).into());
    }

    /// Finds out what is being read, and sets the time for it.
    fn look(&mut self) {
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
                    self.read_within(self.times.idle);
                }
            }
        }
    }

    /// What a write has come to, once the time is taken into account.
    fn timed<T>(
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
            let limit = clock::instant() + self.times.write;
            self.writing.as_mut().reset(limit.into());
        }
        ready!(self.writing.as_mut().poll(context));
        self.waits_for_writing = false;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Timed<S> {
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

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.look();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            let came = buffer.filled().len() > before;
            if came && matches!(this.expected, Expected::Request(_)) {
                this.expected = Expected::Head;
                this.read_within(this.times.head);
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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.timed(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        // A read may be waiting since before the answer was given, and nothing would poll it again:
        // from the end of the answer on, the connection has to be woken when the time is over.
        self.look();
        if matches!(self.expected, Expected::Request(_))
            && self.reading.as_mut().poll(context).is_ready()
        {
            context.waker().wake_by_ref();
        }
        self.timed(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_shut {
            let polled = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.timed(polled, context))?;
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
