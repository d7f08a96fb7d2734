//! The stream that a plan becomes.

use super::fetch::Fetcher;
use super::header;
use super::padding;
use super::plan::{END, TarPlan, Walk};
use btdt_ports::{Digest, ObjectFault};
use std::io::{self, Read};
use std::sync::Arc;

/// How many bytes [`TarReader::next_block`] puts into a block, but for the last one: enough to
/// make the cost of each call disappear, and little enough for many streams at once.
pub const BLOCK_TARGET: usize = 128 << 10;

/// A run of zeros, for what pads contents.
static ZEROS: [u8; END as usize] = [0; END as usize];

/// Why a stream cannot be continued. What has been sent of it is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The plan contradicts itself.
    #[error("the plan of the archive is not valid")]
    Plan,
    /// A chunk cannot be used.
    #[error("chunk {digest}: {fault}")]
    Chunk {
        /// The chunk.
        digest: Digest,
        /// What is wrong with it.
        fault: ObjectFault,
    },
}

/// An outgoing tar stream. Chunks are read, decompressed and verified ahead on other threads.
///
/// Both ways to read it block. Its memory is that of the plan and of the chunks on their way: see
/// [`ReadAhead`](super::ReadAhead).
pub struct TarReader {
    plan: Arc<TarPlan>,
    walk: Walk,
    fetcher: Fetcher,
    /// The header of the current member, and how much of it is sent.
    header: Vec<u8>,
    sent: usize,
    /// What is left of its content: these extents, of the first of which some bytes are sent.
    extent: usize,
    extents_end: usize,
    extent_sent: u32,
    /// Zeros that follow.
    zeros: u64,
    ended: bool,
    fault: Option<StreamFault>,
}

impl TarReader {
    pub(super) fn new(plan: Arc<TarPlan>) -> Self {
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

    /// Replaces what is in `block` by the next part of the stream, of about [`BLOCK_TARGET`]
    /// bytes. False at the end, where nothing follows.
    ///
    /// # Errors
    /// See [`StreamFault`]; the same one again from then on. `block` has what came before it.
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

    /// The next bytes, `most` of them at most. None at the end.
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

    /// Prepares the next member, or the end.
    fn begin_member(&mut self) -> Result<(), StreamFault> {
        self.header.clear();
        self.sent = 0;
        self.extent = self.walk.extent();
        let header = &mut self.header;
        let size = self.walk.next(&self.plan, |member| {
            header::write(member, header);
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
    /// An error has a [`StreamFault`] in it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.next_piece(buffer.len() - filled) {
                Ok([]) => break,
                Ok(piece) => {
                    buffer[filled..filled + piece.len()].copy_from_slice(piece);
                    filled += piece.len();
                }
                // What is there comes first; the fault is still there the next time.
                Err(_) if filled > 0 => break,
                Err(fault) => return Err(io::Error::other(fault)),
            }
        }
        Ok(filled)
    }
}
