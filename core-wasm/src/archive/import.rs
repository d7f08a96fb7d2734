//! Turns an incoming archive into a manifest: the tree that `tar x` would extract, without its
//! dangers.
//!
//! Entries come in any order and under any path. Paths are parsed here and never reach a file
//! system: one that leaves the tree or leads through anything but directories refuses the whole
//! archive. Files are chunked as [`crate::tree::packing`] does it, so an archive of a tree in path
//! order yields the chunks and the manifest of the tree itself.

use crate::chunking::{self, Bundler, CUT_SIZES, ChunkTable, ChunkTotals, PathHash};
use crate::manifest::{
    self, Builder, Content, Extent, MAX_TARGET, MODE_MASK, Manifest, ManifestFault, Node,
};
use btdt_ports::{
    ArchiveContent, ArchiveEntry, ArchiveFault, ArchiveReader, Environment, PackedChunk, Severity,
    Timestamp,
};
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;

/// Longest path in bytes: longer than any system call accepts, and a bound for the number of
/// directories that one entry can create.
const MAX_PATH: usize = 32 << 10;

/// Permission bits of a directory without an entry of its own.
const IMPLICIT_MODE: u32 = 0o755;

/// Approximate size of an encoded node in bytes, without names and targets.
const NODE_SIZE: u64 = 32;

/// Skipped entries beyond this number are only counted, not named.
const MAX_WARNINGS: u64 = 8;

/// Longest part of a path that a message shows, in bytes.
const SHOWN_PATH: usize = 200;

/// Why an entry of an archive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    /// Its path is absolute.
    #[error("its path is absolute")]
    Absolute,
    /// Its path has a component `..`.
    #[error("its path contains \"..\"")]
    Parent,
    /// A name is too long or contains NUL, or the whole path is too long.
    #[error("its path is too long or contains a NUL byte")]
    Name,
    /// It is the root, but not a directory.
    #[error("it has no name")]
    Root,
    /// Its path leads through something other than a directory, such as a symbolic link.
    #[error("its path leads through something that is not a directory")]
    Through,
    /// A directory and something else have the same path.
    #[error("a directory and something else have its path")]
    Conflict,
    /// The target of a symbolic link is empty, too long or contains NUL.
    #[error("its target is not one that a symbolic link can have")]
    Target,
    /// It is a hard link to a directory, or to something that has not come before.
    #[error("it is a hard link to something that is not a file before it in the archive")]
    Link,
}

/// Why an archive is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportFault {
    /// It could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// An entry is refused.
    #[error("entry {}: {fault}", Shown(.path))]
    Entry {
        /// Its path as in the archive.
        path: Vec<u8>,
        /// What is wrong with it.
        fault: MemberFault,
    },
    /// Its tree would be larger than a manifest may be.
    #[error("it has too many entries")]
    TooLarge,
    /// The host's chunks do not match the requested groups.
    #[error("its chunks do not make up its files: {0}")]
    Inconsistent(ManifestFault),
}

/// A path, shortened for a message.
struct Shown<'path>(&'path [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_PATH)];
        write!(formatter, "{:?}", String::from_utf8_lossy(shown))
    }
}

/// Receives an archive: `reader` stores the contents, and the result is the tree. A tree whose
/// encoded form would exceed `max_manifest` bytes is refused early, by estimate.
///
/// As for `tar x`, the last of several entries with the same path counts. Directories without an
/// entry get the time of the entry that needed them. Devices and the like are skipped with a
/// warning.
pub fn import<R: ArchiveReader>(
    mut reader: R,
    max_manifest: u64,
    environment: &dyn Environment,
) -> Result<(Manifest, ChunkTotals), ImportFault> {
    let mut tree = ReceivedTree::default();
    let mut groups = Groups::default();
    let mut skipped: u64 = 0;
    while let Some(mut entry) = reader.next()? {
        // An invalid time is the sender's mistake, and no reason to fail.
        entry.modified.nanoseconds = entry.modified.nanoseconds.min(999_999_999);
        tree.encoded_size += NODE_SIZE;
        let added = tree
            .add(&entry)
            .map_err(|fault| ImportFault::Entry { path: entry.path.clone(), fault })?;
        if tree.encoded_size > max_manifest {
            return Err(ImportFault::TooLarge);
        }
        match added {
            Added::File { inode, hash, size } => {
                tree.inodes[inode].location = groups.add(&mut reader, hash, size)?;
            }
            Added::Skipped => {
                skipped += 1;
                if skipped <= MAX_WARNINGS {
                    let path = Shown(&entry.path);
                    let message =
                        format!("{path} is neither a file, a directory nor a link: skipped");
                    environment.log(Severity::Warning, &message);
                }
            }
            Added::Done => {}
        }
    }
    if skipped > MAX_WARNINGS {
        let more = skipped - MAX_WARNINGS;
        environment.log(Severity::Warning, &format!("{more} more entries were skipped"));
    }
    groups.seal(&mut reader)?;
    let packed = reader.finish()?;
    tree.manifest(&groups, &packed).map_err(ImportFault::Inconsistent)
}

/// What remains to be done for an entry that was added to the tree.
enum Added {
    /// Its content has to be read.
    File { inode: usize, hash: PathHash, size: u64 },
    /// Warn that it was skipped.
    Skipped,
    /// Nothing.
    Done,
}

/// Where the content of a file is.
#[derive(Clone, Copy)]
enum Location {
    /// There is no content.
    Empty,
    /// A part of a bundle.
    Bundle { bundle: u32, offset: u32, length: u32 },
    /// All of a sequence of groups.
    Cut { first: u32, count: u32, size: u64 },
}

/// What a name refers to, by number.
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
    location: Location,
}

/// The tree so far. As in a file system, names in directories refer to numbered things, so that a
/// later entry can reuse a name without affecting other names of the same file.
#[derive(Default)]
struct ReceivedTree {
    directories: Vec<Directory>,
    inodes: Vec<Inode>,
    symlinks: Vec<(Box<[u8]>, Timestamp)>,
    /// By directory and name, which is the order of a manifest.
    children: BTreeMap<(u32, Box<[u8]>), Child>,
    /// The last directory used, and its path: most consecutive files share a directory.
    last: (Vec<u8>, u32),
    /// Approximate size of the encoded manifest in bytes.
    encoded_size: u64,
}

/// The components of a path, without empty ones and `.`.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, MemberFault> {
    if path.first() == Some(&b'/') {
        return Err(MemberFault::Absolute);
    }
    if path.len() > MAX_PATH {
        return Err(MemberFault::Name);
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(MemberFault::Parent),
            name if manifest::is_safe_name(name) => names.push(name),
            _ => return Err(MemberFault::Name),
        }
    }
    Ok(names)
}

impl ReceivedTree {
    fn add(&mut self, entry: &ArchiveEntry) -> Result<Added, MemberFault> {
        let names = components(&entry.path)?;
        let mode = entry.mode & MODE_MASK;
        if self.directories.is_empty() {
            // A restore chooses the mode of a root without an entry.
            self.add_directory(None, entry.modified, PathHash::ROOT);
        }
        let Some((name, parents)) = names.split_last() else {
            let ArchiveContent::Directory = entry.content else { return Err(MemberFault::Root) };
            self.set_directory(0, mode, entry.modified);
            return Ok(Added::Done);
        };
        let parent = self.parent(parents, entry.modified)?;
        match &entry.content {
            ArchiveContent::Special => return Ok(Added::Skipped),
            ArchiveContent::Directory => {
                let number =
                    self.enter(parent, name, entry.modified).map_err(|fault| match fault {
                        MemberFault::Through => MemberFault::Conflict,
                        fault => fault,
                    })?;
                self.set_directory(number, mode, entry.modified);
            }
            ArchiveContent::File(size) => {
                let inode = self.inodes.len();
                self.put(parent, name, Child::File(inode as u32))?;
                self.inodes.push(Inode {
                    mode,
                    modified: entry.modified,
                    location: Location::Empty,
                });
                if *size > 0 {
                    let hash = self.directories[parent as usize].hash.child(name);
                    if *size >= chunking::LARGE {
                        let chunks = size / u64::from(CUT_SIZES.maximum);
                        self.encoded_size = self.encoded_size.saturating_add(chunks * NODE_SIZE);
                    }
                    return Ok(Added::File { inode, hash, size: *size });
                }
            }
            ArchiveContent::Symlink(target) => {
                if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
                    return Err(MemberFault::Target);
                }
                self.encoded_size += target.len() as u64;
                self.put(parent, name, Child::Symlink(self.symlinks.len() as u32))?;
                self.symlinks.push((target.as_slice().into(), entry.modified));
            }
            ArchiveContent::HardLink(target) => {
                let target = self.find(target).ok_or(MemberFault::Link)?;
                self.put(parent, name, target)?;
            }
        }
        Ok(Added::Done)
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

    /// The directory at a path, created if absent.
    fn parent(&mut self, names: &[&[u8]], modified: Timestamp) -> Result<u32, MemberFault> {
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

    /// The directory of a name, created if absent.
    fn enter(&mut self, parent: u32, name: &[u8], modified: Timestamp) -> Result<u32, MemberFault> {
        let hash = self.directories[parent as usize].hash.child(name);
        let next = self.directories.len() as u32;
        match self.children.entry((parent, name.into())) {
            Entry::Occupied(entry) => match *entry.get() {
                Child::Directory(number) => return Ok(number),
                Child::File(_) | Child::Symlink(_) => return Err(MemberFault::Through),
            },
            Entry::Vacant(entry) => entry.insert(Child::Directory(next)),
        };
        self.encoded_size += NODE_SIZE + name.len() as u64;
        Ok(self.add_directory(Some(IMPLICIT_MODE), modified, hash))
    }

    /// Lets a name refer to something other than a directory.
    fn put(&mut self, parent: u32, name: &[u8], child: Child) -> Result<(), MemberFault> {
        self.encoded_size += name.len() as u64;
        match self.children.entry((parent, name.into())) {
            Entry::Occupied(mut entry) => match entry.get() {
                Child::Directory(_) => return Err(MemberFault::Conflict),
                Child::File(_) | Child::Symlink(_) => entry.insert(child),
            },
            Entry::Vacant(entry) => *entry.insert(child),
        };
        Ok(())
    }

    /// The file or symbolic link at a path.
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
        groups: &Groups,
        packed: &[Vec<PackedChunk>],
    ) -> Result<(Manifest, ChunkTotals), ManifestFault> {
        if self.directories.is_empty() {
            self.add_directory(None, Timestamp::default(), PathHash::ROOT);
        }
        let text = self.children.keys().map(|(_, name)| name.len()).sum::<usize>()
            + self.symlinks.iter().map(|(target, _)| target.len()).sum::<usize>();
        let mut builder = Builder::with_capacity(self.children.len() + 1, text);
        let (numbers, totals) = self.add_chunks(groups, packed, &mut builder)?;
        let locator = Locator { groups, packed, numbers };
        let directory = |number: u32, parent: u32, name| {
            let Directory { mode, modified, .. } = self.directories[number as usize];
            Node { parent, name, mode, modified, content: Content::Directory }
        };
        let children = |number: u32| {
            self.children.range((number, Box::default())..(number + 1, Box::default()))
        };
        builder.add(directory(0, 0, &[]))?;
        // The numbers of files in the manifest, by inode.
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
                    let added = builder.add(directory(number, parent, name))?;
                    open.push((added, children(number)));
                }
                Child::Symlink(number) => {
                    let (target, modified) = &self.symlinks[number as usize];
                    let content = Content::Symlink(target);
                    builder.add(Node { parent, name, mode: None, modified: *modified, content })?;
                }
                Child::File(inode) => {
                    let first = &mut first_names[inode as usize];
                    let Inode { mode, modified, location } = self.inodes[inode as usize];
                    locator.extents(location, &mut extents)?;
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

    /// Adds the chunks of all groups that some name still refers to. Returns the numbers of each
    /// group's chunks.
    fn add_chunks(
        &self,
        groups: &Groups,
        packed: &[Vec<PackedChunk>],
        builder: &mut Builder,
    ) -> Result<(Vec<Vec<u32>>, ChunkTotals), ManifestFault> {
        if packed.len() != groups.count as usize {
            return Err(ManifestFault::Malformed);
        }
        let mut used = vec![false; packed.len()];
        for child in self.children.values() {
            let Child::File(inode) = child else { continue };
            match self.inodes[*inode as usize].location {
                Location::Empty => {}
                Location::Bundle { bundle, .. } => {
                    used[groups.bundles[bundle as usize] as usize] = true
                }
                Location::Cut { first, count, .. } => {
                    used[first as usize..][..count as usize].fill(true);
                }
            }
        }
        let mut numbers = vec![Vec::new(); packed.len()];
        let mut table = ChunkTable::default();
        for ((group, used), numbers) in packed.iter().zip(used).zip(&mut numbers) {
            for chunk in group.iter().filter(|_| used) {
                numbers.push(table.add(*chunk, builder)?);
            }
        }
        Ok((numbers, table.totals))
    }
}

/// The groups of chunks that the reader was asked for.
#[derive(Default)]
struct Groups {
    bundler: Bundler,
    /// Size of the current bundle in bytes.
    filled: u32,
    /// Number of groups of both kinds.
    count: u32,
    /// The group of each bundle.
    bundles: Vec<u32>,
}

impl Groups {
    /// Has the reader store the content of its current entry.
    fn add<R: ArchiveReader>(
        &mut self,
        reader: &mut R,
        hash: PathHash,
        size: u64,
    ) -> Result<Location, ArchiveFault> {
        if size >= chunking::LARGE {
            let first = self.count;
            for (_, length) in chunking::ranges(size) {
                reader.cut(length, CUT_SIZES)?;
                self.count += 1;
            }
            return Ok(Location::Cut { first, count: self.count - first, size });
        }
        if self.bundler.ends_before(size) {
            self.seal(reader)?;
        }
        reader.append()?;
        let bundle = self.bundles.len() as u32;
        let location = Location::Bundle { bundle, offset: self.filled, length: size as u32 };
        self.filled += size as u32;
        if self.bundler.add(hash, size) {
            self.seal(reader)?;
        }
        Ok(location)
    }

    /// Ends the current bundle.
    fn seal<R: ArchiveReader>(&mut self, reader: &mut R) -> Result<(), ArchiveFault> {
        if self.filled > 0 {
            reader.seal()?;
            self.bundles.push(self.count);
            self.count += 1;
        }
        self.filled = 0;
        self.bundler.reset();
        Ok(())
    }
}

/// Finds the content of files in the packed groups.
struct Locator<'groups> {
    groups: &'groups Groups,
    packed: &'groups [Vec<PackedChunk>],
    /// The manifest's numbers of each group's chunks.
    numbers: Vec<Vec<u32>>,
}

impl Locator<'_> {
    fn extents(&self, location: Location, extents: &mut Vec<Extent>) -> Result<(), ManifestFault> {
        extents.clear();
        match location {
            Location::Empty => {}
            Location::Bundle { bundle, offset, length } => {
                let group = self.groups.bundles[bundle as usize];
                let [chunk] = self.numbers[group as usize][..] else {
                    return Err(ManifestFault::Extent(group));
                };
                extents.push(Extent { chunk, offset, length });
            }
            Location::Cut { first, count, size } => {
                let mut received = 0;
                for group in first..first + count {
                    let (chunks, numbers) =
                        (&self.packed[group as usize], &self.numbers[group as usize]);
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
