//! Lists the user's tree for a store: level by level, so that excluded directories are never read,
//! and then in path order.
//!
//! Hundreds of thousands of entries have to fit in a component's memory, so they are kept in a
//! compact form and the host's lists are dropped right away.

use crate::manifest::MODE_MASK;
use crate::tree::ignore_rules::{FILE_NAME, IgnoreRules, MAX_FILE_SIZE};
use crate::tree::walk::{Directory, join, walk};
use btdt_ports::client::Error;
use btdt_ports::{
    Entry, EntryKind, Environment, IoError, LinkId, Severity, Tally, Timestamp, Tree,
};
use std::collections::BTreeMap;

/// Looks up the target of a symbolic link that the host cannot read, by path and modification time.
pub type HiddenTarget<'read> = &'read dyn Fn(&[u8], Timestamp) -> Option<Vec<u8>>;

/// A listed tree. Items have numbers; 0 is the root.
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
    /// Position of its directory in path order; 0 for the root itself.
    pub parent: u32,
    /// Its kind.
    pub kind: ItemKind,
}

/// The kind of an item in path order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A directory.
    Directory,
    /// A file, with its size in bytes.
    File(u64),
    /// A symbolic link.
    Symlink,
    /// Another name for a file at an earlier position in path order.
    HardLink(u32),
}

impl Listing {
    /// Lists the tree without what the rules exclude. Warns about entries that cannot be stored.
    ///
    /// # Errors
    /// [`Error::Source`], [`Error::SourceKind`], [`Error::SourceTooLarge`], and
    /// [`Error::InvalidExclude`].
    pub fn read(
        tree: &impl Tree,
        patterns: &[String],
        hidden_target: HiddenTarget<'_>,
        environment: &dyn Environment,
    ) -> Result<Self, Error> {
        let rules = IgnoreRules::new(patterns)?;
        let failed = |error| Error::source(b"", error);
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
        // The root has no name and is never a hard link to anything in the tree.
        reader.add(&Entry { name: Vec::new(), link: None, ..root })?;
        if is_directory {
            walk(tree, |directory, entries, next| {
                let failed = |error| Error::source(&directory.path, error);
                reader.add_directory(directory, &entries.map_err(failed)?, next)
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

    /// Length of all names and symbolic link targets in bytes.
    #[must_use]
    pub fn text_length(&self) -> usize {
        self.text.len()
    }

    /// The name of an item; empty for the root.
    #[must_use]
    pub fn name(&self, number: u32) -> &[u8] {
        let item = &self.items[number as usize];
        &self.text[item.name as usize..][..usize::from(item.name_length)]
    }

    /// Permission bits of an item, if known.
    #[must_use]
    pub fn mode(&self, number: u32) -> Option<u32> {
        let mode = self.items[number as usize].mode;
        (mode != u16::MAX).then_some(u32::from(mode))
    }

    /// Modification time of an item.
    #[must_use]
    pub fn modified(&self, number: u32) -> Timestamp {
        self.items[number as usize].modified
    }

    /// Target of a symbolic link; empty for other items.
    #[must_use]
    pub fn target(&self, number: u32) -> &[u8] {
        match self.items[number as usize].kind {
            Kind::Symlink { target, length } => {
                &self.text[target as usize..][..usize::from(length)]
            }
            _ => &[],
        }
    }

    /// All items in path order: directories before their contents, names in byte order.
    #[must_use]
    pub fn in_path_order(&self) -> Vec<Item> {
        let mut ordered = Vec::with_capacity(self.items.len());
        let mut first_names = BTreeMap::new();
        // A stack of items with their parents' positions. A directory's items are pushed in
        // reverse, so that they are popped in order.
        let mut pending = vec![(0, 0)];
        while let Some((number, parent)) = pending.pop() {
            let position = ordered.len() as u32;
            let kind = match self.items[number as usize].kind {
                Kind::Directory { first, count } => {
                    pending.extend((first..first + count).rev().map(|child| (child, position)));
                    ItemKind::Directory
                }
                Kind::File { size } => ItemKind::File(size),
                Kind::Symlink { .. } => ItemKind::Symlink,
                Kind::HardLink { size, link } => match first_names.get(&link) {
                    Some(first) => ItemKind::HardLink(*first),
                    None => {
                        first_names.insert(link, position);
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
    /// Numbers for files with several names.
    links: BTreeMap<LinkId, u32>,
    /// Symbolic links with unknown targets: hosts on WASI cannot read targets that are absolute or
    /// not UTF-8.
    unreadable: Tally,
}

impl<T: Tree> Reader<'_, T> {
    /// Adds the entries of a directory, and its subdirectories to the next level.
    fn add_directory(
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
                self.add(&Entry { target: Some(target), ..entry.clone() })?
            } else {
                self.add(entry)?
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
            .map_err(|error| Error::source(&path, error))?;
        for refused in self.rules.add_file(directory, &content) {
            let name = String::from_utf8_lossy(&path);
            self.environment.log(Severity::Warning, &format!("{name}: {refused}"));
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) -> Result<u32, Error> {
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
