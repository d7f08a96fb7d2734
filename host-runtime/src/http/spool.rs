//! A place on this machine for the chunks of one archive.

use crate::storage::codec::Codec;
use crate::storage::{FilesystemStorage, OpenError};
use crate::transfer::{ChunkSink, ChunkSource, Sink, Source};
use btdt_ports::{Digest, IoError, IoErrorKind, ObjectFault, PutOutcome};
use std::sync::Arc;
use tempfile::TempDir;

/// A cache in the directory for temporary files that goes when nobody uses it any more.
struct Spool {
    storage: FilesystemStorage,
    _directory: TempDir,
}

/// Both ends of a new spool.
pub(super) fn open() -> Result<(Sink, Source), IoError> {
    let directory = tempfile::Builder::new().prefix("btdt-").tempdir()?;
    let storage = FilesystemStorage::open(directory.path()).map_err(|error| match error {
        OpenError::Io(error) => error,
        // Nobody else has written to the directory.
        _ => IoError::new(IoErrorKind::Other),
    })?;
    let spool = Arc::new(Spool { storage, _directory: directory });
    Ok((Arc::clone(&spool) as Sink, spool as Source))
}

impl ChunkSink for Spool {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        ChunkSink::existing(&self.storage, digest)
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        ChunkSink::put(&self.storage, digest, raw, codec)
    }
}

impl ChunkSource for Spool {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        self.storage.read(digest, raw_size, codec)
    }
}
