//! How chunks pass between files and storage: the two traits that keep the tree backends and the
//! storage backends from knowing each other.

use crate::storage::codec::Codec;
use crate::workers::suitable_count;
use btdt_ports::{Digest, IoError, ObjectFault, PutOutcome};
use std::sync::Arc;

/// What takes the chunks of a store.
pub trait ChunkSink: Send + Sync {
    /// The outcome, if the chunk is there already, which also marks it as just used; `None` if it
    /// has to be [put](ChunkSink::put).
    ///
    /// # Errors
    /// When that cannot be found out.
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError>;

    /// Keeps the raw content of a chunk. `digest` is its digest, computed by the caller.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError>;

    /// How many workers should use it at once: more than there are cores where they wait a lot.
    fn suitable_workers(&self) -> usize {
        suitable_count()
    }
}

/// What supplies the chunks of a restore.
pub trait ChunkSource: Send + Sync {
    /// The raw content of a chunk of `raw_size` bytes, verified against its digest. It lies in
    /// the buffers of `codec`.
    ///
    /// # Errors
    /// See [`ObjectFault`].
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault>;

    /// How many workers should use it at once: more than there are cores where they wait a lot.
    fn suitable_workers(&self) -> usize {
        suitable_count()
    }
}

/// A sink as a handle.
pub type Sink = Arc<dyn ChunkSink>;

/// A source as a handle.
pub type Source = Arc<dyn ChunkSource>;
