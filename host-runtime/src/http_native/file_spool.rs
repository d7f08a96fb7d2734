//! A temporary file for the chunks of one archive.

use crate::chunk_io::{ChunkSink, ChunkSource, Sink, Source};
use crate::codec::Codec;
use btdt_ports::{Digest, IoError, ObjectFault, PutOutcome};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Chunks in their stored form, one after another in a file without a name, which disappears with
/// the process, however that ends.
struct Spool {
    file: File,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// Offset and length of each chunk.
    places: HashMap<Digest, (u64, usize)>,
    /// Where the next one goes.
    end: u64,
}

/// Both ends of a new spool.
pub(super) fn open() -> Result<(Sink, Source), IoError> {
    let spool = Arc::new(Spool::new_in(&tempfile::env::temp_dir())?);
    Ok((Arc::clone(&spool) as Sink, spool as Source))
}

impl Spool {
    fn new_in(directory: &Path) -> Result<Self, IoError> {
        Ok(Spool { file: tempfile::tempfile_in(directory)?, index: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, digest: &Digest) -> Option<(u64, usize)> {
        self.lock().places.get(digest).copied()
    }
}

impl ChunkSink for Spool {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let place = self.place(digest);
        Ok(place.map(|(_, length)| PutOutcome {
            digest: *digest,
            stored_size: length as u64,
            new: false,
        }))
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        if let Some(outcome) = self.existing(digest)? {
            return Ok(outcome);
        }
        let stored = codec.encode(raw)?;
        let stored_size = stored.len() as u64;
        let offset = {
            let mut index = self.lock();
            let offset = index.end;
            index.end += stored_size;
            offset
        };
        self.file.write_all_at(stored, offset)?;
        // Only now can it be read. If two callers wrote the same chunk, either copy will do.
        let before = self.lock().places.insert(*digest, (offset, stored.len()));
        Ok(PutOutcome { digest: *digest, stored_size, new: before.is_none() })
    }
}

impl ChunkSource for Spool {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let (offset, length) = self.place(digest).ok_or(ObjectFault::Missing)?;
        let buffer = codec.load();
        buffer.resize(length, 0);
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| ObjectFault::Unreadable(error.into()))?;
        codec.verify_loaded(digest, u64::from(raw_size))?;
        codec.loaded_of_size(raw_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::sha256;
    use std::thread;

    #[test]
    fn chunks_come_back_and_no_name_is_ever_left() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new_in(directory.path()).unwrap();
        let contents: Vec<Vec<u8>> =
            (0..50_u8).map(|seed| vec![seed; usize::from(seed) * 1000]).collect();
        // All of them on each thread: they meet.
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut codec = Codec::new();
                    for raw in &contents {
                        let digest = sha256(raw);
                        spool.put(&digest, raw, &mut codec).unwrap();
                        let size = raw.len() as u32;
                        assert_eq!(spool.read(&digest, size, &mut codec), Ok(&raw[..]));
                    }
                });
            }
        });
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        let mut codec = Codec::new();
        let known = sha256(&contents[1]);
        assert!(!spool.put(&known, &contents[1], &mut codec).unwrap().new);
        assert!(spool.existing(&known).unwrap().is_some());
        let unknown = sha256(b"other");
        assert_eq!(spool.existing(&unknown), Ok(None));
        assert_eq!(spool.read(&unknown, 5, &mut codec), Err(ObjectFault::Missing));
        assert!(spool.read(&known, 5, &mut codec).is_err(), "of another size");
        assert!(spool.put(&unknown, b"other", &mut codec).unwrap().new);
    }

    #[test]
    fn a_directory_that_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let error = Spool::new_in(&directory.path().join("missing")).err().unwrap();
        assert_eq!(error.kind, btdt_ports::IoErrorKind::NotFound);
    }
}
