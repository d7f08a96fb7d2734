//! What a store finds in the user's tree: listed level by level, so that excluded directories are
//! never read, and brought into path order.
//!
//! Hundreds of thousands of entries have to fit in the memory of a component, so they are kept in
//! a compact form, and the host's lists are dropped as soon as each of them has been taken over.

use crate::error::Error;
use crate::ignore_rules::{FILE_NAME, IgnoreRules, MAX_FILE_SIZE};
use crate::manifest::MODE_MASK;
use crate::walk::{Directory, join, walk};
use btdt_ports::{
    Entry, EntryKind, Environment, IoError, LinkId, Severity, Tally, Timestamp, Tree,
};
use std::collections::BTreeMap;

/// Where a symbolic link points whose target the host does not tell, by its path and time, if
/// anybody knows.
pub type HiddenTarget<'read> = &'read dyn Fn(&[u8], Timestamp) -> Option<Vec<u8>>;

/// A listed tree. Items are numbered; 0 is the root.
#[derive(Debug)]
pub struct Listing {
    items: Vec<Stored>,
    /// Names and symbolic link targets.
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    modified: Timestamp,
    kind: Kind,
    name: u32,
    name_length: u16,
    mode: u16,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Directory { first: u32, count: u32 },
    File { size: u64 },
    Symlink { target: u32, length: u16 },
    HardLink { size: u64, link: u32 },
}

/// An item in path order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number in the listing.
    pub number: u32,
    /// Place of its directory in path order; 0 for the root itself.
    pub parent: u32,
    /// What it is.
    pub kind: ItemKind,
}

/// What an item is, in path order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A directory.
    Directory,
    /// A file of that size in bytes.
    File(u64),
    /// A symbolic link.
    Symlink,
    /// Another name for the file at that place in path order, which is less than its own.
    HardLink(u32),
}

impl Listing {
    /// Lists the tree, leaving out what the rules exclude and, with a warning, what cannot be
    /// stored.
    ///
    /// # Errors
    /// [`Error::Source`] when a part cannot be read, [`Error::SourceKind`] when the root is
    /// neither a file nor a directory, [`Error::SourceTooLarge`].
    pub fn read(
        tree: &impl Tree,
        patterns: &[String],
        hidden_target: HiddenTarget<'_>,
        environment: &dyn Environment,
    ) -> Result<Self, Error> {
        let rules = IgnoreRules::new(patterns)?;
        let failed = |error| Error::Source { path: Vec::new(), error };
        let root = tree.root().map_err(failed)?;
        let root = root.ok_or_else(|| failed(IoError::NOT_FOUND))?;
        let is_directory = match root.kind {
            EntryKind::Directory => true,
            EntryKind::File => false,
            EntryKind::Symlink | EntryKind::Special => return Err(Error::SourceKind),
        };
        let mut reader = Reader {
            tree,
            rules,
            hidden_target,
            environment,
            listing: Listing { items: Vec::new(), text: Vec::new() },
            links: BTreeMap::new(),
            unreadable: Tally::default(),
        };
        // The root has no name and is never a hard link of anything in the tree.
        reader.take(&Entry { name: Vec::new(), link: None, ..root })?;
        if is_directory {
            walk(tree, |directory, entries, next| {
                let failed = |error| Error::Source { path: directory.path.clone(), error };
                reader.take_directory(directory, &entries.map_err(failed)?, next)
            })?;
        }
        if let Some(links) = reader.unreadable.describe("is not stored", "are not stored") {
            let message = format!(
                "This runtime does not tell where some symbolic links point: {links} (docs/wasi.md)"
            );
            environment.log(Severity::Warning, &message);
        }
        Ok(reader.listing)
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes of all names and targets of symbolic links.
    #[must_use]
    pub fn text_length(&self) -> usize {
        self.text.len()
    }

    /// Whether there is not even a root, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The name of an item; empty for the root.
    #[must_use]
    pub fn name(&self, number: u32) -> &[u8] {
        let item = &self.items[number as usize];
        &self.text[item.name as usize..][..usize::from(item.name_length)]
    }

    /// Permission bits of an item, where they are known.
    #[must_use]
    pub fn mode(&self, number: u32) -> Option<u32> {
        let mode = self.items[number as usize].mode;
        (mode != u16::MAX).then_some(u32::from(mode))
    }

    /// Time of the last change of an item.
    #[must_use]
    pub fn modified(&self, number: u32) -> Timestamp {
        self.items[number as usize].modified
    }

    /// Target of a symbolic link; empty for everything else.
    #[must_use]
    pub fn target(&self, number: u32) -> &[u8] {
        match self.items[number as usize].kind {
            Kind::Symlink { target, length } => {
                &self.text[target as usize..][..usize::from(length)]
            }
            _ => &[],
        }
    }

    /// All items in path order: directories before what is in them, names in byte order.
    #[must_use]
    pub fn in_path_order(&self) -> Vec<Item> {
        let mut ordered = Vec::with_capacity(self.items.len());
        let mut first_names = BTreeMap::new();
        // Items still to come: number and place of the parent. A directory's items are pushed
        // backwards, so that they come off in order.
        let mut pending = vec![(0, 0)];
        while let Some((number, parent)) = pending.pop() {
            let place = ordered.len() as u32;
            let kind = match self.items[number as usize].kind {
                Kind::Directory { first, count } => {
                    pending.extend((first..first + count).rev().map(|child| (child, place)));
                    ItemKind::Directory
                }
                Kind::File { size } => ItemKind::File(size),
                Kind::Symlink { .. } => ItemKind::Symlink,
                Kind::HardLink { size, link } => match first_names.get(&link) {
                    Some(first) => ItemKind::HardLink(*first),
                    None => {
                        first_names.insert(link, place);
                        ItemKind::File(size)
                    }
                },
            };
            ordered.push(Item { number, parent, kind });
        }
        ordered
    }
}

struct Reader<'read, T> {
    tree: &'read T,
    rules: IgnoreRules,
    hidden_target: HiddenTarget<'read>,
    environment: &'read dyn Environment,
    listing: Listing,
    /// Numbers for the files that have several names.
    links: BTreeMap<LinkId, u32>,
    /// Symbolic links of which the host does not tell where they point: hosts on WASI cannot read
    /// those to absolute paths, or to such that are not UTF-8.
    unreadable: Tally,
}

impl<T: Tree> Reader<'_, T> {
    /// Takes over the entries of one directory and notes the directories in it.
    fn take_directory(
        &mut self,
        directory: &Directory,
        entries: &[Entry],
        next: &mut Vec<Directory>,
    ) -> Result<(), Error> {
        let Directory { number, path } = directory;
        if entries.iter().any(|entry| entry.name == FILE_NAME && entry.kind == EntryKind::File) {
            self.read_rules(path)?;
        }
        let first = self.listing.items.len() as u32;
        for entry in entries {
            let entry_path = join(path, &entry.name);
            let is_directory = entry.kind == EntryKind::Directory;
            if !self.rules.is_empty() && self.rules.excludes(&entry_path, is_directory) {
                continue;
            }
            if entry.kind == EntryKind::Special {
                let name = String::from_utf8_lossy(&entry_path);
                let message = format!("skipped {name}: sockets, FIFOs and devices are not stored");
                self.environment.log(Severity::Warning, &message);
                continue;
            }
            let number = if entry.kind == EntryKind::Symlink && entry.target.is_none() {
                let Some(target) = (self.hidden_target)(&entry_path, entry.modified) else {
                    self.unreadable.add(|| entry_path);
                    continue;
                };
                self.take(&Entry { target: Some(target), ..entry.clone() })?
            } else {
                self.take(entry)?
            };
            if is_directory {
                next.push(Directory { number, path: entry_path });
            }
        }
        let count = self.listing.items.len() as u32 - first;
        self.listing.items[*number as usize].kind = Kind::Directory { first, count };
        Ok(())
    }

    fn read_rules(&mut self, directory: &[u8]) -> Result<(), Error> {
        let path = join(directory, FILE_NAME);
        let content = self
            .tree
            .read_file(&path, MAX_FILE_SIZE)
            .map_err(|error| Error::Source { path: path.clone(), error })?;
        for refused in self.rules.add_file(directory, &content) {
            let name = String::from_utf8_lossy(&path);
            self.environment.log(Severity::Warning, &format!("{name}: {refused}"));
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry) -> Result<u32, Error> {
        let kind = match entry.kind {
            EntryKind::Directory | EntryKind::Special => Kind::Directory { first: 0, count: 0 },
            EntryKind::Symlink => {
                let target = entry.target.as_deref().unwrap_or_default();
                let length = u16::try_from(target.len()).map_err(|_| Error::SourceTooLarge)?;
                Kind::Symlink { target: self.add_text(target)?, length }
            }
            EntryKind::File => match entry.link {
                None => Kind::File { size: entry.size },
                Some(link) => {
                    let next = self.links.len() as u32;
                    let link = *self.links.entry(link).or_insert(next);
                    Kind::HardLink { size: entry.size, link }
                }
            },
        };
        let number = u32::try_from(self.listing.items.len()).map_err(|_| Error::SourceTooLarge)?;
        let name_length = u16::try_from(entry.name.len()).map_err(|_| Error::SourceTooLarge)?;
        let name = self.add_text(&entry.name)?;
        let mode = entry.mode.map_or(u16::MAX, |mode| (mode & MODE_MASK) as u16);
        let modified = entry.modified;
        self.listing.items.push(Stored { modified, kind, name, name_length, mode });
        Ok(number)
    }

    fn add_text(&mut self, text: &[u8]) -> Result<u32, Error> {
        let start = u32::try_from(self.listing.text.len()).map_err(|_| Error::SourceTooLarge)?;
        self.listing.text.extend_from_slice(text);
        Ok(start)
    }
}
