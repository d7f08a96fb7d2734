//! Trees as tar streams, which `curl … | tar x` and btdt 0.4 understand.
//!
//! The host moves file contents between the stream and the chunks of a cache. The core sees
//! headers, decides which contents share a chunk, and gets digests back. For an outgoing archive it
//! submits a plan, which the host turns into a stream.

pub use crate::wit::types::{
    ArchiveBatch, ArchiveChunk, ArchiveContent, ArchiveEntry, ArchiveExtent, ArchiveFault,
    ArchiveNode, ArchiveNodeContent,
};

use crate::{CutSizes, PackedChunk};
use std::fmt;

impl fmt::Display for ArchiveFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveFault::Truncated => formatter.write_str("it ends before the end of the archive"),
            ArchiveFault::Malformed => formatter.write_str("it is not a valid tar archive"),
            ArchiveFault::TooLarge => formatter.write_str("it is larger than allowed"),
            ArchiveFault::Interrupted(error) => {
                write!(formatter, "it could not be received: {error}")
            }
            ArchiveFault::Sink(error) => write!(formatter, "could not write to the cache: {error}"),
        }
    }
}

impl std::error::Error for ArchiveFault {}

/// An incoming archive: yields headers one by one, and stores contents as the caller decides.
///
/// [`ArchiveReader::next`] skips a content that was neither appended nor cut.
pub trait ArchiveReader {
    /// The next entry; `None` at the end of a complete archive.
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault>;

    /// Appends the content of the current file to the chunk being assembled.
    ///
    /// # Errors
    /// [`ArchiveFault::TooLarge`] if the chunk would grow beyond 4 MiB.
    fn append(&mut self) -> Result<(), ArchiveFault>;

    /// Completes the chunk being assembled, which must not be empty: one group of the result.
    fn seal(&mut self) -> Result<(), ArchiveFault>;

    /// Cuts the next `length` bytes of the current file by content, independently of the chunk
    /// being assembled: one group of the result.
    fn cut(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault>;

    /// Waits until all chunks are stored; the chunks of each group, in the order of the calls.
    fn finish(self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault>;
}

/// The plan of an outgoing archive.
pub trait ArchivePlan {
    /// Adds to the plan.
    fn submit(&mut self, batch: ArchiveBatch);
}

/// Creates plans of outgoing archives.
pub trait Archives {
    /// The source of the contents.
    type Source;
    /// A plan.
    type Plan: ArchivePlan;

    /// An empty plan.
    fn plan(&self, source: &Self::Source) -> Self::Plan;
}
