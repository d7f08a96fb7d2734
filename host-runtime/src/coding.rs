//! The content codings of HTTP, for bodies that are in memory as a whole.

use crate::storage::codec::Compression;
use crate::zstandard;
use flate2::bufread::MultiGzDecoder;
use std::io::Read;

/// The largest window that a sender may demand, as binary logarithm: what the specification of
/// the content coding `zstd` (RFC 9659) allows.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// Why a body is not decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingFault {
    /// It is not compressed as announced, or incomplete.
    #[error("it does not decompress")]
    Invalid,
    /// It is larger than the caller takes.
    #[error("it is larger than allowed")]
    TooLarge,
}

/// Decompresses to no more than `limit` bytes. What is not compressed is given back as it is.
///
/// # Errors
/// See [`CodingFault`].
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
