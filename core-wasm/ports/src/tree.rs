//! The user's files: list them, pack them into chunks, and materialize them from chunks.
//!
//! Paths are bytes, relative to the root of the tree, with `/` between names; the empty path is
//! the root. File contents never pass through these calls: plans go in, digests come out.

pub use crate::wit::types::{
    Bundle, ChunkFailure, ChunkPlan, Cut, CutSizes, DestinationFailure, DirectoryPlan,
    DirectoryState, Entry, EntryKind, Existing, FileFault, FilePlan, FollowLinks, Group,
    HardLinkPlan, LinkId, MaterializeBatch, MaterializeError, MaterializeSummary, MetadataPlan,
    PackBatch, PackFile, Packed, PackedChunk, PackedFault, Placement, RemovalPlan, Segment,
    SymlinkPlan,
};

use crate::{Algorithm, Digest, IoError};
use std::fmt;

/// The sink did not accept a chunk, so the whole pack has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not write to the cache: {0}")]
pub struct PackError(pub IoError);

/// A running pack: accepts batches while it works on earlier ones.
pub trait Packer {
    /// Submits the next batch; blocks while too many are queued. Reports errors of earlier batches
    /// too.
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError>;

    /// Waits for all batches. The outcome of every group of every batch, in order.
    fn finish(self) -> Result<Vec<Packed>, PackError>;
}

impl fmt::Display for MaterializeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterializeError::Chunk(ChunkFailure { digest, fault }) => {
                write!(formatter, "chunk {digest}: {fault}")
            }
            MaterializeError::Destination(DestinationFailure { path, error }) => {
                write!(formatter, "{}: {error}", String::from_utf8_lossy(path))
            }
        }
    }
}

impl std::error::Error for MaterializeError {}

/// A running restore: accepts batches while it works on earlier ones.
pub trait Materializer {
    /// Submits the next batch; blocks while too many are queued. Reports errors of earlier batches
    /// too.
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError>;

    /// Waits for all batches, applies what must come last, and publishes a staged tree.
    ///
    /// # Errors
    /// If any part failed; a staged tree is removed then.
    fn finish(self) -> Result<MaterializeSummary, MaterializeError>;
}

/// A file or directory of the user.
pub trait Tree {
    /// Where packed chunks go.
    type Sink;
    /// Where materialized chunks come from.
    type Source;
    /// A running pack.
    type Packer: Packer;
    /// A running restore.
    type Materializer: Materializer;

    /// The root of the tree; `None` if nothing exists there. Follows a symbolic link at the root.
    fn root(&self) -> Result<Option<Entry>, IoError>;

    /// The entries of each of these directories, sorted by name in byte order.
    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>>;

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`crate::IoErrorKind::TooLarge`] beyond the limit.
    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError>;

    /// The digest of the content of each of these files.
    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>>;

    /// Starts to pack files of this tree into `sink`.
    fn pack(&self, sink: &Self::Sink, sizes: CutSizes) -> Result<Self::Packer, IoError>;

    /// Starts to write this tree from `sources`.
    fn materialize(
        &self,
        sources: &[&Self::Source],
        placement: Placement,
    ) -> Result<Self::Materializer, MaterializeError>;
}
