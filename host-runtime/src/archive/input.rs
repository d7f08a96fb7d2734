//! The bytes of an incoming archive: read from the transport, decompressed and counted.

use super::format::BLOCK;
use crate::codec::Compression;
use crate::content_coding::MAX_ZSTD_WINDOW_LOG;
use crate::zstandard;
use btdt_ports::{ArchiveFault, HttpError, HttpErrorKind};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Bytes per read: headers are small.
const BUFFER: usize = 128 << 10;

/// A transport error, wrapped in [`io::Error::other`] so that it passes through a reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub HttpError);

impl TransportError {
    /// The transport error in an error of a reader, if there is one.
    fn find(error: &io::Error) -> Option<&TransportError> {
        error.get_ref()?.downcast_ref()
    }
}

/// Marks every error as one of the transport, to tell it from those of a decompressor.
struct Transport(Box<dyn Read + Send>);

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if TransportError::find(&error).is_none() => {
                    let kind = match error.kind() {
                        ErrorKind::TimedOut | ErrorKind::WouldBlock => HttpErrorKind::TimedOut,
                        _ => HttpErrorKind::Interrupted,
                    };
                    let detail = error.to_string();
                    return Err(io::Error::other(TransportError(HttpError { kind, detail })));
                }
                result => return result,
            }
        }
    }
}

/// Classifies an error of the chain of readers.
fn fault(error: &io::Error) -> ArchiveFault {
    match (TransportError::find(error), error.kind()) {
        (Some(TransportError(error)), _) => ArchiveFault::Interrupted(error.clone()),
        (None, ErrorKind::UnexpectedEof) => ArchiveFault::Truncated,
        (None, _) => ArchiveFault::Malformed,
    }
}

/// An archive as bytes.
pub(super) struct Input {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Bytes that are still allowed.
    left: u64,
}

impl Input {
    /// Decompresses to at most `limit` bytes.
    pub(super) fn new(
        read: Box<dyn Read + Send>,
        compression: Compression,
        limit: u64,
    ) -> Result<Self, ArchiveFault> {
        let transport = Transport(read);
        let buffered = |transport| BufReader::with_capacity(BUFFER, transport);
        let decoded: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(transport),
            Compression::Gzip => Box::new(MultiGzDecoder::new(buffered(transport))),
            Compression::Zstd => {
                let decoder = zstandard::reader(buffered(transport), MAX_ZSTD_WINDOW_LOG);
                Box::new(decoder.map_err(|error| fault(&error))?)
            }
        };
        Ok(Input { reader: BufReader::with_capacity(BUFFER, decoded), left: limit })
    }

    /// The next block; `None` at the end.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveFault> {
        if self.is_at_end()? {
            return Ok(None);
        }
        self.count(BLOCK as u64)?;
        let mut block = [0; BLOCK];
        self.reader.read_exact(&mut block).map_err(|error| fault(&error))?;
        Ok(Some(block))
    }

    /// Appends the next `length` bytes.
    pub(super) fn append(&mut self, output: &mut Vec<u8>, length: u64) -> Result<(), ArchiveFault> {
        self.count(length)?;
        output.reserve(usize::try_from(length).map_err(|_| ArchiveFault::TooLarge)?);
        let read = (&mut self.reader).take(length).read_to_end(output);
        if read.map_err(|error| fault(&error))? as u64 == length {
            Ok(())
        } else {
            Err(ArchiveFault::Truncated)
        }
    }

    /// Skips the next `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), ArchiveFault> {
        self.count(length)?;
        let mut left = length;
        while left > 0 {
            let available = self.fill()?;
            if available == 0 {
                return Err(ArchiveFault::Truncated);
            }
            let amount = usize::try_from(left).unwrap_or(usize::MAX).min(available);
            self.reader.consume(amount);
            left -= amount as u64;
        }
        Ok(())
    }

    /// Reads what follows the archive, in whole blocks: usually the padding of a tape. Only the end
    /// of the input proves that transfer and decompression succeeded.
    pub(super) fn drain(&mut self) -> Result<(), ArchiveFault> {
        while self.block()?.is_some() {}
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, ArchiveFault> {
        Ok(self.fill()? == 0)
    }

    /// The number of buffered bytes; reads more if there are none.
    fn fill(&mut self) -> Result<usize, ArchiveFault> {
        loop {
            match self.reader.fill_buf() {
                Ok(buffer) => return Ok(buffer.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(fault(&error)),
            }
        }
    }

    fn count(&mut self, length: u64) -> Result<(), ArchiveFault> {
        self.left = self.left.checked_sub(length).ok_or(ArchiveFault::TooLarge)?;
        Ok(())
    }
}
