//! The encoded form of a manifest: CBOR (RFC 8949), described in `docs/format.md`.
//!
//! A map with the keys `format`, `version`, `digests` (of all chunks, concatenated), `sizes` (raw,
//! of all chunks) and `entries`, in this order, so that chunks can be read without the tree. Each
//! entry is an array that starts with its kind. Encoding is deterministic: equal trees have equal
//! manifests, and thus equal digests.

use super::builder::Builder;
use super::model::{ChunkRef, Content, Extent, Manifest, ManifestFault, Node};
use btdt_ports::{Digest, Timestamp};
use cbor4ii::core::dec::Read as _;
use cbor4ii::core::utils::SliceReader;
use cbor4ii::serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer as AnyDeserializer, Serialize, Serializer};
use serde_bytes::Bytes;
use std::cell::Cell;
use std::fmt;

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
    cbor4ii::serde::to_vec(Vec::with_capacity(guess), &Encoded(manifest))
        .map_err(|_| ManifestFault::TooLarge)
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
    let fault = Cell::new(ManifestFault::Malformed);
    let mut deserializer = Deserializer::new(SliceReader::new(bytes));
    let seed = ManifestSeed { fault: &fault, entries, most: bytes.len() / SMALLEST_ENTRY };
    let builder = seed.deserialize(&mut deserializer).map_err(|_| fault.get())?;
    let mut reader = deserializer.into_inner();
    let rest = reader.fill(1).map_err(|_| ManifestFault::Malformed)?;
    if rest.as_ref().is_empty() { Ok(builder) } else { Err(ManifestFault::Malformed) }
}

struct Encoded<'manifest>(&'manifest Manifest);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Encoded(manifest) = self;
        let digests: Vec<u8> =
            manifest.chunks.iter().flat_map(|chunk| *chunk.digest.as_bytes()).collect();
        let sizes: Vec<u32> = manifest.chunks.iter().map(|chunk| chunk.raw_size).collect();
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("format", FORMAT)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("digests", Bytes::new(&digests))?;
        map.serialize_entry("sizes", &sizes)?;
        map.serialize_entry("entries", &EncodedNodes(manifest))?;
        map.end()
    }
}

struct EncodedNodes<'manifest>(&'manifest Manifest);

impl Serialize for EncodedNodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.nodes.len()))?;
        for (_, node) in self.0.nodes() {
            let name = Bytes::new(node.name);
            let (parent, mode) = (node.parent, node.mode);
            let Timestamp { seconds, nanoseconds } = node.modified;
            match node.content {
                Content::Directory => sequence.serialize_element(&(
                    DIRECTORY,
                    parent,
                    name,
                    mode,
                    seconds,
                    nanoseconds,
                ))?,
                Content::File(extents) => sequence.serialize_element(&(
                    FILE,
                    parent,
                    name,
                    mode,
                    seconds,
                    nanoseconds,
                    EncodedExtents(extents),
                ))?,
                Content::Symlink(target) => sequence.serialize_element(&(
                    SYMLINK,
                    parent,
                    name,
                    Bytes::new(target),
                    seconds,
                    nanoseconds,
                ))?,
                Content::HardLink(target) => {
                    sequence.serialize_element(&(HARD_LINK, parent, name, target))?;
                }
            }
        }
        sequence.end()
    }
}

/// A flat array: chunk, offset, length, chunk, offset, length and so on.
struct EncodedExtents<'manifest>(&'manifest [Extent]);

impl Serialize for EncodedExtents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(3 * self.0.len()))?;
        for extent in self.0 {
            sequence.serialize_element(&extent.chunk)?;
            sequence.serialize_element(&extent.offset)?;
            sequence.serialize_element(&extent.length)?;
        }
        sequence.end()
    }
}

/// Passes the exact fault around serde, whose errors are text.
struct ManifestSeed<'fault> {
    fault: &'fault Cell<ManifestFault>,
    entries: bool,
    most: usize,
}

impl ManifestSeed<'_> {
    fn refuse<E: serde::de::Error>(&self, fault: ManifestFault) -> E {
        self.fault.set(fault);
        E::custom("invalid manifest")
    }
}

impl<'de> DeserializeSeed<'de> for ManifestSeed<'_> {
    type Value = Builder;

    fn deserialize<D: AnyDeserializer<'de>>(self, deserializer: D) -> Result<Builder, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ManifestSeed<'_> {
    type Value = Builder;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Builder, A::Error> {
        if next::<&str, A>(&mut map, "format")? != FORMAT {
            return Err(A::Error::custom("another format"));
        }
        let version: u32 = next(&mut map, "version")?;
        if version != VERSION {
            return Err(self.refuse(ManifestFault::Version(version)));
        }
        let digests: &Bytes = next(&mut map, "digests")?;
        let sizes: Vec<u32> = next(&mut map, "sizes")?;
        if digests.len() != sizes.len() * Digest::LENGTH {
            return Err(A::Error::custom("digests and sizes disagree"));
        }
        let mut builder = Builder::new();
        for (digest, raw_size) in digests.chunks_exact(Digest::LENGTH).zip(sizes) {
            let digest = Digest::new(digest.try_into().map_err(A::Error::custom)?);
            builder
                .add_chunk(ChunkRef { digest, raw_size })
                .map_err(|fault| self.refuse::<A::Error>(fault))?;
        }
        if map.next_key::<&str>()? != Some("entries") {
            return Err(A::Error::custom("no entries"));
        }
        if self.entries {
            map.next_value_seed(EntriesSeed {
                builder: &mut builder,
                most: self.most,
                fault: self.fault,
            })?;
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        if map.next_key::<&str>()?.is_some() {
            return Err(A::Error::custom("an unknown field"));
        }
        Ok(builder)
    }
}

fn next<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    key: &'static str,
) -> Result<T, A::Error> {
    match map.next_key::<&str>()? {
        Some(found) if found == key => map.next_value(),
        _ => Err(A::Error::missing_field(key)),
    }
}

struct EntriesSeed<'seed> {
    builder: &'seed mut Builder,
    /// Upper bound for the number of entries, from the size of the input.
    most: usize,
    fault: &'seed Cell<ManifestFault>,
}

impl<'de> DeserializeSeed<'de> for EntriesSeed<'_> {
    type Value = ();

    fn deserialize<D: AnyDeserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntriesSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the entries of a manifest")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        // The announced length comes from outside: trust it only up to that bound.
        self.builder.reserve(sequence.size_hint().unwrap_or(0).min(self.most));
        let mut extents = Vec::new();
        while sequence
            .next_element_seed(EntrySeed {
                builder: &mut *self.builder,
                fault: self.fault,
                extents: &mut extents,
            })?
            .is_some()
        {}
        Ok(())
    }
}

struct EntrySeed<'seed> {
    builder: &'seed mut Builder,
    fault: &'seed Cell<ManifestFault>,
    /// Reused from entry to entry.
    extents: &'seed mut Vec<Extent>,
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = ();

    fn deserialize<D: AnyDeserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an entry of a manifest")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let kind: u8 = field(&mut fields)?;
        let parent: u32 = field(&mut fields)?;
        let name: &Bytes = field(&mut fields)?;
        let mut mode = None;
        let mut modified = Timestamp::default();
        let content = match kind {
            DIRECTORY | FILE => {
                mode = field(&mut fields)?;
                modified = timestamp(&mut fields)?;
                if kind == FILE {
                    self.extents.clear();
                    fields
                        .next_element_seed(ExtentsSeed(&mut *self.extents))?
                        .ok_or_else(|| A::Error::custom("no extents"))?;
                    Content::File(self.extents)
                } else {
                    Content::Directory
                }
            }
            SYMLINK => {
                let target: &Bytes = field(&mut fields)?;
                modified = timestamp(&mut fields)?;
                Content::Symlink(target)
            }
            HARD_LINK => Content::HardLink(field(&mut fields)?),
            _ => return Err(A::Error::custom("an unknown kind")),
        };
        if fields.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("too many fields"));
        }
        let node = Node { parent, name, mode, modified, content };
        self.builder.add(node).map(drop).map_err(|fault| {
            self.fault.set(fault);
            A::Error::custom("invalid entry")
        })
    }
}

fn field<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::custom("a field is missing"))
}

fn timestamp<'de, A: SeqAccess<'de>>(fields: &mut A) -> Result<Timestamp, A::Error> {
    Ok(Timestamp { seconds: field(fields)?, nanoseconds: field(fields)? })
}

struct ExtentsSeed<'seed>(&'seed mut Vec<Extent>);

impl<'de> DeserializeSeed<'de> for ExtentsSeed<'_> {
    type Value = ();

    fn deserialize<D: AnyDeserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ExtentsSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the extents of a file")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<(), A::Error> {
        while let Some(chunk) = numbers.next_element()? {
            let offset = field(&mut numbers)?;
            let length = field(&mut numbers)?;
            self.0.push(Extent { chunk, offset, length });
        }
        Ok(())
    }
}
