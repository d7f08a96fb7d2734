//! The encoded form of a manifest: CBOR (RFC 8949), described in `docs/format.md`.
//!
//! A map with the keys `format`, `version`, `digests` (of all chunks, concatenated), `sizes` (raw,
//! of all chunks) and `entries`, in this order, so that chunks can be read without the tree. Each
//! entry is an array that starts with its kind. Encoding is deterministic: equal trees have equal
//! manifests, and thus equal digests.

use super::builder::Builder;
use super::model::{ChunkRef, Content, Extent, Manifest, ManifestFault, Node};
use btdt_ports::{Digest, Timestamp};
use cbor4ii::core::dec::{self, Decode, IgnoredAny, Read as _};
use cbor4ii::core::enc::{self, Encode as _};
use cbor4ii::core::types::{Array, Bytes, Map, Null};
use cbor4ii::core::utils::{BufWriter, SliceReader};
use std::collections::TryReserveError;

const FORMAT: &str = "btdt manifest";
const VERSION: u32 = 1;

/// Size of the smallest valid entry in bytes: a hard link with a name of one byte.
const SMALLEST_ENTRY: usize = 6;

const DIRECTORY: u8 = 0;
const FILE: u8 = 1;
const SYMLINK: u8 = 2;
const HARD_LINK: u8 = 3;

/// Encodes a manifest.
///
/// # Errors
/// [`ManifestFault::TooLarge`] if memory does not suffice.
pub fn encode(manifest: &Manifest) -> Result<Vec<u8>, ManifestFault> {
    // About 40 bytes per node: a good guess avoids growing, which doubles the peak.
    let guess = 64 + manifest.chunks.len() * 38 + manifest.nodes.len() * 32 + manifest.text.len();
    let mut writer = BufWriter::new(Vec::with_capacity(guess));
    write(manifest, &mut writer).map_err(|_| ManifestFault::TooLarge)?;
    Ok(writer.into_inner())
}

fn write(manifest: &Manifest, writer: &mut BufWriter) -> Result<(), enc::Error<TryReserveError>> {
    let digests: Vec<u8> =
        manifest.chunks.iter().flat_map(|chunk| chunk.digest.to_bytes()).collect();
    Map::bounded(5, writer)?;
    "format".encode(writer)?;
    FORMAT.encode(writer)?;
    "version".encode(writer)?;
    VERSION.encode(writer)?;
    "digests".encode(writer)?;
    Bytes(digests.as_slice()).encode(writer)?;
    drop(digests);
    "sizes".encode(writer)?;
    Array::bounded(manifest.chunks.len(), writer)?;
    for chunk in &manifest.chunks {
        chunk.raw_size.encode(writer)?;
    }
    "entries".encode(writer)?;
    Array::bounded(manifest.nodes.len(), writer)?;
    for (_, node) in manifest.nodes() {
        write_entry(&node, writer)?;
    }
    Ok(())
}

fn write_entry(node: &Node<'_>, writer: &mut BufWriter) -> Result<(), enc::Error<TryReserveError>> {
    let (kind, fields) = match node.content {
        Content::Directory => (DIRECTORY, 6),
        Content::File(_) => (FILE, 7),
        Content::Symlink(_) => (SYMLINK, 6),
        Content::HardLink(_) => (HARD_LINK, 4),
    };
    Array::bounded(fields, writer)?;
    kind.encode(writer)?;
    node.parent.encode(writer)?;
    Bytes(node.name).encode(writer)?;
    match node.content {
        Content::Directory | Content::File(_) => match node.mode {
            Some(mode) => mode.encode(writer)?,
            None => Null.encode(writer)?,
        },
        Content::Symlink(target) => Bytes(target).encode(writer)?,
        Content::HardLink(target) => return target.encode(writer),
    }
    node.modified.seconds.encode(writer)?;
    node.modified.nanoseconds.encode(writer)?;
    if let Content::File(extents) = node.content {
        Array::bounded(3 * extents.len(), writer)?;
        for Extent { chunk, offset, length } in extents {
            chunk.encode(writer)?;
            offset.encode(writer)?;
            length.encode(writer)?;
        }
    }
    Ok(())
}

/// Decodes and checks a manifest.
pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
    read(bytes, true)?.finish()
}

/// Decodes only the chunks of a manifest, skipping its tree.
pub fn decode_chunks(bytes: &[u8]) -> Result<Vec<ChunkRef>, ManifestFault> {
    Ok(read(bytes, false)?.manifest.chunks)
}

fn read(bytes: &[u8], entries: bool) -> Result<Builder, ManifestFault> {
    let mut decoder = Decoder(SliceReader::new(bytes));
    let mut map = Map::len(&mut decoder.0).map_err(malformed)?;
    decoder.key(&mut map, "format")?;
    if decoder.value::<&str>()? != FORMAT {
        return Err(ManifestFault::Malformed);
    }
    decoder.key(&mut map, "version")?;
    let version: u32 = decoder.value()?;
    if version != VERSION {
        return Err(ManifestFault::Version(version));
    }
    decoder.key(&mut map, "digests")?;
    let Bytes::<&[u8]>(digests) = decoder.value()?;
    decoder.key(&mut map, "sizes")?;
    let sizes: Vec<u32> = decoder.value()?;
    if digests.len() != sizes.len() * Digest::LENGTH {
        return Err(ManifestFault::Malformed);
    }
    let mut builder = Builder::new();
    for (digest, raw_size) in digests.chunks_exact(Digest::LENGTH).zip(sizes) {
        let digest = Digest::new(digest.try_into().map_err(|_| ManifestFault::Malformed)?);
        builder.add_chunk(ChunkRef { digest, raw_size })?;
    }
    decoder.key(&mut map, "entries")?;
    if entries {
        let mut items = decoder.array()?;
        // The announced length comes from outside: trust it only as far as the input can hold it.
        builder.reserve(items.unwrap_or(0).min(bytes.len() / SMALLEST_ENTRY));
        let mut extents = Vec::new();
        while decoder.more(&mut items)? {
            decoder.entry(&mut builder, &mut extents)?;
        }
    } else {
        decoder.value::<IgnoredAny>()?;
    }
    let more = decoder.more(&mut map)?;
    let rest = decoder.0.fill(1).map_err(|_| ManifestFault::Malformed)?;
    if more || !rest.as_ref().is_empty() { Err(ManifestFault::Malformed) } else { Ok(builder) }
}

/// The number of items left in an array or map; `None` if a break marks its end.
type Left = Option<usize>;

struct Decoder<'bytes>(SliceReader<'bytes>);

impl<'bytes> Decoder<'bytes> {
    fn value<T: Decode<'bytes>>(&mut self) -> Result<T, ManifestFault> {
        T::decode(&mut self.0).map_err(malformed)
    }

    fn array(&mut self) -> Result<Left, ManifestFault> {
        Array::len(&mut self.0).map_err(malformed)
    }

    /// Whether another item follows.
    fn more(&mut self, left: &mut Left) -> Result<bool, ManifestFault> {
        match left {
            None => dec::is_break(&mut self.0).map(|ends| !ends).map_err(malformed),
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
        }
    }

    fn item<T: Decode<'bytes>>(&mut self, left: &mut Left) -> Result<T, ManifestFault> {
        if self.more(left)? { self.value() } else { Err(ManifestFault::Malformed) }
    }

    fn key(&mut self, left: &mut Left, key: &str) -> Result<(), ManifestFault> {
        if self.item::<&str>(left)? == key { Ok(()) } else { Err(ManifestFault::Malformed) }
    }

    fn timestamp(&mut self, left: &mut Left) -> Result<Timestamp, ManifestFault> {
        Ok(Timestamp { seconds: self.item(left)?, nanoseconds: self.item(left)? })
    }

    /// Adds the next entry. `extents` is reused from entry to entry.
    fn entry(
        &mut self,
        builder: &mut Builder,
        extents: &mut Vec<Extent>,
    ) -> Result<(), ManifestFault> {
        let fields = &mut self.array()?;
        let kind: u8 = self.item(fields)?;
        let parent: u32 = self.item(fields)?;
        let Bytes::<&[u8]>(name) = self.item(fields)?;
        let mut mode = None;
        let mut modified = Timestamp::default();
        let content = match kind {
            DIRECTORY | FILE => {
                mode = self.item(fields)?;
                modified = self.timestamp(fields)?;
                if kind == FILE {
                    self.extents(fields, extents)?;
                    Content::File(extents)
                } else {
                    Content::Directory
                }
            }
            SYMLINK => {
                let Bytes::<&[u8]>(target) = self.item(fields)?;
                modified = self.timestamp(fields)?;
                Content::Symlink(target)
            }
            HARD_LINK => Content::HardLink(self.item(fields)?),
            _ => return Err(ManifestFault::Malformed),
        };
        if self.more(fields)? {
            return Err(ManifestFault::Malformed);
        }
        builder.add(Node { parent, name, mode, modified, content }).map(drop)
    }

    /// Reads a flat array: chunk, offset, length, chunk, offset, length and so on.
    fn extents(&mut self, left: &mut Left, extents: &mut Vec<Extent>) -> Result<(), ManifestFault> {
        extents.clear();
        if !self.more(left)? {
            return Err(ManifestFault::Malformed);
        }
        let numbers = &mut self.array()?;
        while self.more(numbers)? {
            let (chunk, offset) = (self.value()?, self.item(numbers)?);
            extents.push(Extent { chunk, offset, length: self.item(numbers)? });
        }
        Ok(())
    }
}

fn malformed<E>(_: dec::Error<E>) -> ManifestFault {
    ManifestFault::Malformed
}
