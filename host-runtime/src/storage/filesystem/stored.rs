//! Objects in the form in which they are kept.

use super::FilesystemStorage;
use super::objects::is_whole;
use crate::chunk_io::{StoredForms, StoredObject, StoredPutError};
use crate::codec::{Codec, HEADER_SIZE, StoredHeader};
use btdt_ports::{Damage, Digest, IoError, ObjectFault, ObjectKind, PutOutcome};
use btdt_sys::cache_directory::{self as os, is_not_found};
use std::sync::Arc;

/// The file of an object.
struct StoredFile {
    file: os::File,
    size: u64,
    header: StoredHeader,
}

impl StoredObject for StoredFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn header(&self) -> StoredHeader {
        self.header
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        // Also because the system takes no offset beyond all files for the end of this one.
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        match length {
            0 => Ok(0),
            _ => Ok(os::read_at(&self.file, &mut buffer[..length], offset)?),
        }
    }
}

impl FilesystemStorage {
    fn open_stored_file(&self, path: &str) -> Result<StoredFile, ObjectFault> {
        let unreadable = |error: os::Error| match is_not_found(&error) {
            true => ObjectFault::Missing,
            false => ObjectFault::Unreadable(error.into()),
        };
        let (file, info) = self.root().open_file(path).map_err(unreadable)?;
        if !is_whole(info.size) {
            return Err(ObjectFault::Missing);
        }
        let mut beginning = [0; HEADER_SIZE];
        let read = os::read_at(&file, &mut beginning, 0).map_err(unreadable)?;
        if read < HEADER_SIZE {
            return Err(ObjectFault::Damaged(Damage::Length));
        }
        let header = StoredHeader::of(&beginning, info.size)?;
        Ok(StoredFile { file, size: info.size, header })
    }
}

impl StoredForms for FilesystemStorage {
    fn open_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Arc<dyn StoredObject>, ObjectFault> {
        self.find(kind, digest, |path| {
            Ok(Arc::new(self.open_stored_file(path)?) as Arc<dyn StoredObject>)
        })
    }

    fn put_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        stored: &[u8],
        raw_limit: u64,
        codec: &mut Codec,
    ) -> Result<PutOutcome, StoredPutError> {
        codec.check_stored(digest, stored, raw_limit)?;
        match self.intact(kind, digest, raw_limit, codec)? {
            Some(outcome) => Ok(outcome),
            None => Ok(self.write_stored(kind, digest, stored)?),
        }
    }
}
