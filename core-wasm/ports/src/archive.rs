//! Trees as tar streams: what `curl … | tar x` and btdt 0.4 understand.
//!
//! Bulk content passes between the stream and the chunks of a cache inside the host. The core sees
//! headers, decides which contents share a chunk, and gets digests back; the other way round, it
//! hands over a plan, which the host turns into a stream.

use crate::{CutSizes, Digest, HttpError, IoError, PackedChunk, Timestamp};

/// One entry of an incoming archive, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Path as the archive has it: nothing about it has been checked.
    pub path: Vec<u8>,
    /// What it is.
    pub content: ArchiveContent,
    /// Permission bits (`0o777`).
    pub mode: u32,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// What an entry of an incoming archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveContent {
    /// A directory.
    Directory,
    /// A file of that many bytes.
    File(u64),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// Another name for the file of that path.
    HardLink(Vec<u8>),
    /// A device, FIFO or anything else that is not kept.
    Special,
}

/// Why an archive was not received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// The transfer ended before the archive did.
    #[error("it ends before the end of the archive")]
    Truncated,
    /// It is no tar archive, or is not compressed as announced.
    #[error("it is not a valid tar archive")]
    Malformed,
    /// It is longer than the receiver takes.
    #[error("it is larger than allowed")]
    TooLarge,
    /// The sender stopped, was too slow, or the connection broke.
    #[error("it could not be received: {0}")]
    Interrupted(HttpError),
    /// A chunk could not be kept.
    #[error("could not write to the cache: {0}")]
    Sink(IoError),
}

/// An incoming archive: headers come out one by one, and contents go where the caller says.
///
/// A content that is neither appended nor cut is skipped by the next call of
/// [`ArchiveReader::next`].
pub trait ArchiveReader {
    /// The next entry; `None` at the end of a complete archive.
    ///
    /// # Errors
    /// See [`ArchiveFault`].
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault>;

    /// Appends the content of the current file to the chunk that is being put together.
    ///
    /// # Errors
    /// See [`ArchiveFault`]; [`ArchiveFault::TooLarge`] where the chunk would grow beyond 4 MiB.
    fn append(&mut self) -> Result<(), ArchiveFault>;

    /// Ends the chunk that is being put together, which is not empty: one group of the result.
    ///
    /// # Errors
    /// See [`ArchiveFault`].
    fn seal(&mut self) -> Result<(), ArchiveFault>;

    /// Cuts the next `length` bytes of the current file by content, apart from any chunk that is
    /// being put together: one group of the result.
    ///
    /// # Errors
    /// See [`ArchiveFault`].
    fn cut(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault>;

    /// Waits until all chunks are kept: those of each group, in the order of the calls.
    ///
    /// # Errors
    /// See [`ArchiveFault`].
    fn finish(self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault>;
}

/// A chunk that an outgoing archive takes content from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveChunk {
    /// SHA-256 of the raw content, verified before a byte of it is sent.
    pub digest: Digest,
    /// Bytes of raw content.
    pub raw_size: u32,
}

/// A run of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveExtent {
    /// Number of the chunk, counted over all batches.
    pub chunk: u32,
    /// Where it begins in the chunk, in bytes.
    pub offset: u32,
    /// Its length in bytes.
    pub length: u32,
}

/// What a node of an outgoing archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveNodeContent {
    /// A directory.
    Directory,
    /// A file, made of the next so many of [`ArchiveBatch::extents`].
    File(u32),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// Another name for the file of that number.
    HardLink(u32),
}

/// A node of an outgoing archive. Nodes are numbered over all batches; number 0 is the root, a
/// directory, and every other one follows its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveNode {
    /// Number of the directory that it is in; 0 for the root itself.
    pub parent: u32,
    /// Its name; empty for the root.
    pub name: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Time of the last change.
    pub modified: Timestamp,
    /// What it is.
    pub content: ArchiveNodeContent,
}

/// A part of the plan of an outgoing archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveBatch {
    /// Further chunks.
    pub chunks: Vec<ArchiveChunk>,
    /// Further nodes, which use chunks of this and earlier batches.
    pub nodes: Vec<ArchiveNode>,
    /// The contents of the files of this batch, in the order of the nodes.
    pub extents: Vec<ArchiveExtent>,
}

/// The plan of an outgoing archive.
pub trait ArchivePlan {
    /// Adds to the plan.
    fn submit(&mut self, batch: ArchiveBatch);
}

/// Where plans of outgoing archives are made.
pub trait Archives {
    /// Where their contents come from.
    type Source;
    /// A plan.
    type Plan: ArchivePlan;

    /// An empty plan.
    fn plan(&self, source: &Self::Source) -> Self::Plan;
}
