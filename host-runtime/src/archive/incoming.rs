//! An incoming archive: headers come out, contents become chunks.

use super::format::MAX_CHUNK;
use super::ingest::Ingest;
use super::input::Input;
use super::members::Members;
use crate::chunk_cutting;
use crate::chunk_io::Sink;
use crate::codec::Compression;
use btdt_ports::{
    ArchiveEntry, ArchiveFault, ArchiveReader, CutSizes, IoError, IoErrorKind, PackedChunk,
};
use std::io::Read;

/// The calls of the caller do not fit together.
const MISUSED: ArchiveFault = ArchiveFault::Sink(IoError::new(IoErrorKind::Unsupported));

/// An incoming tar stream whose contents go into a sink.
///
/// Memory: 4 MiB and the buffers of a codec for each worker that suits the sink, 4 MiB for the
/// chunk being assembled and, during a [`cut`](ArchiveReader::cut), the sum of the largest and the
/// average chunk.
pub struct TarArchive {
    members: Members,
    ingest: Ingest,
    /// The chunk being assembled.
    open: Option<Vec<u8>>,
    /// The first fault, which every later call reports again.
    fault: Option<ArchiveFault>,
}

impl TarArchive {
    /// Reads an archive with the given compression, of at most `limit` uncompressed bytes.
    ///
    /// Errors of `read` that contain a [`TransportError`](super::TransportError) are passed on. The
    /// input is read to its end: an end before that of the archive is a fault, and so is an error
    /// after it.
    ///
    /// # Errors
    /// When there is no memory for a decompressor.
    pub fn new(
        read: Box<dyn Read + Send>,
        compression: Compression,
        sink: Sink,
        limit: u64,
    ) -> Result<Self, ArchiveFault> {
        let members = Members::new(Input::new(read, compression, limit)?);
        Ok(TarArchive { members, ingest: Ingest::start(sink), open: None, fault: None })
    }

    /// Runs a step unless an earlier one failed: the position in the archive is lost then.
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, ArchiveFault>,
    ) -> Result<T, ArchiveFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        step(self).inspect_err(|fault| self.fault = Some(fault.clone()))
    }

    fn append_content(&mut self) -> Result<(), ArchiveFault> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.ingest.buffer()?,
        };
        let left = self.members.left();
        if open.len() as u64 + left > u64::from(MAX_CHUNK) {
            return Err(ArchiveFault::TooLarge);
        }
        self.members.append(&mut open, left)?;
        self.open = Some(open);
        Ok(())
    }

    fn cut_content(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault> {
        let TarArchive { members, ingest, .. } = self;
        if length == 0
            || length > members.left()
            || sizes.maximum > MAX_CHUNK
            || !chunk_cutting::are_usable(sizes)
        {
            return Err(MISUSED);
        }
        let mut window = Vec::new();
        chunk_cutting::cut(
            &mut window,
            sizes,
            length,
            |window, wanted| members.append(window, wanted as u64),
            |chunk| {
                let mut raw = ingest.buffer()?;
                raw.extend_from_slice(chunk);
                ingest.submit(raw)
            },
        )?;
        self.ingest.end_group();
        Ok(())
    }
}

impl ArchiveReader for TarArchive {
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault> {
        self.step(|archive| archive.members.next())
    }

    fn append(&mut self) -> Result<(), ArchiveFault> {
        self.step(TarArchive::append_content)
    }

    fn seal(&mut self) -> Result<(), ArchiveFault> {
        self.step(|archive| match archive.open.take() {
            Some(open) if !open.is_empty() => {
                archive.ingest.submit(open)?;
                archive.ingest.end_group();
                Ok(())
            }
            _ => Err(MISUSED),
        })
    }

    fn cut(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault> {
        self.step(|archive| archive.cut_content(length, sizes))
    }

    fn finish(mut self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        // Only its end shows that the archive is complete.
        while self.next()?.is_some() {}
        if self.open.as_ref().is_some_and(|open| !open.is_empty()) {
            return Err(MISUSED);
        }
        self.ingest.finish()
    }
}
