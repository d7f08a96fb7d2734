//! Decompresses the bodies of responses.

use crate::codec::Compression;
use crate::content_coding::{CodingFault, decompress};
use btdt_ports::{HttpError, HttpErrorKind};

/// The meaning of `Content-Encoding`; `None` where it is unknown.
pub(super) fn compression(value: Option<&[u8]>) -> Option<Compression> {
    match value.unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Some(Compression::None),
        b"gzip" | b"x-gzip" => Some(Compression::Gzip),
        b"zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

/// Decompresses a body to at most `limit` bytes. `collect` reads it as it is sent, up to as many
/// bytes as it is told. `from` names the server.
pub(super) fn decoded(
    from: &str,
    encoding: Option<&[u8]>,
    limit: u64,
    collect: impl FnOnce(u64) -> Result<Vec<u8>, HttpError>,
) -> Result<Vec<u8>, HttpError> {
    let error = |kind, why: &str| HttpError { kind, detail: format!("the answer of {from} {why}") };
    let Some(compression) = compression(encoding) else {
        return Err(error(HttpErrorKind::Protocol, "is compressed in an unknown way"));
    };
    // Content that does not shrink grows a little.
    let compressed_limit = match compression {
        Compression::None => limit,
        _ => limit.saturating_add(limit / 128).saturating_add(1024),
    };
    let bytes = collect(compressed_limit)?;
    let invalid = || error(HttpErrorKind::Interrupted, "does not decompress");
    // Even a complete stream of nothing is some bytes long.
    if bytes.is_empty() && compression != Compression::None {
        return Err(invalid());
    }
    decompress(bytes, compression, limit).map_err(|fault| match fault {
        CodingFault::TooLarge => {
            error(HttpErrorKind::TooLarge, &format!("is larger than {limit} bytes"))
        }
        CodingFault::Invalid => invalid(),
    })
}
