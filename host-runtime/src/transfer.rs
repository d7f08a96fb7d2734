//! How chunks pass between files, storage and network: the traits that keep the backends from
//! knowing each other.

use crate::storage::codec::{Codec, HEADER_SIZE, StoredHeader};
use crate::workers::suitable_count;
use btdt_ports::{Digest, IoError, ObjectFault, ObjectKind, PutOutcome, StoredInfo};
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
    /// the buffers of `codec`, where [`Codec::loaded`] finds it again.
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

/// An object as it is kept, opened for reading. It stays readable when its name goes.
pub trait StoredObject: Send + Sync {
    /// Bytes of the stored form, header included.
    fn size(&self) -> u64;

    /// What the header says. It has been checked that it is one and that the size agrees; the
    /// payload has not been looked at.
    fn header(&self) -> StoredHeader;

    /// What the core is told about it.
    fn info(&self) -> StoredInfo {
        let header = self.header();
        StoredInfo {
            size: self.size(),
            header_size: HEADER_SIZE as u32,
            raw_size: u64::from(header.raw_size),
            codec: header.codec,
        }
    }

    /// Reads up to a buffer's length of the stored form from `offset` on. No bytes at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError>;
}

/// Why a stored form was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredPutError {
    /// It is not what its name says, or too large.
    #[error(transparent)]
    Fault(#[from] ObjectFault),
    /// It could not be written.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// Objects as they are kept, for a server that passes them on without compressing them again.
pub trait StoredForms: Send + Sync {
    /// Opens an object, a live one before those set aside. Its content is not verified.
    ///
    /// # Errors
    /// See [`ObjectFault`].
    fn open_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Arc<dyn StoredObject>, ObjectFault>;

    /// Keeps a stored form as it is, once it has been decoded to at most `raw_limit` bytes and
    /// verified against its digest. Where there is an intact object already, that one stays and
    /// is marked as just used; one that is damaged is replaced.
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
