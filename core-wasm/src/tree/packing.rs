//! Turns a listing into a manifest: plans what the host packs, submits the plan in batches, and
//! collects where the content of each file ended up.

use crate::chunking::{self, Bundler, ChunkTable, ChunkTotals, PathHash};
use crate::digest::sha256;
use crate::manifest::{Builder, Content, Extent, Manifest, ManifestFault, Node};
use crate::tree::listing::{Item, ItemKind, Listing};
use btdt_ports::client::Error;
use btdt_ports::{
    Bundle, Cut, Digest, FileFault, Group, PackBatch, PackFile, Packed, PackedChunk, PackedFault,
    Packer, Timestamp,
};
use std::collections::BTreeMap;

/// Size of a batch: large enough that calls to the host cost little, small enough that the host
/// starts early and memory stays bounded.
const BATCH_FILES: usize = 2048;
const BATCH_GROUPS: usize = 128;

/// A part of the plan that becomes one chunk or a sequence of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planned {
    /// A range of [`PackPlan::bundled`].
    Bundle { first: u32, count: u32 },
    /// A range of the file at `position`.
    Cut { position: u32, offset: u64, length: u64 },
}

/// Chunks of groups that an earlier attempt packed, by [`PackPlan::identity`].
pub type PackedGroups = BTreeMap<Digest, Vec<PackedChunk>>;

/// What to pack, in which groups. Files are given by their position in path order.
pub struct PackPlan<'plan> {
    listing: &'plan Listing,
    items: &'plan [Item],
    /// The files in bundles, bundle after bundle.
    bundled: Vec<u32>,
    groups: Vec<Planned>,
}

/// The outcome of a pack.
#[derive(Debug)]
pub enum Outcome {
    /// The chunks of every group.
    Complete(Vec<Vec<PackedChunk>>),
    /// Some files could not be read or differed from the listing.
    Faulty {
        /// Paths of those files, and what was wrong with them.
        files: Vec<(Vec<u8>, FileFault)>,
        /// The groups that were packed.
        packed: PackedGroups,
    },
}

impl<'plan> PackPlan<'plan> {
    /// Decides which files share chunks. `items` is the listing in path order.
    #[must_use]
    pub fn new(listing: &'plan Listing, items: &'plan [Item]) -> Self {
        let mut plan = PackPlan { listing, items, bundled: Vec::new(), groups: Vec::new() };
        let mut hashes: Vec<PathHash> = Vec::with_capacity(items.len());
        let mut bundler = Bundler::default();
        let mut first = 0;
        for (position, item) in items.iter().enumerate() {
            let parent = hashes.get(item.parent as usize).copied().unwrap_or(PathHash::ROOT);
            let hash = if position == 0 { parent } else { parent.child(listing.name(item.number)) };
            hashes.push(hash);
            let position = position as u32;
            match item.kind {
                ItemKind::File(size) if size >= chunking::LARGE => {
                    let cut = |(offset, length)| Planned::Cut { position, offset, length };
                    plan.groups.extend(chunking::ranges(size).map(cut));
                }
                ItemKind::File(size) if size > 0 => {
                    if bundler.ends_before(size) {
                        plan.end_bundle(&mut first, &mut bundler);
                    }
                    plan.bundled.push(position);
                    if bundler.add(hash, size) {
                        plan.end_bundle(&mut first, &mut bundler);
                    }
                }
                _ => {}
            }
        }
        plan.end_bundle(&mut first, &mut bundler);
        plan
    }

    fn end_bundle(&mut self, first: &mut u32, bundler: &mut Bundler) {
        let end = self.bundled.len() as u32;
        if end > *first {
            self.groups.push(Planned::Bundle { first: *first, count: end - *first });
        }
        *first = end;
        bundler.reset();
    }

    /// Packs all groups but those that are already `packed`.
    ///
    /// # Errors
    /// [`Error::Cache`] if a chunk cannot be written.
    pub fn run<P: Packer>(&self, mut packer: P, packed: &PackedGroups) -> Result<Outcome, Error> {
        let failed = |error: btdt_ports::PackError| Error::writing(error.0);
        let mut known: Vec<Option<&Vec<PackedChunk>>> = vec![None; self.groups.len()];
        // The number of each submitted group, and that of its batch.
        let mut submitted = Vec::new();
        let mut batch = Batch::default();
        let mut batches: Vec<Vec<u32>> = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            if !packed.is_empty() {
                known[number] = packed.get(&self.identity(*group));
                if known[number].is_some() {
                    continue;
                }
            }
            self.add_to(&mut batch, *group);
            submitted.push((number, batches.len()));
            if batch.is_full() {
                let Batch { pack, positions, .. } = std::mem::take(&mut batch);
                batches.push(positions);
                packer.submit(pack).map_err(failed)?;
            }
        }
        if !batch.positions.is_empty() {
            batches.push(batch.positions);
            packer.submit(batch.pack).map_err(failed)?;
        }
        let packed = packer.finish().map_err(failed)?;

        let mut faulty = Vec::new();
        let mut chunks: Vec<Vec<PackedChunk>> =
            known.into_iter().map(|known| known.cloned().unwrap_or_default()).collect();
        for ((number, batch), packed) in submitted.into_iter().zip(packed) {
            match packed {
                Packed::Chunks(packed) => chunks[number] = packed,
                Packed::Fault(PackedFault { file, fault }) => {
                    let position = batches[batch].get(file as usize).copied().unwrap_or(0);
                    faulty.push((self.path(position), fault));
                }
            }
        }
        if faulty.is_empty() {
            return Ok(Outcome::Complete(chunks));
        }
        let good = self.groups.iter().zip(chunks).filter(|(_, chunks)| !chunks.is_empty());
        let packed = good.map(|(group, chunks)| (self.identity(*group), chunks)).collect();
        Ok(Outcome::Faulty { files: faulty, packed })
    }

    /// Builds the manifest from the chunks of all groups.
    ///
    /// # Errors
    /// [`ManifestFault::Extent`] if the host's answer does not match the plan, and
    /// [`ManifestFault::TooLarge`].
    pub fn manifest(
        &self,
        packed: &[Vec<PackedChunk>],
    ) -> Result<(Manifest, ChunkTotals), ManifestFault> {
        let mut builder = Builder::with_capacity(self.items.len(), self.listing.text_length());
        let (files, totals) = self.locate(packed, &mut builder)?;
        for (position, item) in self.items.iter().enumerate() {
            let listing = self.listing;
            let hard_link = matches!(item.kind, ItemKind::HardLink(_));
            let content = match item.kind {
                ItemKind::Directory => Content::Directory,
                ItemKind::Symlink => Content::Symlink(listing.target(item.number)),
                ItemKind::HardLink(first) => Content::HardLink(first),
                ItemKind::File(0) => Content::File(&[]),
                ItemKind::File(size) => {
                    let extents = files.of(position);
                    let length: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
                    if length != size {
                        return Err(ManifestFault::Extent(position as u32));
                    }
                    Content::File(extents)
                }
            };
            let is_link = hard_link || matches!(item.kind, ItemKind::Symlink);
            let modified = listing.modified(item.number);
            builder.add(Node {
                parent: item.parent,
                name: listing.name(item.number),
                mode: if is_link { None } else { listing.mode(item.number) },
                modified: if hard_link { Timestamp::default() } else { modified },
                content,
            })?;
        }
        Ok((builder.finish()?, totals))
    }

    /// Adds the chunks of all groups to the manifest and locates each file in them.
    fn locate(
        &self,
        packed: &[Vec<PackedChunk>],
        builder: &mut Builder,
    ) -> Result<(FileExtents, ChunkTotals), ManifestFault> {
        let mut files = FileExtents::new(self.items.len());
        let mut table = ChunkTable::default();
        for (group, chunks) in self.groups.iter().zip(packed) {
            let mut extents = Vec::with_capacity(chunks.len());
            for chunk in chunks {
                let length = chunk.raw_size;
                extents.push(Extent { chunk: table.add(*chunk, builder)?, offset: 0, length });
            }
            match *group {
                Planned::Cut { position, .. } => {
                    files.large.entry(position).or_default().extend(extents);
                }
                Planned::Bundle { first, count } => {
                    let [Extent { chunk, .. }] = extents[..] else {
                        return Err(ManifestFault::Extent(first));
                    };
                    let mut offset = 0;
                    for position in &self.bundled[first as usize..][..count as usize] {
                        let length = self.size(*position) as u32;
                        files.small[*position as usize] = Extent { chunk, offset, length };
                        offset += length;
                    }
                }
            }
        }
        Ok((files, table.totals))
    }

    fn add_to(&self, batch: &mut Batch, group: Planned) {
        let group = match group {
            Planned::Bundle { first, count } => {
                let positions = &self.bundled[first as usize..][..count as usize];
                let start = batch.positions.len() as u32;
                for position in positions {
                    self.add_file(batch, *position);
                }
                Group::Bundle(Bundle { first: start, count })
            }
            Planned::Cut { position, offset, length } => {
                if batch.positions.last() != Some(&position) {
                    self.add_file(batch, position);
                }
                Group::Cut(Cut { file: batch.positions.len() as u32 - 1, offset, length })
            }
        };
        batch.pack.groups.push(group);
    }

    fn add_file(&self, batch: &mut Batch, position: u32) {
        let item = &self.items[position as usize];
        let directory = (position != 0).then(|| {
            let next = batch.pack.directories.len() as u32;
            *batch.directories.entry(item.parent).or_insert_with(|| {
                batch.pack.directories.push(self.path(item.parent));
                next
            })
        });
        batch.positions.push(position);
        batch.pack.files.push(PackFile {
            directory,
            name: self.listing.name(item.number).to_vec(),
            size: self.size(position),
            modified: self.listing.modified(item.number),
        });
    }

    /// Identifies a group across attempts: by its files, their sizes and times.
    fn identity(&self, group: Planned) -> Digest {
        let mut identity = Vec::new();
        let mut describe = |position: u32| {
            let path = self.path(position);
            let Timestamp { seconds, nanoseconds } =
                self.listing.modified(self.items[position as usize].number);
            identity.extend_from_slice(&(path.len() as u64).to_le_bytes());
            identity.extend_from_slice(&path);
            identity.extend_from_slice(&self.size(position).to_le_bytes());
            identity.extend_from_slice(&seconds.to_le_bytes());
            identity.extend_from_slice(&nanoseconds.to_le_bytes());
        };
        match group {
            Planned::Bundle { first, count } => {
                self.bundled[first as usize..][..count as usize].iter().for_each(|p| describe(*p));
            }
            Planned::Cut { position, offset, length } => {
                describe(position);
                identity.extend_from_slice(&offset.to_le_bytes());
                identity.extend_from_slice(&length.to_le_bytes());
            }
        }
        sha256(&identity)
    }

    fn size(&self, position: u32) -> u64 {
        match self.items[position as usize].kind {
            ItemKind::File(size) => size,
            _ => 0,
        }
    }

    fn path(&self, position: u32) -> Vec<u8> {
        let mut names = Vec::new();
        let mut current = position;
        while current != 0 {
            let item = &self.items[current as usize];
            names.push(self.listing.name(item.number));
            current = item.parent;
        }
        names.reverse();
        names.join(&b'/')
    }
}

#[derive(Default)]
struct Batch {
    pack: PackBatch,
    /// Position of each file.
    positions: Vec<u32>,
    /// Directories of the batch, by position.
    directories: BTreeMap<u32, u32>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.pack.files.len() >= BATCH_FILES || self.pack.groups.len() >= BATCH_GROUPS
    }
}

/// The extents of each file, by position. Nearly all files are small and have one extent.
struct FileExtents {
    small: Vec<Extent>,
    large: BTreeMap<u32, Vec<Extent>>,
}

impl FileExtents {
    fn new(items: usize) -> Self {
        let nowhere = Extent { chunk: 0, offset: 0, length: 0 };
        FileExtents { small: vec![nowhere; items], large: BTreeMap::new() }
    }

    fn of(&self, position: usize) -> &[Extent] {
        match self.large.get(&(position as u32)) {
            Some(extents) => extents,
            None => std::slice::from_ref(&self.small[position]),
        }
    }
}
