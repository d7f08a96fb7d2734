//! From a listing to a manifest: plans what the host packs, hands the plan over in batches, and
//! puts together where the content of each file ended up.

use crate::chunking::{self, Bundler, PathHash};
use crate::digest::sha256;
use crate::error::Error;
use crate::listing::{Item, ItemKind, Listing};
use crate::manifest::{Builder, ChunkRef, Content, Extent, Manifest, ManifestFault, Node};
use btdt_ports::{
    Digest, FileFault, Group, PackBatch, PackFile, Packed, PackedChunk, Packer, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// A batch is handed over when it has this many files or groups: large enough that crossing into
/// the host costs little, small enough that the host starts early and memory stays bounded.
const BATCH_FILES: usize = 2048;
const BATCH_GROUPS: usize = 128;

/// A part of the plan that becomes one chunk, or a row of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planned {
    /// Places of files in [`Plan::bundled`].
    Bundle { first: u32, count: u32 },
    /// A range of the file at that place.
    Cut { place: u32, offset: u64, length: u64 },
}

/// Chunks of a group that was packed before, by what the group consists of.
pub type Memory = BTreeMap<Digest, Vec<PackedChunk>>;

/// What is to be packed, in which groups.
pub struct Plan<'plan> {
    listing: &'plan Listing,
    items: &'plan [Item],
    bundled: Vec<u32>,
    groups: Vec<Planned>,
}

/// The outcome of a pack.
#[derive(Debug)]
pub enum Outcome {
    /// The chunks of every group.
    Complete(Vec<Vec<PackedChunk>>),
    /// Files that were not what the listing said, and what was packed all the same.
    Faulty {
        /// Paths of the files, and what was wrong with them.
        files: Vec<(Vec<u8>, FileFault)>,
        /// The groups that are good.
        memory: Memory,
    },
}

/// What a pack has come to, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Chunks that the tree consists of, shared ones once.
    pub chunks: u64,
    /// Those in stored form, in bytes.
    pub stored_size: u64,
    /// Chunks that were not in the cache.
    pub new_chunks: u64,
    /// Those, raw, in bytes.
    pub new_raw_size: u64,
    /// Those, stored, in bytes.
    pub new_stored_size: u64,
}

impl<'plan> Plan<'plan> {
    /// Decides which files share chunks. `items` is the listing in path order.
    #[must_use]
    pub fn new(listing: &'plan Listing, items: &'plan [Item]) -> Self {
        let mut plan = Plan { listing, items, bundled: Vec::new(), groups: Vec::new() };
        let mut hashes: Vec<PathHash> = Vec::with_capacity(items.len());
        let mut bundler = Bundler::default();
        let mut first = 0;
        for (place, item) in items.iter().enumerate() {
            let parent = hashes.get(item.parent as usize).copied().unwrap_or(PathHash::ROOT);
            let hash = if place == 0 { parent } else { parent.child(listing.name(item.number)) };
            hashes.push(hash);
            let place = place as u32;
            match item.kind {
                ItemKind::File(size) if size >= chunking::LARGE => {
                    let cut = |(offset, length)| Planned::Cut { place, offset, length };
                    plan.groups.extend(chunking::ranges(size).map(cut));
                }
                ItemKind::File(size) if size > 0 => {
                    if bundler.ends_before(size) {
                        plan.end_bundle(&mut first, &mut bundler);
                    }
                    plan.bundled.push(place);
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

    /// Packs everything but what `memory` knows already.
    ///
    /// # Errors
    /// When the cache does not take a chunk.
    pub fn run<P: Packer>(&self, mut packer: P, memory: &Memory) -> Result<Outcome, Error> {
        let failed = |error: btdt_ports::PackError| Error::writing(error.0);
        let mut known: Vec<Option<&Vec<PackedChunk>>> = vec![None; self.groups.len()];
        // For each group that is handed over: its number, and the places of its batch's files.
        let mut submitted = Vec::new();
        let mut batch = Batch::default();
        let mut batches: Vec<Vec<u32>> = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            if !memory.is_empty() {
                known[number] = memory.get(&self.identity(*group));
                if known[number].is_some() {
                    continue;
                }
            }
            self.add_to(&mut batch, *group);
            submitted.push((number, batches.len()));
            if batch.is_full() {
                let Batch { pack, places, .. } = std::mem::take(&mut batch);
                batches.push(places);
                packer.submit(pack).map_err(failed)?;
            }
        }
        if !batch.places.is_empty() {
            batches.push(batch.places);
            packer.submit(batch.pack).map_err(failed)?;
        }
        let packed = packer.finish().map_err(failed)?;

        let mut faulty = Vec::new();
        let mut chunks: Vec<Vec<PackedChunk>> =
            known.into_iter().map(|known| known.cloned().unwrap_or_default()).collect();
        for ((number, batch), packed) in submitted.into_iter().zip(packed) {
            match packed {
                Packed::Chunks(packed) => chunks[number] = packed,
                Packed::Fault { file, fault } => {
                    let place = batches[batch].get(file as usize).copied().unwrap_or(0);
                    faulty.push((self.path(place), fault));
                }
            }
        }
        if faulty.is_empty() {
            return Ok(Outcome::Complete(chunks));
        }
        let good = self.groups.iter().zip(chunks).filter(|(_, chunks)| !chunks.is_empty());
        let memory = good.map(|(group, chunks)| (self.identity(*group), chunks)).collect();
        Ok(Outcome::Faulty { files: faulty, memory })
    }

    /// Puts the manifest together from the chunks of every group.
    ///
    /// # Errors
    /// When the host's answer does not fit the plan, or the tree is too large.
    pub fn manifest(
        &self,
        packed: &[Vec<PackedChunk>],
    ) -> Result<(Manifest, Totals), ManifestFault> {
        let mut builder = Builder::with_capacity(self.items.len(), self.listing.text_length());
        let (placed, totals) = self.place(packed, &mut builder)?;
        for (place, item) in self.items.iter().enumerate() {
            let listing = self.listing;
            let hard_link = matches!(item.kind, ItemKind::HardLink(_));
            let content = match item.kind {
                ItemKind::Directory => Content::Directory,
                ItemKind::Symlink => Content::Symlink(listing.target(item.number)),
                ItemKind::HardLink(first) => Content::HardLink(first),
                ItemKind::File(0) => Content::File(&[]),
                ItemKind::File(size) => {
                    let extents = placed.of(place);
                    let length: u64 = extents.iter().map(|extent| u64::from(extent.length)).sum();
                    if length != size {
                        return Err(ManifestFault::Extent(place as u32));
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

    /// Turns the chunks of each group into the extents of its files.
    fn place(
        &self,
        packed: &[Vec<PackedChunk>],
        builder: &mut Builder,
    ) -> Result<(Placed, Totals), ManifestFault> {
        let mut placed = Placed::new(self.items.len());
        let mut totals = Totals::default();
        let mut numbers = BTreeMap::new();
        let mut written = BTreeSet::new();
        for (group, chunks) in self.groups.iter().zip(packed) {
            let mut extents = Vec::with_capacity(chunks.len());
            for PackedChunk { digest, raw_size, stored_size, new } in chunks.iter().copied() {
                let chunk = match numbers.get(&digest) {
                    Some(number) => *number,
                    None => {
                        let number = builder.add_chunk(ChunkRef { digest, raw_size })?;
                        numbers.insert(digest, number);
                        totals.chunks += 1;
                        totals.stored_size += u64::from(stored_size);
                        number
                    }
                };
                // Two workers may have written the same chunk, and each found it new.
                if new && written.insert(digest) {
                    totals.new_chunks += 1;
                    totals.new_raw_size += u64::from(raw_size);
                    totals.new_stored_size += u64::from(stored_size);
                }
                extents.push(Extent { chunk, offset: 0, length: raw_size });
            }
            match *group {
                Planned::Cut { place, .. } => {
                    placed.large.entry(place).or_default().extend(extents);
                }
                Planned::Bundle { first, count } => {
                    let [Extent { chunk, .. }] = extents[..] else {
                        return Err(ManifestFault::Extent(first));
                    };
                    let mut offset = 0;
                    for place in &self.bundled[first as usize..][..count as usize] {
                        let length = self.size(*place) as u32;
                        placed.small[*place as usize] = Extent { chunk, offset, length };
                        offset += length;
                    }
                }
            }
        }
        Ok((placed, totals))
    }

    fn add_to(&self, batch: &mut Batch, group: Planned) {
        let group = match group {
            Planned::Bundle { first, count } => {
                let places = &self.bundled[first as usize..][..count as usize];
                let start = batch.places.len() as u32;
                for place in places {
                    self.add_file(batch, *place);
                }
                Group::Bundle { first: start, count }
            }
            Planned::Cut { place, offset, length } => {
                if batch.places.last() != Some(&place) {
                    self.add_file(batch, place);
                }
                Group::Cut { file: batch.places.len() as u32 - 1, offset, length }
            }
        };
        batch.pack.groups.push(group);
    }

    fn add_file(&self, batch: &mut Batch, place: u32) {
        let item = &self.items[place as usize];
        let directory = (place != 0).then(|| {
            let next = batch.pack.directories.len() as u32;
            *batch.directories.entry(item.parent).or_insert_with(|| {
                batch.pack.directories.push(self.path(item.parent));
                next
            })
        });
        batch.places.push(place);
        batch.pack.files.push(PackFile {
            directory,
            name: self.listing.name(item.number).to_vec(),
            size: self.size(place),
            modified: self.listing.modified(item.number),
        });
    }

    /// What makes a group the same in the next attempt: its files and their size and time.
    fn identity(&self, group: Planned) -> Digest {
        let mut identity = Vec::new();
        let mut describe = |place: u32| {
            let path = self.path(place);
            let Timestamp { seconds, nanoseconds } =
                self.listing.modified(self.items[place as usize].number);
            identity.extend_from_slice(&(path.len() as u64).to_le_bytes());
            identity.extend_from_slice(&path);
            identity.extend_from_slice(&self.size(place).to_le_bytes());
            identity.extend_from_slice(&seconds.to_le_bytes());
            identity.extend_from_slice(&nanoseconds.to_le_bytes());
        };
        match group {
            Planned::Bundle { first, count } => {
                self.bundled[first as usize..][..count as usize].iter().for_each(|p| describe(*p));
            }
            Planned::Cut { place, offset, length } => {
                describe(place);
                identity.extend_from_slice(&offset.to_le_bytes());
                identity.extend_from_slice(&length.to_le_bytes());
            }
        }
        sha256(&identity)
    }

    fn size(&self, place: u32) -> u64 {
        match self.items[place as usize].kind {
            ItemKind::File(size) => size,
            _ => 0,
        }
    }

    fn path(&self, place: u32) -> Vec<u8> {
        let mut names = Vec::new();
        let mut current = place;
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
    /// Place of each file.
    places: Vec<u32>,
    /// Directories of the batch, by their place.
    directories: BTreeMap<u32, u32>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.pack.files.len() >= BATCH_FILES || self.pack.groups.len() >= BATCH_GROUPS
    }
}

/// Where the content of each file is. Nearly all files are small and have one extent.
struct Placed {
    small: Vec<Extent>,
    large: BTreeMap<u32, Vec<Extent>>,
}

impl Placed {
    fn new(items: usize) -> Self {
        let nowhere = Extent { chunk: 0, offset: 0, length: 0 };
        Placed { small: vec![nowhere; items], large: BTreeMap::new() }
    }

    fn of(&self, place: usize) -> &[Extent] {
        match self.large.get(&(place as u32)) {
            Some(extents) => extents,
            None => std::slice::from_ref(&self.small[place]),
        }
    }
}
