//! Traits for chunks on their way between files, storage and network, which keep the backends
//! independent of each other.

use crate::codec::{Codec, HEADER_SIZE, StoredHeader};
use crate::workers::suitable_count;
use btdt_ports::{Digest, IoError, ObjectFault, ObjectKind, PutOutcome, StoredInfo};
use std::sync::Arc;

/// The destination of the chunks of a store.
pub trait ChunkSink: Send + Sync {
    /// The outcome if the chunk exists, which also marks it as just used; `None` if it must be
    /// [put](ChunkSink::put).
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError>;

    /// Stores the raw content of a chunk. `digest` is its digest, computed by the caller.
    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError>;

    /// How many workers should use it at once: more than there are cores if they mostly wait.
    fn suitable_workers(&self) -> usize {
        suitable_count()
    }
}

/// The source of the chunks of a restore.
pub trait ChunkSource: Send + Sync {
    /// The raw content of a chunk of `raw_size` bytes, verified against its digest. It lies in
    /// the buffers of `codec`, where [`Codec::loaded`] finds it again.
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault>;

    /// How many workers should use it at once: more than there are cores if they mostly wait.
    fn suitable_workers(&self) -> usize {
        suitable_count()
    }
}

/// An object in its stored form, open for reading. It stays readable after it is deleted.
pub trait StoredObject: Send + Sync {
    /// Bytes of the stored form, header included.
    fn size(&self) -> u64;

    /// The header, which has been checked against the size. The payload has not been verified.
    fn header(&self) -> StoredHeader;

    /// The object as the core sees it.
    fn info(&self) -> StoredInfo {
        let header = self.header();
        StoredInfo {
            size: self.size(),
            header_size: HEADER_SIZE as u32,
            raw_size: u64::from(header.raw_size),
            codec: header.codec,
        }
    }

    /// Reads up to a buffer's length of the stored form from `offset` on; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError>;
}

/// Why a stored form was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredPutError {
    /// It does not match its digest or is too large.
    #[error(transparent)]
    Fault(#[from] ObjectFault),
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// Objects in their stored form, for a server that passes them on without compressing them again.
pub trait StoredForms: Send + Sync {
    /// Opens an object, preferring live ones to those set aside. Does not verify its content.
    fn open_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Arc<dyn StoredObject>, ObjectFault>;

    /// Stores an object after decoding it to at most `raw_limit` bytes and verifying its digest. An
    /// intact existing object stays and is marked as just used; a damaged one is replaced.
    ///
    /// # Errors
    /// [`StoredPutError::Fault`] where it is damaged or too large, and then nothing has changed;
    /// else when it cannot be written.
    fn put_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        stored: &[u8],
        raw_limit: u64,
        codec: &mut Codec,
    ) -> Result<PutOutcome, StoredPutError>;
}

/// A sink as a handle.
pub type Sink = Arc<dyn ChunkSink>;

/// A source as a handle.
pub type Source = Arc<dyn ChunkSource>;
