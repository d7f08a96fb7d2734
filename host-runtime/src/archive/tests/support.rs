//! Trees, and what a core would do with an incoming archive.

use crate::archive::{Compression, TarArchive, TarPlan, TarReader};
use crate::chunk_io::{Sink, Source};
use crate::codec::sha256;
use crate::storage::MemoryStorage;
use btdt_ports::{
    ArchiveBatch, ArchiveChunk, ArchiveContent, ArchiveEntry, ArchiveExtent, ArchiveFault,
    ArchiveNode, ArchiveNodeContent, ArchivePlan, ArchiveReader, CutSizes, ObjectKind, Objects,
    PackedChunk, Timestamp,
};
use std::io::{Cursor, Read, Write};

pub(super) const SIZES: CutSizes =
    CutSizes { minimum: 512 << 10, average: 1 << 20, maximum: 4 << 20 };

/// Files of this many bytes are cut.
const LARGE: u64 = 1 << 20;

/// A bundle ends when it has this many bytes.
const BUNDLE: usize = 256 << 10;

pub(super) const NOW: Timestamp = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };

pub(super) fn storage() -> MemoryStorage {
    MemoryStorage::new(|| NOW)
}

/// Content that compresses a little.
pub(super) fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + (state >> 60) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// A tree that becomes an archive: nodes, and chunks of a few files each.
pub(super) struct Outgoing {
    pub(super) storage: MemoryStorage,
    pub(super) batch: ArchiveBatch,
    bundle: Vec<u8>,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        let batch = ArchiveBatch {
            nodes: vec![ArchiveNode {
                parent: 0,
                name: Vec::new(),
                mode: 0o755,
                modified: NOW,
                content: ArchiveNodeContent::Directory,
            }],
            ..ArchiveBatch::default()
        };
        Outgoing { storage: storage(), batch, bundle: Vec::new() }
    }

    /// Adds a node, and returns its number.
    pub(super) fn node(&mut self, parent: u32, name: &[u8], content: ArchiveNodeContent) -> u32 {
        let mode = 0o644;
        self.batch.nodes.push(ArchiveNode {
            parent,
            name: name.to_vec(),
            mode,
            modified: NOW,
            content,
        });
        self.batch.nodes.len() as u32 - 1
    }

    pub(super) fn directory(&mut self, parent: u32, name: &[u8]) -> u32 {
        let number = self.node(parent, name, ArchiveNodeContent::Directory);
        self.batch.nodes[number as usize].mode = 0o755;
        number
    }

    pub(super) fn file(&mut self, parent: u32, name: &[u8], content: &[u8]) -> u32 {
        let first = self.batch.extents.len();
        if self.bundle.len() + content.len() >= BUNDLE {
            self.seal();
        }
        if content.len() >= BUNDLE {
            for part in content.chunks(1 << 20) {
                self.extent(0, part.len());
                self.bundle.extend_from_slice(part);
                self.seal();
            }
        } else if !content.is_empty() {
            self.extent(self.bundle.len(), content.len());
            self.bundle.extend_from_slice(content);
        }
        let extents = self.batch.extents.len() - first;
        self.node(parent, name, ArchiveNodeContent::File(extents as u32))
    }

    fn extent(&mut self, offset: usize, length: usize) {
        self.batch.extents.push(ArchiveExtent {
            chunk: self.batch.chunks.len() as u32,
            offset: offset as u32,
            length: length as u32,
        });
    }

    fn seal(&mut self) {
        if self.bundle.is_empty() {
            return;
        }
        let digest = Objects::put(&self.storage, ObjectKind::Chunk, &self.bundle).unwrap().digest;
        self.batch.chunks.push(ArchiveChunk { digest, raw_size: self.bundle.len() as u32 });
        self.bundle.clear();
    }

    pub(super) fn plan(&mut self) -> TarPlan {
        self.seal();
        plan(self.storage.source(), &self.batch)
    }

    /// The whole stream, after its length has been compared.
    pub(super) fn stream(&mut self) -> Vec<u8> {
        let plan = self.plan();
        let length = plan.content_length().unwrap();
        let stream = blocks(plan.into_reader().unwrap());
        assert_eq!(stream.len() as u64, length);
        stream
    }
}

pub(super) fn plan(source: Source, batch: &ArchiveBatch) -> TarPlan {
    let mut plan = TarPlan::new(source);
    plan.submit(batch.clone());
    plan
}

pub(super) fn blocks(mut reader: TarReader) -> Vec<u8> {
    let (mut stream, mut block) = (Vec::new(), Vec::new());
    while reader.next_block(&mut block).unwrap() {
        stream.extend_from_slice(&block);
    }
    stream
}

/// Does what the core does with the contents; gives the entries and the digests of the groups.
pub(super) fn receive_into(
    read: Box<dyn Read + Send>,
    compression: Compression,
    sink: Sink,
    limit: u64,
) -> Result<(Vec<ArchiveEntry>, Vec<Vec<PackedChunk>>), ArchiveFault> {
    let mut archive = TarArchive::new(read, compression, sink, limit)?;
    let mut entries = Vec::new();
    let mut open = 0;
    while let Some(entry) = archive.next()? {
        match entry.content {
            ArchiveContent::File(size) if size >= LARGE => archive.cut(size, SIZES)?,
            ArchiveContent::File(size) => {
                archive.append()?;
                open += size as usize;
            }
            _ => {}
        }
        if open >= BUNDLE {
            archive.seal()?;
            open = 0;
        }
        entries.push(entry);
    }
    if open > 0 {
        archive.seal()?;
    }
    archive.finish().map(|groups| (entries, groups))
}

/// Entries with the content of the files, which has gone through chunks.
pub(super) fn receive(
    bytes: &[u8],
    compression: Compression,
) -> Result<Vec<(ArchiveEntry, Vec<u8>)>, ArchiveFault> {
    let storage = storage();
    let read = Box::new(Cursor::new(bytes.to_vec()));
    let (entries, groups) = receive_into(read, compression, storage.sink(), 1 << 40)?;
    // Bundles come out where they were sealed, behind cuts: so files are put together by size.
    let raw = |chunk: &PackedChunk| {
        Objects::get(&storage, ObjectKind::Chunk, chunk.digest, u64::from(chunk.raw_size)).unwrap()
    };
    let mut groups = groups.iter().map(|group| group.iter().flat_map(&raw).collect::<Vec<u8>>());
    let mut waiting: Vec<usize> = Vec::new();
    let mut contents = vec![Vec::new(); entries.len()];
    let mut open = 0;
    let seal = |waiting: &mut Vec<usize>, contents: &mut Vec<Vec<u8>>, bundle: Vec<u8>| {
        let mut rest = &bundle[..];
        for index in waiting.drain(..) {
            let (own, others) = rest.split_at(size(&entries[index]));
            contents[index] = own.to_vec();
            rest = others;
        }
        assert!(rest.is_empty());
    };
    for (index, entry) in entries.iter().enumerate() {
        match entry.content {
            ArchiveContent::File(size) if size >= LARGE => {
                contents[index] = groups.next().unwrap();
                assert_eq!(contents[index].len() as u64, size);
            }
            ArchiveContent::File(size) => {
                waiting.push(index);
                open += size as usize;
            }
            _ => {}
        }
        if open >= BUNDLE {
            seal(&mut waiting, &mut contents, groups.next().unwrap());
            open = 0;
        }
    }
    if open > 0 {
        seal(&mut waiting, &mut contents, groups.next().unwrap());
    }
    assert_eq!(groups.next(), None);
    Ok(entries.into_iter().zip(contents).collect())
}

fn size(entry: &ArchiveEntry) -> usize {
    match entry.content {
        ArchiveContent::File(size) => size as usize,
        _ => 0,
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// With a checksum, as the command of that name writes it.
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a plan's nodes are as entries of an archive.
pub(super) fn expected(batch: &ArchiveBatch) -> Vec<ArchiveEntry> {
    let path = |number: u32| {
        let mut names = Vec::new();
        let mut at = number;
        while at > 0 {
            names.push(&batch.nodes[at as usize].name[..]);
            at = batch.nodes[at as usize].parent;
        }
        names.reverse();
        names.join(&b'/')
    };
    let mut extents = batch.extents.iter();
    let entry = |(number, node): (usize, &ArchiveNode)| {
        let mut path_of_node = path(number as u32);
        let content = match &node.content {
            ArchiveNodeContent::Directory => {
                path_of_node.extend_from_slice(if number == 0 { b"./" } else { b"/" });
                ArchiveContent::Directory
            }
            ArchiveNodeContent::File(count) => {
                let own = extents.by_ref().take(*count as usize);
                ArchiveContent::File(own.map(|extent| u64::from(extent.length)).sum())
            }
            ArchiveNodeContent::Symlink(target) => ArchiveContent::Symlink(target.clone()),
            ArchiveNodeContent::HardLink(target) => ArchiveContent::HardLink(path(*target)),
        };
        ArchiveEntry { path: path_of_node, content, mode: node.mode, modified: node.modified }
    };
    batch.nodes.iter().enumerate().map(entry).collect()
}

/// A header of ustar to be changed by a test.
pub(super) fn header(path: &str, kind: u8, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).unwrap();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_mtime(NOW.seconds as u64);
    header.set_size(size);
    header.set_cksum();
    header
}

/// An archive of these members, complete with its end.
pub(super) fn archive(members: &[(tar::Header, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (header, content) in members {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Sets the last field of a header.
pub(super) fn with(mut header: tar::Header, change: impl FnOnce(&mut [u8; 512])) -> tar::Header {
    let bytes: &mut [u8; 512] = header.as_mut_bytes();
    change(bytes);
    header.set_cksum();
    header
}

/// The digest of a whole content, for messages that one can read.
pub(super) fn short(content: &[u8]) -> String {
    format!("{} bytes, {}", content.len(), sha256(content))
}
