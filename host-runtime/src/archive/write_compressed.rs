//! Compression of outgoing archives.

use super::stream::TarReader;
use super::stream_fault::StreamFault;
use crate::codec::Compression;
use crate::zstandard;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// A level at which one core keeps up with most networks.
const ZSTD_LEVEL: i32 = 1;

/// Why an archive was not written completely.
#[derive(Debug, thiserror::Error)]
pub enum WriteFault {
    /// It cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamFault),
    /// Writing failed.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Writes a whole archive with the given compression. Does not flush `to`.
pub fn write_compressed(
    reader: &mut TarReader,
    compression: Compression,
    to: &mut impl Write,
) -> Result<(), WriteFault> {
    match compression {
        Compression::None => copy(reader, to),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(to, flate2::Compression::fast());
            copy(reader, &mut encoder)?;
            encoder.finish()?;
            Ok(())
        }
        Compression::Zstd => {
            zstandard::write_frame(to, ZSTD_LEVEL, |encoder| copy(reader, encoder))
        }
    }
}

fn copy(reader: &mut TarReader, to: &mut (impl Write + ?Sized)) -> Result<(), WriteFault> {
    let mut block = Vec::new();
    while reader.next_block(&mut block)? {
        to.write_all(&block)?;
    }
    Ok(())
}
