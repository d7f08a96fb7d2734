//! The stored form of an object: a header and a payload, compressed if that pays.
//!
//! ```text
//! offset  bytes  content
//!      0      4  magic "BTDT"
//!      4      1  version of this form: 1
//!      5      1  codec of the payload: 0 none, 1 zstd, 2 gzip
//!      6      2  reserved: zero
//!      8      4  length of the raw content, little-endian
//!     12      4  length of the payload, little-endian
//!     16         payload, up to the end
//! ```
//!
//! The payload is never empty: empty content is stored as an empty zstd frame. So a file no larger
//! than a header is what a power failure left of an object, and a single `stat` tells. The digest
//! of the raw content is not in the header: it is the object's name.

/// How content is compressed.
pub use btdt_ports::StoredCodec as Compression;

use crate::zstandard::{self, Compressor, Decompressor};
use btdt_ports::{Damage, Digest, IoError, IoErrorKind, ObjectFault};
use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};
use std::io::Read;

/// Length of the header in bytes. No intact object is as short as this.
pub const HEADER_SIZE: usize = 16;

/// Largest raw content with a stored form, in bytes: the limit of the header.
pub const MAX_RAW_SIZE: u64 = u32::MAX as u64;

/// The zstd level for new objects.
pub const DEFAULT_LEVEL: i32 = 3;

const MAGIC: [u8; 4] = *b"BTDT";
const VERSION: u8 = 1;

/// A zstd block has at most 128 KiB of content, and at least 4 bytes.
const MAX_ZSTD_RATIO: usize = 128 * 1024 / 4;

/// Compression must save one byte in this many to be worth the time to decompress.
const USEFUL_SAVING: usize = 32;

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

/// Largest stored form of content of at most `raw_size` bytes, in bytes. Content that does not
/// shrink is stored as it is, which adds little more than the header; the rest allows for other
/// writers, whose gzip adds 5 bytes to every 64 KiB or less.
#[must_use]
pub fn max_stored_size(raw_size: u64) -> u64 {
    raw_size.saturating_add(raw_size / 128).saturating_add(1024 + HEADER_SIZE as u64)
}

/// Compresses, decompresses and verifies objects, reusing its contexts and buffers. One per worker:
/// at most some megabytes, as needed by the largest object so far.
pub struct Codec {
    level: i32,
    compressor: Option<Compressor>,
    decompressor: Option<Decompressor>,
    /// A stored form: encoded or loaded.
    stored: Vec<u8>,
    /// Decompressed content.
    raw: Vec<u8>,
    /// Where the content of the object decoded last is.
    place: Place,
}

/// Where the raw content of a stored form is.
#[derive(Clone, Copy)]
enum Place {
    /// It is the payload itself.
    Payload,
    /// It was decompressed.
    Decompressed,
}

impl Default for Codec {
    fn default() -> Self {
        Codec::new()
    }
}

impl Codec {
    /// A codec of the default level. Allocates on first use.
    #[must_use]
    pub const fn new() -> Self {
        Codec::with_level(DEFAULT_LEVEL)
    }

    /// A codec that compresses at zstd level `level`.
    #[must_use]
    pub const fn with_level(level: i32) -> Self {
        Codec {
            level,
            compressor: None,
            decompressor: None,
            stored: Vec::new(),
            raw: Vec::new(),
            place: Place::Decompressed,
        }
    }

    /// The whole stored form of `raw`.
    ///
    /// # Errors
    /// [`IoErrorKind::TooLarge`] beyond [`MAX_RAW_SIZE`].
    pub fn encode(&mut self, raw: &[u8]) -> Result<&[u8], IoError> {
        let too_large = |_| IoError::new(IoErrorKind::TooLarge);
        let raw_size = u32::try_from(raw.len()).map_err(too_large)?;
        let compressed = self.compress(raw);
        let useful = raw.len() - raw.len() / USEFUL_SAVING;
        let codec = match compressed {
            Some(size) if size < useful || raw.is_empty() => Compression::Zstd,
            _ => {
                self.stored.resize(HEADER_SIZE, 0);
                self.stored.extend_from_slice(raw);
                Compression::None
            }
        };
        let payload_size = u32::try_from(self.stored.len() - HEADER_SIZE).map_err(too_large)?;
        let header = StoredHeader { codec, raw_size, payload_size };
        self.stored[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
        Ok(&self.stored)
    }

    /// Compresses to `stored`, after the space for the header. Returns the size of the payload, or
    /// `None` if zstd failed.
    fn compress(&mut self, raw: &[u8]) -> Option<usize> {
        if self.compressor.is_none() {
            self.compressor = Some(Compressor::new(self.level)?);
        }
        self.stored.clear();
        self.stored.resize(HEADER_SIZE, 0);
        self.compressor.as_mut()?.append(raw, &mut self.stored)
    }

    /// The raw content of a stored form, of at most `limit` bytes. Its digest is not verified.
    ///
    /// # Errors
    /// [`ObjectFault::Damaged`] or [`ObjectFault::TooLarge`].
    pub fn decode<'a>(&'a mut self, stored: &'a [u8], limit: u64) -> Result<&'a [u8], ObjectFault> {
        let place = decode_into(&mut self.decompressor, &mut self.raw, stored, limit)?;
        Ok(content(place, stored, &self.raw))
    }

    /// The raw content of a stored form, of at most `limit` bytes, whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// [`ObjectFault::Damaged`] or [`ObjectFault::TooLarge`].
    pub fn decode_verified<'a>(
        &'a mut self,
        digest: &Digest,
        stored: &'a [u8],
        limit: u64,
    ) -> Result<&'a [u8], ObjectFault> {
        let raw = self.decode(stored, limit)?;
        verify(digest, raw)?;
        Ok(raw)
    }

    /// The cleared buffer for a stored form: the caller fills it for [`Codec::decode_loaded`].
    pub fn load(&mut self) -> &mut Vec<u8> {
        self.stored.clear();
        &mut self.stored
    }

    /// Like [`Codec::decode_verified`], for the buffer of [`Codec::load`].
    ///
    /// # Errors
    /// [`ObjectFault::Damaged`] or [`ObjectFault::TooLarge`].
    pub fn decode_loaded(&mut self, digest: &Digest, limit: u64) -> Result<&[u8], ObjectFault> {
        self.verify_loaded(digest, limit)?;
        Ok(self.loaded())
    }

    /// Frees buffers that have grown beyond `limit` bytes.
    pub fn shrink(&mut self, limit: usize) {
        for buffer in [&mut self.stored, &mut self.raw] {
            if buffer.capacity() > limit {
                *buffer = Vec::new();
            }
        }
        self.place = Place::Decompressed;
        self.raw.clear();
    }

    /// Frees the stored form, if the content is elsewhere.
    pub(crate) fn drop_stored(&mut self) {
        if matches!(self.place, Place::Decompressed) {
            self.stored = Vec::new();
        }
    }

    /// The first half of [`Codec::decode_loaded`], for a caller that has alternatives if it fails.
    ///
    /// # Errors
    /// [`ObjectFault::Damaged`] or [`ObjectFault::TooLarge`].
    pub fn verify_loaded(&mut self, digest: &Digest, limit: u64) -> Result<(), ObjectFault> {
        self.place = decode_into(&mut self.decompressor, &mut self.raw, &self.stored, limit)?;
        verify(digest, self.loaded())
    }

    /// The content that [`Codec::decode_loaded`] decoded last, for a caller that has passed the
    /// codec on.
    #[must_use]
    pub fn loaded(&self) -> &[u8] {
        content(self.place, &self.stored, &self.raw)
    }

    /// Whether `stored` is the stored form of at most `limit` bytes with this digest, and may be
    /// stored as it is.
    pub(super) fn check_stored(
        &mut self,
        digest: &Digest,
        stored: &[u8],
        limit: u64,
    ) -> Result<(), ObjectFault> {
        let raw = self.decode_verified(digest, stored, limit)?;
        // An empty payload would look like the result of a power failure. And zstd accepts any
        // number of empty frames, more than a reader would load.
        let size = stored.len() as u64;
        let usual = size > HEADER_SIZE as u64 && size <= max_stored_size(raw.len() as u64);
        if usual { Ok(()) } else { Err(ObjectFault::Damaged(Damage::Length)) }
    }

    /// Like [`Codec::loaded`], but checks the size.
    ///
    /// # Errors
    /// [`ObjectFault::Damaged`] if it has another size.
    pub fn loaded_of_size(&self, raw_size: u32) -> Result<&[u8], ObjectFault> {
        let raw = self.loaded();
        let agreed = raw.len() as u64 == u64::from(raw_size);
        if agreed { Ok(raw) } else { Err(ObjectFault::Damaged(Damage::Length)) }
    }
}

fn content<'a>(place: Place, stored: &'a [u8], raw: &'a [u8]) -> &'a [u8] {
    match place {
        Place::Payload => stored.get(HEADER_SIZE..).unwrap_or_default(),
        Place::Decompressed => raw,
    }
}

fn verify(digest: &Digest, raw: &[u8]) -> Result<(), ObjectFault> {
    if sha256(raw) == *digest { Ok(()) } else { Err(ObjectFault::Damaged(Damage::Content)) }
}

fn decode_into(
    decompressor: &mut Option<Decompressor>,
    raw: &mut Vec<u8>,
    stored: &[u8],
    limit: u64,
) -> Result<Place, ObjectFault> {
    let (header, payload) = StoredHeader::split(stored)?;
    if u64::from(header.raw_size) > limit {
        return Err(ObjectFault::TooLarge);
    }
    if u64::from(header.payload_size) != payload.len() as u64 {
        return Err(ObjectFault::Damaged(Damage::Length));
    }
    let unusable = ObjectFault::Damaged(Damage::Payload);
    let raw_size = usize::try_from(header.raw_size).map_err(|_| ObjectFault::TooLarge)?;
    raw.clear();
    match header.codec {
        Compression::None if payload.len() == raw_size => return Ok(Place::Payload),
        Compression::None => return Err(ObjectFault::Damaged(Damage::Length)),
        Compression::Zstd => {
            if decompressor.is_none() {
                *decompressor = Decompressor::new();
            }
            let context = decompressor.as_mut().ok_or(unusable)?;
            if !is_plausible_frame(payload, raw_size) {
                return Err(unusable);
            }
            context.decompress(payload, raw_size, raw).ok_or(unusable)?;
        }
        Compression::Gzip => gunzip(payload, raw_size, raw).ok_or(unusable)?,
    }
    if raw.len() == raw_size { Ok(Place::Decompressed) } else { Err(unusable) }
}

/// Whether `payload` can be one zstd frame of this much content: checked before allocating what a
/// damaged header demands.
fn is_plausible_frame(payload: &[u8], raw_size: usize) -> bool {
    let possible = raw_size / MAX_ZSTD_RATIO <= payload.len();
    let stated = zstandard::stated_size(payload);
    possible && stated.is_ok_and(|size| size.is_none_or(|size| size == raw_size as u64))
}

/// Decompresses one gzip member, which must be all of `payload`, to at most one byte beyond
/// `raw_size`.
fn gunzip(payload: &[u8], raw_size: usize, raw: &mut Vec<u8>) -> Option<()> {
    raw.reserve_exact(raw_size + 1);
    let mut decoder = GzDecoder::new(payload);
    (&mut decoder).take(raw_size as u64 + 1).read_to_end(raw).ok()?;
    decoder.into_inner().is_empty().then_some(())
}

/// The variable part of the header of a stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredHeader {
    /// How the payload is compressed.
    pub codec: Compression,
    /// Bytes of raw content.
    pub raw_size: u32,
    /// Length of the payload in bytes.
    pub payload_size: u32,
}

impl StoredHeader {
    /// Parses the header at the beginning of a stored form of `size` bytes.
    ///
    /// # Errors
    /// [`ObjectFault::Damaged`] if it is malformed or does not match the size.
    pub fn of(beginning: &[u8], size: u64) -> Result<Self, ObjectFault> {
        let (header, _) = StoredHeader::split(beginning)?;
        let whole = u64::from(header.payload_size) + HEADER_SIZE as u64 == size;
        if whole { Ok(header) } else { Err(ObjectFault::Damaged(Damage::Length)) }
    }

    fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = match self.codec {
            Compression::None => 0,
            Compression::Zstd => 1,
            Compression::Gzip => 2,
        };
        bytes[8..12].copy_from_slice(&self.raw_size.to_le_bytes());
        bytes[12..].copy_from_slice(&self.payload_size.to_le_bytes());
        bytes
    }

    /// The header and the rest.
    fn split(stored: &[u8]) -> Result<(StoredHeader, &[u8]), ObjectFault> {
        let Some((header, payload)) = stored.split_first_chunk::<HEADER_SIZE>() else {
            return Err(ObjectFault::Damaged(Damage::Length));
        };
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let codec = match header[5] {
            0 => Some(Compression::None),
            1 => Some(Compression::Zstd),
            2 => Some(Compression::Gzip),
            _ => None,
        };
        let valid = header[..4] == MAGIC && header[4] == VERSION && header[6..8] == [0, 0];
        match codec.filter(|_| valid) {
            Some(codec) => {
                Ok((StoredHeader { codec, raw_size: word(8), payload_size: word(12) }, payload))
            }
            None => Err(ObjectFault::Damaged(Damage::Header)),
        }
    }
}
