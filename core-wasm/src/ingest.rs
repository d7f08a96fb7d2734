//! From an incoming archive to a manifest: what `tar x` would make of it, without its dangers.
//!
//! Entries come in any order and under any path. Paths are taken apart here and never reach a file
//! system: a path that leaves the tree or leads through something that is no directory refuses the
//! whole archive. Contents are put into chunks by the rules of [`crate::packing`], so that the
//! archive of a tree, in path order, has the chunks and the manifest of the tree itself.

use crate::chunking::{self, Bundler, CUT_SIZES, PathHash};
use crate::manifest::{
    self, Builder, ChunkRef, Content, Extent, MAX_TARGET, MODE_MASK, Manifest, ManifestFault, Node,
};
use crate::packing::Totals;
use btdt_ports::{
    ArchiveContent, ArchiveEntry, ArchiveFault, ArchiveReader, Digest, Environment, PackedChunk,
    Severity, Timestamp,
};
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;

/// Longest path in bytes: enough for trees that no system call can reach in one step, and a bound
/// for the directories that one entry can make.
const MAX_PATH: usize = 32 << 10;

/// Permission bits of a directory that has no entry of its own.
const IMPLICIT_MODE: u32 = 0o755;

/// About what a node takes in an encoded manifest, in bytes, apart from names and targets.
const NODE_SIZE: u64 = 32;

/// Entries that are skipped are warned about one by one up to this number.
const MAX_WARNINGS: u64 = 8;

/// Bytes of a path that a message shows at most.
const SHOWN_PATH: usize = 200;

/// Why an entry of an archive is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Its path is absolute.
    #[error("its path is absolute")]
    Absolute,
    /// Its path has a component `..`.
    #[error("its path contains \"..\"")]
    Parent,
    /// A name is too long or contains NUL, or the whole path is too long.
    #[error("its path is too long or contains a NUL byte")]
    Name,
    /// It is the root and no directory.
    #[error("it has no name")]
    Root,
    /// Its path leads through something that is no directory, such as a symbolic link.
    #[error("its path leads through something that is not a directory")]
    Through,
    /// A directory and something else have the same path.
    #[error("a directory and something else have its path")]
    Conflict,
    /// The target of a symbolic link is empty, too long or contains NUL.
    #[error("its target is not one that a symbolic link can have")]
    Target,
    /// A hard link to what has not come before, or to a directory.
    #[error("it is a hard link to something that is not a file before it in the archive")]
    Link,
}

/// Why an archive is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestFault {
    /// It did not arrive.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// An entry cannot be taken.
    #[error("entry {}: {fault}", Shown(.path))]
    Entry {
        /// Its path, as the archive has it.
        path: Vec<u8>,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// Its tree would be larger than a manifest may be.
    #[error("it has too many entries")]
    TooLarge,
    /// What the host says about the chunks does not fit what it was asked for.
    #[error("its chunks do not make up its files: {0}")]
    Inconsistent(ManifestFault),
}

/// A path in a message.
struct Shown<'path>(&'path [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_PATH)];
        write!(formatter, "{:?}", String::from_utf8_lossy(shown))
    }
}

/// Receives an archive: its contents go where `reader` puts them, its tree is the result. A tree
/// whose encoded form would be larger than `max_manifest` bytes is refused early, by estimate.
///
/// Of several entries with one path the last one counts, as for `tar x`. Directories without an
/// entry of their own get the time of the entry that needed them; devices and the like are skipped
/// with a warning.
///
/// # Errors
/// See [`IngestFault`].
pub fn ingest<R: ArchiveReader>(
    mut reader: R,
    max_manifest: u64,
    environment: &dyn Environment,
) -> Result<(Manifest, Totals), IngestFault> {
    let mut tree = Received::default();
    let mut chunks = Chunks::default();
    let mut skipped: u64 = 0;
    while let Some(mut entry) = reader.next()? {
        // A time that no manifest can have is the sender's fault, and no reason to fail.
        entry.modified.nanoseconds = entry.modified.nanoseconds.min(999_999_999);
        tree.weight += NODE_SIZE;
        let taken = tree.take(&entry, &mut chunks);
        let content =
            taken.map_err(|fault| IngestFault::Entry { path: entry.path.clone(), fault })?;
        if tree.weight > max_manifest {
            return Err(IngestFault::TooLarge);
        }
        match content {
            Taken::Content { inode, hash, size } => {
                tree.inodes[inode].place = chunks.place(&mut reader, hash, size)?;
            }
            Taken::Skipped => {
                skipped += 1;
                if skipped <= MAX_WARNINGS {
                    let path = Shown(&entry.path);
                    let message =
                        format!("{path} is neither a file, a directory nor a link: skipped");
                    environment.log(Severity::Warning, &message);
                }
            }
            Taken::Done => {}
        }
    }
    if skipped > MAX_WARNINGS {
        let more = skipped - MAX_WARNINGS;
        environment.log(Severity::Warning, &format!("{more} more entries were skipped"));
    }
    chunks.seal(&mut reader)?;
    let groups = reader.finish()?;
    tree.manifest(&chunks, &groups).map_err(IngestFault::Inconsistent)
}

/// What has to be done for an entry that has found its place.
enum Taken {
    /// Its content has to be read.
    Content { inode: usize, hash: PathHash, size: u64 },
    /// It is nothing that is kept.
    Skipped,
    /// Nothing more.
    Done,
}

/// Where the content of a file is.
#[derive(Clone, Copy)]
enum Place {
    /// It has none.
    Empty,
    /// In that bundle.
    Bundle { bundle: u32, offset: u32, length: u32 },
    /// It is what these groups hold.
    Cut { first: u32, count: u32, size: u64 },
}

/// What is under a name.
#[derive(Clone, Copy)]
enum Child {
    Directory(u32),
    File(u32),
    Symlink(u32),
}

struct Directory {
    mode: Option<u32>,
    modified: Timestamp,
    hash: PathHash,
}

struct Inode {
    mode: u32,
    modified: Timestamp,
    place: Place,
}

/// The tree so far. Names hang on directories and lead to numbered things, as on a file system, so
/// that a later entry can take a name away without touching what other names lead to.
#[derive(Default)]
struct Received {
    directories: Vec<Directory>,
    inodes: Vec<Inode>,
    symlinks: Vec<(Box<[u8]>, Timestamp)>,
    /// By directory and name: already in the order in which a manifest has them.
    children: BTreeMap<(u32, Box<[u8]>), Child>,
    /// The directory that was used last, and its path: archives hold most files in runs.
    last: (Vec<u8>, u32),
    /// About the size of the encoded manifest in bytes.
    weight: u64,
}

/// The components of a path, without those that mean nothing.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, EntryFault> {
    if path.first() == Some(&b'/') {
        return Err(EntryFault::Absolute);
    }
    if path.len() > MAX_PATH {
        return Err(EntryFault::Name);
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(EntryFault::Parent),
            name if manifest::is_safe_name(name) => names.push(name),
            _ => return Err(EntryFault::Name),
        }
    }
    Ok(names)
}

impl Received {
    fn take(&mut self, entry: &ArchiveEntry, chunks: &mut Chunks) -> Result<Taken, EntryFault> {
        let names = components(&entry.path)?;
        let mode = entry.mode & MODE_MASK;
        if self.directories.is_empty() {
            // What mode a root without an entry has is left to whoever restores it.
            self.add_directory(None, entry.modified, PathHash::ROOT);
        }
        let Some((name, parents)) = names.split_last() else {
            let ArchiveContent::Directory = entry.content else { return Err(EntryFault::Root) };
            self.set_directory(0, mode, entry.modified);
            return Ok(Taken::Done);
        };
        let parent = self.parent(parents, entry.modified)?;
        match &entry.content {
            ArchiveContent::Special => return Ok(Taken::Skipped),
            ArchiveContent::Directory => {
                let number =
                    self.enter(parent, name, entry.modified).map_err(|fault| match fault {
                        EntryFault::Through => EntryFault::Conflict,
                        fault => fault,
                    })?;
                self.set_directory(number, mode, entry.modified);
            }
            ArchiveContent::File(size) => {
                let inode = self.inodes.len();
                let place = Place::Empty;
                self.put(parent, name, Child::File(inode as u32))?;
                self.inodes.push(Inode { mode, modified: entry.modified, place });
                if *size > 0 {
                    let hash = self.directories[parent as usize].hash.child(name);
                    chunks.weigh(*size, &mut self.weight);
                    return Ok(Taken::Content { inode, hash, size: *size });
                }
            }
            ArchiveContent::Symlink(target) => {
                if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
                    return Err(EntryFault::Target);
                }
                self.weight += target.len() as u64;
                self.put(parent, name, Child::Symlink(self.symlinks.len() as u32))?;
                self.symlinks.push((target.as_slice().into(), entry.modified));
            }
            ArchiveContent::HardLink(target) => {
                let target = self.find(target).ok_or(EntryFault::Link)?;
                self.put(parent, name, target)?;
            }
        }
        Ok(Taken::Done)
    }

    fn add_directory(&mut self, mode: Option<u32>, modified: Timestamp, hash: PathHash) -> u32 {
        self.directories.push(Directory { mode, modified, hash });
        self.directories.len() as u32 - 1
    }

    fn set_directory(&mut self, number: u32, mode: u32, modified: Timestamp) {
        let directory = &mut self.directories[number as usize];
        directory.mode = Some(mode);
        directory.modified = modified;
    }

    /// The directory of that path, made where it is not there.
    fn parent(&mut self, names: &[&[u8]], modified: Timestamp) -> Result<u32, EntryFault> {
        let path = names.join(&b'/');
        if self.last.0 == path {
            return Ok(self.last.1);
        }
        let mut directory = 0;
        for name in names {
            directory = self.enter(directory, name, modified)?;
        }
        self.last = (path, directory);
        Ok(directory)
    }

    /// The directory of that name, made where there is nothing.
    fn enter(&mut self, parent: u32, name: &[u8], modified: Timestamp) -> Result<u32, EntryFault> {
        let hash = self.directories[parent as usize].hash.child(name);
        let next = self.directories.len() as u32;
        match self.children.entry((parent, name.into())) {
            Entry::Occupied(entry) => match *entry.get() {
                Child::Directory(number) => return Ok(number),
                Child::File(_) | Child::Symlink(_) => return Err(EntryFault::Through),
            },
            Entry::Vacant(entry) => entry.insert(Child::Directory(next)),
        };
        self.weight += NODE_SIZE + name.len() as u64;
        Ok(self.add_directory(Some(IMPLICIT_MODE), modified, hash))
    }

    /// Has a name lead to something that is no directory.
    fn put(&mut self, parent: u32, name: &[u8], child: Child) -> Result<(), EntryFault> {
        self.weight += name.len() as u64;
        match self.children.entry((parent, name.into())) {
            Entry::Occupied(mut entry) => match entry.get() {
                Child::Directory(_) => return Err(EntryFault::Conflict),
                Child::File(_) | Child::Symlink(_) => entry.insert(child),
            },
            Entry::Vacant(entry) => *entry.insert(child),
        };
        Ok(())
    }

    /// The file or symbolic link of that path.
    fn find(&self, path: &[u8]) -> Option<Child> {
        let names = components(path).ok()?;
        let (name, parents) = names.split_last()?;
        let mut directory = 0;
        for name in parents {
            match self.children.get(&(directory, Box::from(*name)))? {
                Child::Directory(number) => directory = *number,
                Child::File(_) | Child::Symlink(_) => return None,
            }
        }
        match self.children.get(&(directory, Box::from(*name)))? {
            Child::Directory(_) => None,
            child => Some(*child),
        }
    }

    fn manifest(
        mut self,
        chunks: &Chunks,
        groups: &[Vec<PackedChunk>],
    ) -> Result<(Manifest, Totals), ManifestFault> {
        if self.directories.is_empty() {
            self.add_directory(None, Timestamp::default(), PathHash::ROOT);
        }
        let text = self.children.keys().map(|(_, name)| name.len()).sum::<usize>()
            + self.symlinks.iter().map(|(target, _)| target.len()).sum::<usize>();
        let mut builder = Builder::with_capacity(self.children.len() + 1, text);
        let (numbers, totals) = self.add_chunks(chunks, groups, &mut builder)?;
        let placed = Placed { chunks, groups, numbers };
        let directory = |number: u32, parent: u32, name| {
            let Directory { mode, modified, .. } = self.directories[number as usize];
            Node { parent, name, mode, modified, content: Content::Directory }
        };
        let children = |number: u32| {
            self.children.range((number, Box::default())..(number + 1, Box::default()))
        };
        builder.add(directory(0, 0, &[]))?;
        // The numbers that files got in the manifest, by inode.
        let mut first_names: Vec<Option<u32>> = vec![None; self.inodes.len()];
        let mut extents = Vec::new();
        let mut open = vec![(0, children(0))];
        while let Some((parent, rest)) = open.last_mut() {
            let parent = *parent;
            let Some(((_, name), child)) = rest.next() else {
                open.pop();
                continue;
            };
            match *child {
                Child::Directory(number) => {
                    let place = builder.add(directory(number, parent, name))?;
                    open.push((place, children(number)));
                }
                Child::Symlink(number) => {
                    let (target, modified) = &self.symlinks[number as usize];
                    let content = Content::Symlink(target);
                    builder.add(Node { parent, name, mode: None, modified: *modified, content })?;
                }
                Child::File(inode) => {
                    let first = &mut first_names[inode as usize];
                    let Inode { mode, modified, place } = self.inodes[inode as usize];
                    placed.extents(place, &mut extents)?;
                    let (mode, modified, content) = match first {
                        Some(first) => (None, Timestamp::default(), Content::HardLink(*first)),
                        None => (Some(mode), modified, Content::File(&extents)),
                    };
                    let number = builder.add(Node { parent, name, mode, modified, content })?;
                    first.get_or_insert(number);
                }
            }
        }
        Ok((builder.finish()?, totals))
    }

    /// Adds the chunks of all groups that a name leads to. Returns the number that each chunk of
    /// each group got.
    fn add_chunks(
        &self,
        chunks: &Chunks,
        groups: &[Vec<PackedChunk>],
        builder: &mut Builder,
    ) -> Result<(Vec<Vec<u32>>, Totals), ManifestFault> {
        if groups.len() != chunks.groups as usize {
            return Err(ManifestFault::Malformed);
        }
        let mut used = vec![false; groups.len()];
        for child in self.children.values() {
            let Child::File(inode) = child else { continue };
            match self.inodes[*inode as usize].place {
                Place::Empty => {}
                Place::Bundle { bundle, .. } => {
                    used[chunks.bundles[bundle as usize] as usize] = true
                }
                Place::Cut { first, count, .. } => {
                    used[first as usize..][..count as usize].fill(true);
                }
            }
        }
        let mut numbers = vec![Vec::new(); groups.len()];
        let mut known: BTreeMap<Digest, (u32, bool)> = BTreeMap::new();
        let mut totals = Totals::default();
        for ((group, used), numbers) in groups.iter().zip(used).zip(&mut numbers) {
            for PackedChunk { digest, raw_size, stored_size, new } in
                group.iter().copied().filter(|_| used)
            {
                let (number, written) = match known.entry(digest) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        totals.chunks += 1;
                        totals.stored_size += u64::from(stored_size);
                        entry.insert((builder.add_chunk(ChunkRef { digest, raw_size })?, false))
                    }
                };
                // Two workers may have written the same chunk, and each found it new.
                if new && !*written {
                    *written = true;
                    totals.new_chunks += 1;
                    totals.new_raw_size += u64::from(raw_size);
                    totals.new_stored_size += u64::from(stored_size);
                }
                numbers.push(*number);
            }
        }
        Ok((numbers, totals))
    }
}

/// The groups that the reader was asked for.
#[derive(Default)]
struct Chunks {
    bundler: Bundler,
    /// Bytes of the bundle that is being filled.
    filled: u32,
    /// Groups of both kinds so far.
    groups: u32,
    /// The groups that the bundles became.
    bundles: Vec<u32>,
}

impl Chunks {
    /// Adds what the chunks of a file will take in the encoded manifest.
    fn weigh(&self, size: u64, weight: &mut u64) {
        if size >= chunking::LARGE {
            *weight = weight.saturating_add(size / u64::from(CUT_SIZES.maximum) * NODE_SIZE);
        }
    }

    fn place<R: ArchiveReader>(
        &mut self,
        reader: &mut R,
        hash: PathHash,
        size: u64,
    ) -> Result<Place, ArchiveFault> {
        if size >= chunking::LARGE {
            let first = self.groups;
            for (_, length) in chunking::ranges(size) {
                reader.cut(length, CUT_SIZES)?;
                self.groups += 1;
            }
            return Ok(Place::Cut { first, count: self.groups - first, size });
        }
        if self.bundler.ends_before(size) {
            self.seal(reader)?;
        }
        reader.append()?;
        let bundle = self.bundles.len() as u32;
        let place = Place::Bundle { bundle, offset: self.filled, length: size as u32 };
        self.filled += size as u32;
        if self.bundler.add(hash, size) {
            self.seal(reader)?;
        }
        Ok(place)
    }

    fn seal<R: ArchiveReader>(&mut self, reader: &mut R) -> Result<(), ArchiveFault> {
        if self.filled > 0 {
            reader.seal()?;
            self.bundles.push(self.groups);
            self.groups += 1;
        }
        self.filled = 0;
        self.bundler.reset();
        Ok(())
    }
}

/// Where the contents ended up.
struct Placed<'placed> {
    chunks: &'placed Chunks,
    groups: &'placed [Vec<PackedChunk>],
    /// The number that each chunk of each group has in the manifest.
    numbers: Vec<Vec<u32>>,
}

impl Placed<'_> {
    fn extents(&self, place: Place, extents: &mut Vec<Extent>) -> Result<(), ManifestFault> {
        extents.clear();
        match place {
            Place::Empty => {}
            Place::Bundle { bundle, offset, length } => {
                let group = self.chunks.bundles[bundle as usize];
                let [chunk] = self.numbers[group as usize][..] else {
                    return Err(ManifestFault::Extent(group));
                };
                extents.push(Extent { chunk, offset, length });
            }
            Place::Cut { first, count, size } => {
                let mut received = 0;
                for group in first..first + count {
                    let (chunks, numbers) =
                        (&self.groups[group as usize], &self.numbers[group as usize]);
                    for (packed, chunk) in chunks.iter().zip(numbers) {
                        received += u64::from(packed.raw_size);
                        extents.push(Extent { chunk: *chunk, offset: 0, length: packed.raw_size });
                    }
                }
                if received != size {
                    return Err(ManifestFault::Extent(first));
                }
            }
        }
        Ok(())
    }
}
