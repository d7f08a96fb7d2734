//! The bodies of answers, which are read as the peer takes them.

use super::exchange::compression;
use super::timed::Activity;
use super::{LOOK, Service, Turn};
use btdt_host_runtime::archive::{StreamFault, TarPlan, TarReader, WriteFault, write_compressed};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::server::Encoding;
use btdt_host_runtime::engine::{Opened, Share};
use btdt_ports::Digest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

/// Bytes of a stored object that are read at once.
const BLOCK: u64 = 512 << 10;

/// Bytes of an answer in memory that are handed over at once.
const PIECE: usize = 64 << 10;

/// Blocks of an archive that wait for the connection.
const QUEUED_BLOCKS: usize = 1;

/// The status in log and metrics where the connection went before there was an answer.
const GONE: u16 = 499;

/// The rest of a body cannot be read. The connection is then cut, so that the peer notices.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum SendFault {
    /// An object could not be read.
    #[error("the object could not be read: {0}")]
    Object(btdt_ports::IoError),
    /// An archive could not be put together.
    #[error(transparent)]
    Archive(#[from] StreamFault),
    /// The thread that read it is gone.
    #[error("the thread that reads it has stopped")]
    Stopped,
    /// The peer reads too slowly.
    #[error("the request took longer than allowed")]
    TooSlow,
}

enum Source {
    /// All that is left is here.
    Memory {
        left: Bytes,
        /// What it holds of the memory for answers, since when.
        held: Option<(OwnedSemaphorePermit, Instant)>,
    },
    /// A part of an object, of which the first block is here.
    Stored {
        object: Opened,
        offset: u64,
        left: u64,
        first: Option<Bytes>,
        reading: Option<JoinHandle<Result<Bytes, SendFault>>>,
    },
    /// Blocks that another thread supplies.
    Blocks {
        from: mpsc::Receiver<Bytes>,
        left: Option<u64>,
        /// How it ended. Where this says nothing, the thread has panicked.
        end: Arc<OnceLock<Result<(), SendFault>>>,
    },
}

/// What is recorded of a request when its answer has been sent, or when its connection is gone.
pub(super) struct Account {
    service: Arc<Service>,
    activity: Arc<Activity>,
    began: Instant,
    pub(super) request_id: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) route: String,
    pub(super) status: u16,
    sent: u64,
    complete: bool,
}

impl Account {
    /// The account of a request that has just begun.
    pub(super) fn begin(service: Arc<Service>, activity: Arc<Activity>, began: Instant) -> Self {
        service.metrics.running.inc();
        Account {
            service,
            activity,
            began,
            request_id: String::new(),
            method: "other",
            path: String::new(),
            route: "unknown".to_owned(),
            status: GONE,
            sent: 0,
            complete: false,
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let metrics = &self.service.metrics;
        metrics.sent(self.sent);
        metrics.answered(&self.route, self.method, self.status, took);
        metrics.running.dec();
        self.activity.end();
        let Account { request_id, method, path, route, status, sent, complete, .. } = self;
        let (method, status, bytes, complete) = (*method, *status, *sent, *complete);
        let milliseconds = took.as_secs_f64() * 1000.0;
        // An operation sends, gets and asks about hundreds of chunks: one line each would bury the
        // rest.
        if (route.contains("chunk") || *route == "missing") && status < 400 {
            tracing::debug!(request_id, method, path, status, bytes, milliseconds, complete);
        } else {
            tracing::info!(request_id, method, path, status, bytes, milliseconds, complete);
        }
    }
}

/// The body of an answer.
pub(super) struct ResponseBody {
    source: Source,
    account: Option<Account>,
    ended: bool,
}

impl ResponseBody {
    /// These bytes.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        ResponseBody::of(Source::Memory { left: bytes.into(), held: None })
    }

    /// The same for bytes that hold a share of the memory for answers.
    pub(super) fn held(bytes: impl Into<Bytes>, memory: Option<OwnedSemaphorePermit>) -> Self {
        let held = memory.map(|memory| (memory, clock::instant()));
        ResponseBody::of(Source::Memory { left: bytes.into(), held })
    }

    /// A part of an object, of which a first block has been read already.
    pub(super) fn stored(object: Opened, offset: u64, length: u64, first: Bytes) -> Self {
        let read = first.len() as u64;
        let (offset, left) = (offset + read, length - read);
        let first = (!first.is_empty()).then_some(first);
        ResponseBody::of(Source::Stored { object, offset, left, first, reading: None })
    }

    /// An archive, put together on a thread of its own. `turn` is held until that ends.
    /// `on_damage` is called, there, with a chunk that cannot be used.
    pub(super) fn archive(
        plan: TarPlan,
        encoding: Encoding,
        turn: (Turn, Share),
        service: Arc<Service>,
        on_damage: impl FnOnce(Digest) + Send + 'static,
    ) -> Result<(Self, Option<u64>), StreamFault> {
        let length = match encoding {
            Encoding::Identity => Some(plan.content_length()?),
            Encoding::Gzip | Encoding::Zstd => None,
        };
        let (sender, from) = mpsc::channel(QUEUED_BLOCKS);
        let end = Arc::new(OnceLock::new());
        let ended = Arc::clone(&end);
        tokio::task::spawn_blocking(move || {
            let written = plan
                .into_reader()
                .map_err(SendFault::from)
                .and_then(|reader| Pump::new(sender.clone(), service).run(reader, encoding));
            drop(turn);
            if let Err(SendFault::Archive(StreamFault::Chunk { digest, .. })) = &written {
                on_damage(*digest);
            }
            // It is set only here, and known before the end of the channel is.
            let _ = ended.set(written);
            drop(sender);
        });
        Ok((ResponseBody::of(Source::Blocks { from, left: length, end }), length))
    }

    fn of(source: Source) -> Self {
        ResponseBody { source, account: None, ended: false }
    }

    /// Has this recorded at the end.
    pub(super) fn accounted(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }
}

/// Reads a part of an object of at most a block. Blocks.
pub(super) fn read_block(object: &Opened, offset: u64, left: u64) -> Result<Bytes, SendFault> {
    let length = usize::try_from(left.min(BLOCK)).unwrap_or(0);
    let mut block = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let read = object.read_at(&mut block[filled..], offset + filled as u64);
        match read.map_err(SendFault::Object)? {
            // Shorter than when it was opened: someone has cut the file.
            0 => return Err(SendFault::Stopped),
            read => filled += read,
        }
    }
    Ok(block.into())
}

impl Source {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, SendFault>>> {
        match self {
            Source::Memory { left, .. } => {
                let piece = left.split_to(left.len().min(PIECE));
                Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
            }
            Source::Blocks { from, left, end } => {
                let Some(block) = ready!(from.poll_recv(context)) else {
                    // Without a length, the peer could not tell a part from the whole.
                    let end = end.get().copied().unwrap_or(Err(SendFault::Stopped));
                    return Poll::Ready(end.err().map(Err));
                };
                if let Some(left) = left {
                    *left = left.saturating_sub(block.len() as u64);
                }
                Poll::Ready(Some(Ok(block)))
            }
            Source::Stored { object, offset, left, first, reading } => {
                if let Some(first) = first.take() {
                    return Poll::Ready(Some(Ok(first)));
                }
                if *left == 0 {
                    return Poll::Ready(None);
                }
                let reading = reading.get_or_insert_with(|| {
                    let (object, offset, left) = (Arc::clone(object), *offset, *left);
                    tokio::task::spawn_blocking(move || read_block(&object, offset, left))
                });
                let read = ready!(Pin::new(reading).poll(context));
                let block = read.map_err(|_| SendFault::Stopped).and_then(|block| block);
                if let Ok(block) = &block {
                    *offset += block.len() as u64;
                    *left -= block.len() as u64;
                }
                Poll::Ready(Some(block))
            }
        }
    }

    /// Whether the peer reads so slowly that others lack the memory.
    fn is_in_the_way(&self, service: &Service, sent: u64) -> bool {
        match self {
            Source::Memory { held: Some((_, since)), .. } => service.is_in_the_way(*since, sent),
            _ => false,
        }
    }

    fn drop_reading(&mut self) {
        if let Source::Stored { reading, .. } = self {
            *reading = None;
        }
    }

    fn left(&self) -> Option<u64> {
        match self {
            Source::Memory { left, .. } => Some(left.len() as u64),
            Source::Stored { left, first, .. } => {
                Some(left + first.as_ref().map_or(0, |first| first.len() as u64))
            }
            Source::Blocks { left, .. } => *left,
        }
    }
}

use std::future::Future;

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendFault>>> {
        let slow = self.account.as_ref().is_some_and(|account| {
            account.began.elapsed() > account.service.limits.request_timeout
                || self.source.is_in_the_way(&account.service, account.sent)
        });
        let polled =
            if slow { Some(Err(SendFault::TooSlow)) } else { ready!(self.source.poll(context)) };
        match polled {
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
            Some(Ok(block)) => {
                self.source.drop_reading();
                if let Some(account) = &mut self.account {
                    account.sent += block.len() as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(block))))
            }
            Some(Err(fault)) => {
                if let Some(account) = &self.account {
                    let request_id = account.request_id.as_str();
                    tracing::error!(request_id, %fault, "The answer could not be completed");
                }
                Poll::Ready(Some(Err(fault)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.source.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let complete = self.ended || self.is_end_stream();
        if let Some(account) = &mut self.account {
            account.complete = complete;
        }
    }
}

/// Sends the blocks of an archive.
struct Pump {
    to: mpsc::Sender<Bytes>,
    service: Arc<Service>,
    runtime: Handle,
    began: Instant,
    passed: u64,
}

impl Pump {
    fn new(to: mpsc::Sender<Bytes>, service: Arc<Service>) -> Self {
        Pump { to, service, runtime: Handle::current(), began: clock::instant(), passed: 0 }
    }

    /// Passes a block on once there is room for it. Blocks.
    fn pass(&mut self, block: Bytes) -> Result<(), SendFault> {
        self.passed += block.len() as u64;
        loop {
            // Made within the runtime: it has the timer.
            let waiting = async { tokio::time::timeout(LOOK, self.to.reserve()).await };
            match self.runtime.block_on(waiting) {
                Ok(Ok(room)) => {
                    room.send(block);
                    return Ok(());
                }
                Ok(Err(_)) => return Err(SendFault::Stopped),
                Err(_) if self.service.is_in_the_way(self.began, self.passed) => {
                    return Err(SendFault::TooSlow);
                }
                Err(_) => {}
            }
        }
    }

    fn run(mut self, mut reader: TarReader, encoding: Encoding) -> Result<(), SendFault> {
        match encoding {
            Encoding::Identity => loop {
                let mut block = Vec::new();
                let more = reader.next_block(&mut block)?;
                if !block.is_empty() {
                    self.pass(block.into())?;
                }
                if !more {
                    return Ok(());
                }
            },
            Encoding::Gzip | Encoding::Zstd => {
                let compression = compression(encoding);
                write_compressed(&mut reader, compression, &mut self).map_err(|fault| match fault {
                    WriteFault::Stream(fault) => fault.into(),
                    WriteFault::Output(_) => SendFault::Stopped,
                })
            }
        }
    }
}

impl Write for Pump {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass(Bytes::copy_from_slice(bytes)).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
