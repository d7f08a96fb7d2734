//! A tree of a few files with content in units: a file of three units has three chunks. To the core
//! a unit looks like a mebibyte, so it cuts every file; in the cache it takes a few bytes, so tens
//! of thousands of stores take seconds.

use crate::storage::Handle;
use btdt_core::digest::sha256;
use btdt_ports::{
    Algorithm, ChunkFailure, Cut, CutSizes, Digest, Entry, EntryKind, FollowLinks, Group, IoError,
    IoErrorKind, MaterializeBatch, MaterializeError, MaterializeSummary, Materializer, PackBatch,
    PackError, Packed, PackedChunk, Packer, Placement, Timestamp, Tree,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Binary logarithm of a unit's size as seen by the core.
const UNIT: u32 = 20;

/// The content of a tree: the units of each file, by name.
pub(crate) type Files = BTreeMap<Vec<u8>, Vec<u8>>;

/// A tree, and a variant that makes its manifest differ from others with the same files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) modified: i64,
    pub(crate) files: Files,
}

/// The content of a unit in the cache.
pub(crate) fn raw(unit: u8) -> [u8; 4] {
    [b'u', b'n', b'i', unit]
}

/// A tree to store, or to restore to.
#[derive(Clone, Default)]
pub(crate) struct UnitTree {
    pub(crate) content: Option<Content>,
    pub(crate) restored: Rc<RefCell<Option<Content>>>,
}

impl UnitTree {
    pub(crate) fn of(content: Content) -> Self {
        UnitTree { content: Some(content), ..UnitTree::default() }
    }

    fn entry(content: &Content, name: &[u8], kind: EntryKind, units: usize) -> Entry {
        Entry {
            name: name.to_vec(),
            kind,
            mode: Some(if kind == EntryKind::Directory { 0o755 } else { 0o644 }),
            modified: Timestamp { seconds: content.modified, nanoseconds: 0 },
            size: (units as u64) << UNIT,
            link: None,
            target: None,
        }
    }
}

impl Tree for UnitTree {
    type Sink = Handle;
    type Source = Handle;
    type Packer = UnitPacker;
    type Materializer = UnitMaterializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        let entry = |content| UnitTree::entry(content, b"", EntryKind::Directory, 0);
        Ok(self.content.as_ref().map(entry))
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        _: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        let content = self.content.as_ref().unwrap();
        let files = content.files.iter();
        let entries = files
            .map(|(name, units)| UnitTree::entry(content, name, EntryKind::File, units.len()))
            .collect();
        assert_eq!(paths, [b""], "there is only the root");
        vec![Ok(entries)]
    }

    fn read_file(&self, _: &[u8], _: u64) -> Result<Vec<u8>, IoError> {
        Err(IoError::new(IoErrorKind::NotFound))
    }

    fn digest_files(
        &self,
        _: &[Vec<u8>],
        _: Algorithm,
        _: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        Vec::new()
    }

    fn pack(&self, sink: &Handle, _: CutSizes) -> Result<UnitPacker, IoError> {
        let content = self.content.clone().unwrap();
        Ok(UnitPacker { content, sink: sink.clone(), packed: Vec::new() })
    }

    fn materialize(
        &self,
        sources: &[&Handle],
        placement: Placement,
    ) -> Result<UnitMaterializer, MaterializeError> {
        assert_eq!(placement, Placement::Staged);
        Ok(UnitMaterializer {
            source: sources[0].clone(),
            restored: Rc::clone(&self.restored),
            content: Content::default(),
        })
    }
}

pub(crate) struct UnitPacker {
    content: Content,
    sink: Handle,
    packed: Vec<Packed>,
}

impl Packer for UnitPacker {
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError> {
        for group in &batch.groups {
            let Group::Cut(Cut { file, offset, length }) = *group else { panic!("units are cut") };
            let units = &self.content.files[&batch.files[file as usize].name];
            let range = (offset >> UNIT) as usize..((offset + length) >> UNIT) as usize;
            let mut chunks = Vec::new();
            for unit in &units[range] {
                let raw = raw(*unit);
                let digest = sha256(&raw);
                let outcome = match self.sink.existing(&digest).map_err(PackError)? {
                    Some(outcome) => outcome,
                    None => self.sink.put_chunk(&digest, &raw).map_err(PackError)?,
                };
                chunks.push(PackedChunk {
                    digest,
                    raw_size: 1 << UNIT,
                    stored_size: outcome.stored_size as u32,
                    new: outcome.new,
                });
            }
            self.packed.push(Packed::Chunks(chunks));
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Packed>, PackError> {
        Ok(self.packed)
    }
}

pub(crate) struct UnitMaterializer {
    source: Handle,
    restored: Rc<RefCell<Option<Content>>>,
    content: Content,
}

impl Materializer for UnitMaterializer {
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError> {
        for directory in &batch.directories {
            self.content.modified = directory.modified.seconds;
        }
        for file in &batch.files {
            assert_eq!(file.modified.seconds, self.content.modified);
            let units = vec![u8::MAX; (file.size >> UNIT) as usize];
            self.content.files.insert(file.name.clone(), units);
        }
        for chunk in &batch.chunks {
            let unit = self.source.read_chunk(&chunk.digest).map_err(|fault| {
                MaterializeError::Chunk(ChunkFailure { digest: chunk.digest, fault })
            })?;
            for segment in &chunk.segments {
                let name = &batch.files[segment.file as usize].name;
                let units = self.content.files.get_mut(name).unwrap();
                units[(segment.file_offset >> UNIT) as usize] = unit;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<MaterializeSummary, MaterializeError> {
        *self.restored.borrow_mut() = Some(self.content);
        Ok(MaterializeSummary::default())
    }
}
