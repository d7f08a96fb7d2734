//! The tar stream of a plan.

use super::fetch::Fetcher;
use super::format::{END, padding};
use super::read_ahead::ReadAhead;
use super::stream_fault::StreamFault;
use super::tar_plan::{TarPlan, Walk};
use super::write_header;
use std::io::{self, Read};
use std::sync::Arc;

/// The size in bytes of the blocks of [`TarReader::next_block`], except for the last: large enough
/// to make the cost of a call negligible, small enough for many streams.
pub const BLOCK_TARGET: usize = 128 << 10;

/// Zeros for padding.
static ZEROS: [u8; END as usize] = [0; END as usize];

/// Limits of a small archive: examining all of it costs nothing.
const FEW_NODES: usize = 64;
const FEW_CHUNKS: usize = 2;

impl TarPlan {
    /// The stream, which starts reading ahead at once.
    pub fn into_reader(self) -> Result<TarReader, StreamFault> {
        self.check()?;
        Ok(TarReader::new(Arc::new(self)))
    }

    /// The whole stream, assembled on this thread, if it is small: a few nodes and at most `most`
    /// bytes. Also `None` if it cannot be streamed; [`TarPlan::into_reader`] reports why.
    #[must_use]
    pub fn small(&self, most: u64) -> Option<Vec<u8>> {
        if self.node_count() > FEW_NODES || self.chunks.len() > FEW_CHUNKS {
            return None;
        }
        let length = self.content_length().ok().filter(|length| *length <= most)?;
        // Starting a thread would take longer than reading.
        let alone = self.clone().sharing(Arc::new(ReadAhead::new(0)));
        let mut stream = Vec::with_capacity(usize::try_from(length).ok()?);
        TarReader::new(Arc::new(alone)).read_to_end(&mut stream).ok()?;
        Some(stream)
    }
}

/// An outgoing tar stream. Chunks are read, decompressed and verified ahead on other threads.
///
/// Both ways to read it block. Its memory is the plan and the chunks in flight: see
/// [`ReadAhead`](super::ReadAhead).
pub struct TarReader {
    plan: Arc<TarPlan>,
    walk: Walk,
    fetcher: Fetcher,
    /// The header of the current member, and how much of it was sent.
    header: Vec<u8>,
    sent: usize,
    /// The extents of its remaining content, and how much of the first one was sent.
    extent: usize,
    extents_end: usize,
    extent_sent: u32,
    /// Zeros that follow.
    zeros: u64,
    ended: bool,
    fault: Option<StreamFault>,
}

impl TarReader {
    fn new(plan: Arc<TarPlan>) -> Self {
        TarReader {
            walk: Walk::new(&plan),
            fetcher: Fetcher::start(Arc::clone(&plan)),
            plan,
            header: Vec::new(),
            sent: 0,
            extent: 0,
            extents_end: 0,
            extent_sent: 0,
            zeros: 0,
            ended: false,
            fault: None,
        }
    }

    /// Replaces the content of `block` with the next part of the stream, about [`BLOCK_TARGET`]
    /// bytes. Returns false at the end of the stream.
    ///
    /// # Errors
    /// The same fault again on every later call. `block` contains what came before it.
    pub fn next_block(&mut self, block: &mut Vec<u8>) -> Result<bool, StreamFault> {
        block.clear();
        block.reserve(BLOCK_TARGET);
        while block.len() < BLOCK_TARGET {
            let piece = self.next_piece(BLOCK_TARGET - block.len())?;
            if piece.is_empty() {
                break;
            }
            block.extend_from_slice(piece);
        }
        Ok(!block.is_empty())
    }

    /// The next bytes, at most `most`; empty at the end.
    fn next_piece(&mut self, most: usize) -> Result<&[u8], StreamFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        while !self.has_piece() {
            if self.ended {
                return Ok(&[]);
            }
            if let Err(fault) = self.begin_member() {
                self.fault = Some(fault);
                return Err(fault);
            }
        }
        if self.sent < self.header.len() {
            let from = self.sent;
            self.sent = self.header.len().min(from + most);
            return Ok(&self.header[from..self.sent]);
        }
        if self.extent < self.extents_end {
            return self.next_content(most);
        }
        let length = most.min(ZEROS.len()).min(usize::try_from(self.zeros).unwrap_or(usize::MAX));
        self.zeros -= length as u64;
        Ok(&ZEROS[..length])
    }

    fn has_piece(&self) -> bool {
        self.sent < self.header.len() || self.extent < self.extents_end || self.zeros > 0
    }

    fn next_content(&mut self, most: usize) -> Result<&[u8], StreamFault> {
        let extent = self.plan.extents[self.extent];
        let from = self.extent_sent;
        let length = u32::try_from(most).unwrap_or(u32::MAX).min(extent.length - from);
        self.extent_sent += length;
        if self.extent_sent == extent.length {
            self.extent += 1;
            self.extent_sent = 0;
        }
        let content = self.fetcher.content(extent, from, length);
        if let Err(fault) = content {
            self.fault = Some(fault);
        }
        content
    }

    /// Prepares the next member or the end of the archive.
    fn begin_member(&mut self) -> Result<(), StreamFault> {
        self.header.clear();
        self.sent = 0;
        self.extent = self.walk.extent();
        let header = &mut self.header;
        let size = self.walk.next(&self.plan, |member| {
            write_header::write(member, header);
            member.size
        })?;
        self.extents_end = self.walk.extent();
        match size {
            Some(size) => self.zeros = padding(size),
            None => {
                self.zeros = END;
                self.ended = true;
            }
        }
        Ok(())
    }
}

impl Read for TarReader {
    /// Errors contain a [`StreamFault`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.next_piece(buffer.len() - filled) {
                Ok([]) => break,
                Ok(piece) => {
                    buffer[filled..filled + piece.len()].copy_from_slice(piece);
                    filled += piece.len();
                }
                // Returns what precedes the fault; the next call reports it.
                Err(_) if filled > 0 => break,
                Err(fault) => return Err(io::Error::other(fault)),
            }
        }
        Ok(filled)
    }
}
