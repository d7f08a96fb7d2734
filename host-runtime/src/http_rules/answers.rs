//! How the bodies of answers are read.

use crate::codec::Compression;
use crate::content_coding::{CodingFault, decompress};
use btdt_ports::{HttpError, HttpErrorKind};

/// As much is allocated at once for a length that a server states.
pub const MAX_TRUSTED_LENGTH: u64 = 8 * 1024 * 1024;

/// Whether a header, named in lower case, has to be the same when a body is asked for again.
#[must_use]
pub fn is_identity(name: &str) -> bool {
    name.starts_with("btdt-") || matches!(name, "content-type" | "content-encoding" | "etag")
}

/// What a value of `Content-Encoding` says; `None` where nobody here knows it.
#[must_use]
pub fn compression(value: Option<&[u8]>) -> Option<Compression> {
    match value.unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Some(Compression::None),
        b"gzip" | b"x-gzip" => Some(Compression::Gzip),
        b"zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

/// Whether an answer has no body, whatever its headers say.
#[must_use]
pub fn is_bodiless(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 204 | 304)
}

/// Reads a body of at most `limit` bytes, decompressed, that `collect` gets as it comes: of at
/// most as many bytes as it is told. `from` is whom it comes from.
///
/// # Errors
/// Those of `collect`; else when the body does not decompress, or to more than `limit` bytes.
pub fn decoded(
    from: &str,
    encoding: Option<&[u8]>,
    limit: u64,
    collect: impl FnOnce(u64) -> Result<Vec<u8>, HttpError>,
) -> Result<Vec<u8>, HttpError> {
    let error = |kind, why: &str| HttpError { kind, detail: format!("the answer of {from} {why}") };
    let Some(compression) = compression(encoding) else {
        return Err(error(HttpErrorKind::Protocol, "is compressed in an unknown way"));
    };
    // What does not shrink grows a little.
    let compressed_limit = match compression {
        Compression::None => limit,
        _ => limit.saturating_add(limit / 128).saturating_add(1024),
    };
    let bytes = collect(compressed_limit)?;
    let invalid = || error(HttpErrorKind::Interrupted, "does not decompress");
    // A complete stream of nothing is some bytes long.
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
