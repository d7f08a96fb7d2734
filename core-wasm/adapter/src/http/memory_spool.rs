//! Memory for the chunks of one archive, since WASI has no directory for temporary files.

use btdt_host_runtime::chunk_io::{ChunkSink, ChunkSource, Sink, Source};
use btdt_host_runtime::codec::Codec;
use btdt_ports::{Digest, IoError, IoErrorKind, ObjectFault, PutOutcome};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most that a spool holds, in bytes of the stored form. A component has 4 GiB in all.
const MAX_SPOOLED: usize = 1 << 30;

#[derive(Default)]
struct Spooled {
    chunks: HashMap<Digest, Vec<u8>>,
    bytes: usize,
}

/// Chunks in their stored form.
struct Spool {
    spooled: Mutex<Spooled>,
    limit: usize,
}

/// Both ends of a new spool.
pub(crate) fn open() -> (Sink, Source) {
    let spool = Arc::new(Spool { spooled: Mutex::default(), limit: MAX_SPOOLED });
    (Arc::clone(&spool) as Sink, spool as Source)
}

impl Spool {
    fn lock(&self) -> MutexGuard<'_, Spooled> {
        self.spooled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChunkSink for Spool {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        let spooled = self.lock();
        let stored = spooled.chunks.get(digest);
        Ok(stored.map(|stored| PutOutcome {
            digest: *digest,
            stored_size: stored.len() as u64,
            new: false,
        }))
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        let stored = codec.encode(raw)?;
        let stored_size = stored.len() as u64;
        let mut spooled = self.lock();
        if spooled.chunks.contains_key(digest) {
            return Ok(PutOutcome { digest: *digest, stored_size, new: false });
        }
        if spooled.bytes + stored.len() > self.limit {
            return Err(IoError::new(IoErrorKind::NoSpace));
        }
        spooled.bytes += stored.len();
        spooled.chunks.insert(*digest, stored.to_vec());
        Ok(PutOutcome { digest: *digest, stored_size, new: true })
    }
}

impl ChunkSource for Spool {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        let spooled = self.lock();
        let stored = spooled.chunks.get(digest).ok_or(ObjectFault::Missing)?;
        codec.load().extend_from_slice(stored);
        codec.verify_loaded(digest, u64::from(raw_size))?;
        codec.loaded_of_size(raw_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btdt_host_runtime::codec::sha256;

    #[test]
    fn chunks_come_back_until_the_spool_is_full() {
        let spool = Spool { spooled: Mutex::default(), limit: 100 };
        let mut codec = Codec::new();
        let small = b"some content".as_slice();
        let digest = sha256(small);
        assert!(spool.put(&digest, small, &mut codec).unwrap().new);
        assert!(!spool.put(&digest, small, &mut codec).unwrap().new);
        assert!(spool.existing(&digest).unwrap().is_some());
        // Does not shrink.
        let large: Vec<u8> = (0..=255).collect();
        let full = spool.put(&sha256(&large), &large, &mut codec).unwrap_err();
        assert_eq!(full.kind, IoErrorKind::NoSpace);
        assert_eq!(spool.read(&digest, 12, &mut codec), Ok(small));
        assert_eq!(spool.read(&sha256(&large), 256, &mut codec), Err(ObjectFault::Missing));
        assert!(spool.read(&digest, 13, &mut codec).is_err());
    }
}
