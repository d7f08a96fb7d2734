//! Content codings of HTTP, for bodies that are completely in memory.

use crate::codec::Compression;
use crate::zstandard;
use flate2::bufread::MultiGzDecoder;
use std::io::Read;

/// The binary logarithm of the largest window that a sender may demand: the limit for the content
/// coding `zstd` (RFC 9659).
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// Why a body cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingFault {
    /// It is malformed or incomplete.
    #[error("it does not decompress")]
    Invalid,
    /// It is larger than the limit.
    #[error("it is larger than allowed")]
    TooLarge,
}

/// Decompresses to at most `limit` bytes. An uncompressed body is returned unchanged.
pub fn decompress(
    body: Vec<u8>,
    compression: Compression,
    limit: u64,
) -> Result<Vec<u8>, CodingFault> {
    let mut raw = Vec::new();
    let most = limit.saturating_add(1);
    let read = match compression {
        Compression::None => return Ok(body),
        Compression::Gzip => MultiGzDecoder::new(body.as_slice()).take(most).read_to_end(&mut raw),
        Compression::Zstd => zstandard::reader(body.as_slice(), MAX_ZSTD_WINDOW_LOG)
            .and_then(|decoder| decoder.take(most).read_to_end(&mut raw)),
    };
    match read {
        Err(_) => Err(CodingFault::Invalid),
        Ok(_) if raw.len() as u64 > limit => Err(CodingFault::TooLarge),
        Ok(_) => Ok(raw),
    }
}
