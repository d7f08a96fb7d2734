//! The bodies of responses, which are read as the peer takes them.

use super::archive_sender::{self, Blocks, OutgoingArchive};
use super::faults::SendFault;
use super::request_record::RequestRecord;
use crate::admission::Permit;
use crate::service::Service;
use btdt_host_runtime::archive::StreamFault;
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::Opened;
use btdt_host_runtime::engine::server::Encoding;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::task::JoinHandle;

/// Bytes of a stored object that are read at once.
const BLOCK: u64 = 512 << 10;

/// Bytes of an answer in memory that are handed over at once.
const PIECE: usize = 64 << 10;

enum Source {
    /// All that is left is in memory.
    Memory {
        left: Bytes,
        /// What it holds of a budget, since when.
        held: Option<(Permit, Instant)>,
    },
    /// A part of an object, whose first block has been read already.
    Stored {
        object: Opened,
        offset: u64,
        left: u64,
        first: Option<Bytes>,
        reading: Option<JoinHandle<Result<Bytes, SendFault>>>,
    },
    /// Blocks that another thread supplies.
    Archive { blocks: Blocks, left: Option<u64> },
}

/// The body of a response.
pub(super) struct ResponseBody {
    source: Source,
    record: Option<RequestRecord>,
    ended: bool,
}

impl ResponseBody {
    /// These bytes.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        ResponseBody::held(bytes, None)
    }

    /// The same for bytes that hold a part of a budget until they are sent.
    pub(super) fn held(bytes: impl Into<Bytes>, permit: Option<Permit>) -> Self {
        let held = permit.map(|permit| (permit, clock::instant()));
        ResponseBody::of(Source::Memory { left: bytes.into(), held })
    }

    /// A part of an object, whose first block has been read already.
    pub(super) fn stored(object: Opened, offset: u64, length: u64, first: Bytes) -> Self {
        let read = first.len() as u64;
        let (offset, left) = (offset + read, length - read);
        let first = (!first.is_empty()).then_some(first);
        ResponseBody::of(Source::Stored { object, offset, left, first, reading: None })
    }

    /// An archive, and its length if it is known.
    pub(super) fn archive(
        service: Arc<Service>,
        archive: OutgoingArchive,
    ) -> Result<(Self, Option<u64>), StreamFault> {
        let is_plain = archive.encoding == Encoding::Identity;
        let length = if is_plain { Some(archive.plan.content_length()?) } else { None };
        let blocks = archive_sender::start(service, archive);
        Ok((ResponseBody::of(Source::Archive { blocks, left: length }), length))
    }

    fn of(source: Source) -> Self {
        ResponseBody { source, record: None, ended: false }
    }

    /// Completes this record when the body is sent or given up.
    pub(super) fn recorded(mut self, record: RequestRecord) -> Self {
        self.record = Some(record);
        self
    }
}

/// Reads a part of an object, at most a block. Blocks.
pub(super) fn read_block(object: &Opened, offset: u64, left: u64) -> Result<Bytes, SendFault> {
    let length = usize::try_from(left.min(BLOCK)).unwrap_or(0);
    let mut block = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let read = object.read_at(&mut block[filled..], offset + filled as u64);
        match read.map_err(SendFault::Object)? {
            // The file has become shorter since it was opened.
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
            Source::Archive { blocks, left } => {
                let block = ready!(blocks.poll(context));
                if let (Some(Ok(block)), Some(left)) = (&block, left) {
                    *left = left.saturating_sub(block.len() as u64);
                }
                Poll::Ready(block)
            }
            Source::Stored { object, offset, left, first, reading } => {
                if let Some(first) = first.take() {
                    return Poll::Ready(Some(Ok(first)));
                }
                if *left == 0 {
                    return Poll::Ready(None);
                }
                let task = reading.get_or_insert_with(|| {
                    let (object, offset, left) = (Arc::clone(object), *offset, *left);
                    tokio::task::spawn_blocking(move || read_block(&object, offset, left))
                });
                let read = ready!(Pin::new(task).poll(context));
                *reading = None;
                let block = read.map_err(|_| SendFault::Stopped).and_then(|block| block);
                if let Ok(block) = &block {
                    *offset += block.len() as u64;
                    *left -= block.len() as u64;
                }
                Poll::Ready(Some(block))
            }
        }
    }

    /// Whether the peer reads so slowly that others lack what this holds.
    fn is_in_the_way(&self, service: &Service, sent: u64) -> bool {
        match self {
            Source::Memory { held: Some((_, since)), .. } => {
                service.admission.is_in_the_way(*since, sent)
            }
            _ => false,
        }
    }

    fn left(&self) -> Option<u64> {
        match self {
            Source::Memory { left, .. } => Some(left.len() as u64),
            Source::Stored { left, first, .. } => {
                Some(left + first.as_ref().map_or(0, |first| first.len() as u64))
            }
            Source::Archive { left, .. } => *left,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = SendFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendFault>>> {
        let slow = self.record.as_ref().is_some_and(|record| {
            record.began.elapsed() > record.service.limits.request_timeout
                || self.source.is_in_the_way(&record.service, record.sent)
        });
        let polled =
            if slow { Some(Err(SendFault::TooSlow)) } else { ready!(self.source.poll(context)) };
        match (&polled, &mut self.record) {
            (None, _) => self.ended = true,
            (Some(Ok(block)), Some(record)) => record.sent += block.len() as u64,
            (Some(Err(fault)), Some(record)) => {
                let request_id = record.request_id.as_str();
                tracing::error!(request_id, %fault, "The answer could not be completed");
            }
            (Some(_), None) => {}
        }
        Poll::Ready(polled.map(|block| block.map(Frame::data)))
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
        if let Some(record) = &mut self.record {
            record.complete = complete;
        }
    }
}
