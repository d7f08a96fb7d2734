//! The manifest: a tree and where the content of its files is.
//!
//! Nodes stand in path order: every directory before what is in it, names in a directory in byte
//! order. Each node names its parent by number and has one name of its own, so a manifest cannot
//! even express a path that leaves the tree, leads through a symbolic link or occurs twice:
//! [`Builder`] refuses the few ways that are left, and there is no other way to make a
//! [`Manifest`]. Everything lies in a handful of vectors, about 80 bytes a file, because a tree of
//! hundreds of thousands of files has to fit in the memory of a component.

mod encoding;

pub use encoding::{decode, decode_chunks, encode};

use btdt_ports::{Digest, Timestamp};

/// Largest chunk of raw content in bytes.
pub const MAX_CHUNK: u32 = 4 << 20;

/// Longest name of a node in bytes, as Linux file systems have it.
pub const MAX_NAME: usize = 255;

/// Longest target of a symbolic link in bytes (`PATH_MAX`).
pub const MAX_TARGET: usize = 4096;

/// Permission bits that are kept. Setuid, setgid and sticky are not.
pub const MODE_MASK: u32 = 0o777;

/// Largest encoded manifest in bytes: about ten million files. A manifest has to fit in the
/// component's memory, so a larger one is refused rather than tried.
pub const MAX_ENCODED: u64 = 512 << 20;

const NO_MODE: u16 = u16::MAX;

/// Why something is not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// It is not CBOR of the expected shape.
    #[error("it is not a btdt manifest")]
    Malformed,
    /// It was written by a later version.
    #[error("its format version {0} is not supported")]
    Version(u32),
    /// A name is empty, too long, `.`, `..`, or contains `/` or NUL.
    #[error("entry {0} has an unsafe name")]
    Name(u32),
    /// A parent is not a directory that is still open at this place.
    #[error("entry {0} is not in a directory")]
    Parent(u32),
    /// Names of one directory are out of order or occur twice.
    #[error("entry {0} is out of order or a duplicate")]
    Order(u32),
    /// Permission bits or a time are out of range.
    #[error("entry {0} has an invalid mode or time")]
    Metadata(u32),
    /// Content lies outside its chunk, or a chunk has an impossible size.
    #[error("entry {0} has content outside of its chunks")]
    Extent(u32),
    /// A link points nowhere or to something that it must not point to.
    #[error("entry {0} is an invalid link")]
    Link(u32),
    /// There are more entries, chunks or bytes than a manifest can have.
    #[error("it is too large")]
    TooLarge,
}

/// A chunk that a manifest refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// SHA-256 of the raw content.
    pub digest: Digest,
    /// Bytes of raw content, 1 to [`MAX_CHUNK`].
    pub raw_size: u32,
}

/// A run of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of the chunk in [`Manifest::chunks`].
    pub chunk: u32,
    /// Where it begins in the chunk, in bytes.
    pub offset: u32,
    /// Its length in bytes, at least 1.
    pub length: u32,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'manifest> {
    /// A directory.
    Directory,
    /// A file and the runs that make it up, in order.
    File(&'manifest [Extent]),
    /// A symbolic link and its target.
    Symlink(&'manifest [u8]),
    /// Another name for the file of that number, which comes before.
    HardLink(u32),
}

/// A node with all that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'manifest> {
    /// Number of the directory that it is in; 0 for the root itself.
    pub parent: u32,
    /// Its name; empty for the root.
    pub name: &'manifest [u8],
    /// Permission bits; `None` for links and where they are not known.
    pub mode: Option<u32>,
    /// Time of the last change; the epoch for hard links.
    pub modified: Timestamp,
    /// What it is.
    pub content: Content<'manifest>,
}

impl Node<'_> {
    /// Size of a file in bytes; 0 for everything else.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self.content {
            Content::File(extents) => extents.iter().map(|extent| u64::from(extent.length)).sum(),
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Directory,
    File { extents: u32, count: u32 },
    Symlink { target: u32, length: u16 },
    HardLink(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StoredNode {
    modified: Timestamp,
    content: Stored,
    parent: u32,
    name: u32,
    name_length: u16,
    mode: u16,
}

impl StoredNode {
    fn lacks_mode(&self) -> bool {
        self.mode == NO_MODE && matches!(self.content, Stored::Directory | Stored::File { .. })
    }
}

/// A tree and where the content of its files is. Always valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    chunks: Vec<ChunkRef>,
    nodes: Vec<StoredNode>,
    extents: Vec<Extent>,
    /// Names and symbolic link targets.
    text: Vec<u8>,
}

impl Manifest {
    /// The chunks that the files refer to, each of them once.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkRef] {
        &self.chunks
    }

    /// Number of nodes; at least 1.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Never true for a manifest that is complete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the root is a directory, not a file.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.nodes.first().is_some_and(|root| matches!(root.content, Stored::Directory))
    }

    /// The node of that number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, number: u32) -> Node<'_> {
        let node = &self.nodes[number as usize];
        let content = match node.content {
            Stored::Directory => Content::Directory,
            Stored::File { extents, count } => {
                Content::File(&self.extents[extents as usize..][..count as usize])
            }
            Stored::Symlink { target, length } => {
                Content::Symlink(&self.text[target as usize..][..usize::from(length)])
            }
            Stored::HardLink(target) => Content::HardLink(target),
        };
        Node {
            parent: node.parent,
            name: &self.text[node.name as usize..][..usize::from(node.name_length)],
            mode: (node.mode != NO_MODE).then_some(u32::from(node.mode)),
            modified: node.modified,
            content,
        }
    }

    /// All nodes in path order, with their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, Node<'_>)> {
        (0..self.len()).map(|number| (number, self.node(number)))
    }

    /// The path of a node relative to the root, which has the empty path.
    #[must_use]
    pub fn path(&self, number: u32) -> Vec<u8> {
        let mut names = Vec::new();
        let mut current = number;
        while current != 0 {
            let node = self.node(current);
            names.push(node.name);
            current = node.parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// Whether there are files or directories whose permission bits are not known.
    #[must_use]
    pub fn lacks_modes(&self) -> bool {
        self.nodes.iter().any(StoredNode::lacks_mode)
    }

    /// Sets the permission bits of nodes of which they are not known and should be.
    pub(crate) fn complete_modes(&mut self, mode_of: impl Fn(u32) -> Option<u32>) {
        for (number, node) in (0..).zip(&mut self.nodes) {
            if node.lacks_mode()
                && let Some(mode) = mode_of(number)
            {
                node.mode = (mode & MODE_MASK) as u16;
            }
        }
    }

    /// Number of files, counting each hard link as one, and their size in bytes.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.nodes().fold((0, 0), |(files, bytes), (_, node)| match node.content {
            Content::File(_) => (files + 1, bytes + node.size()),
            Content::HardLink(_) => (files + 1, bytes),
            _ => (files, bytes),
        })
    }
}

/// Makes a manifest node by node, in path order, and refuses what would make it unsafe.
#[derive(Debug, Default)]
pub struct Builder {
    manifest: Manifest,
    /// The directories from the root to the one that the last node is in, each with the number of
    /// the node in it that came last.
    open: Vec<(u32, Option<u32>)>,
}

impl Builder {
    /// A manifest without any chunk or node.
    #[must_use]
    pub fn new() -> Self {
        Builder::default()
    }

    /// A manifest without any chunk or node, and memory for this many nodes of which the names
    /// have that many bytes. Growing step by step would take twice as much at the worst moment.
    #[must_use]
    pub fn with_capacity(nodes: usize, text: usize) -> Self {
        let mut builder = Builder::default();
        builder.reserve(nodes);
        builder.manifest.text.reserve_exact(text);
        builder
    }

    fn reserve(&mut self, nodes: usize) {
        self.manifest.nodes.reserve_exact(nodes);
        self.manifest.extents.reserve_exact(nodes);
    }

    /// Adds a chunk that later files can refer to. Returns its number.
    ///
    /// # Errors
    /// [`ManifestFault::Extent`] for an impossible size, [`ManifestFault::TooLarge`].
    pub fn add_chunk(&mut self, chunk: ChunkRef) -> Result<u32, ManifestFault> {
        if chunk.raw_size == 0 || chunk.raw_size > MAX_CHUNK {
            return Err(ManifestFault::Extent(0));
        }
        let number = index(self.manifest.chunks.len())?;
        self.manifest.chunks.push(chunk);
        Ok(number)
    }

    /// Adds the next node in path order; the first one is the root. Returns its number.
    ///
    /// # Errors
    /// See [`ManifestFault`].
    pub fn add(&mut self, node: Node<'_>) -> Result<u32, ManifestFault> {
        let number = index(self.manifest.nodes.len())?;
        self.check_place(number, &node)?;
        let content = self.check_content(number, &node)?;
        let mode = match node.mode {
            None => NO_MODE,
            Some(mode) if mode & !MODE_MASK == 0 => mode as u16,
            Some(_) => return Err(ManifestFault::Metadata(number)),
        };
        if node.modified.nanoseconds > 999_999_999 {
            return Err(ManifestFault::Metadata(number));
        }
        let name = index(self.manifest.text.len())?;
        self.manifest.text.extend_from_slice(node.name);
        self.manifest.nodes.push(StoredNode {
            modified: node.modified,
            content,
            parent: node.parent,
            name,
            name_length: node.name.len() as u16,
            mode,
        });
        if matches!(content, Stored::Directory) {
            self.open.push((number, None));
        }
        Ok(number)
    }

    /// The finished manifest.
    ///
    /// # Errors
    /// [`ManifestFault::Malformed`] when there is no root.
    pub fn finish(self) -> Result<Manifest, ManifestFault> {
        if self.manifest.is_empty() { Err(ManifestFault::Malformed) } else { Ok(self.manifest) }
    }

    fn check_place(&mut self, number: u32, node: &Node<'_>) -> Result<(), ManifestFault> {
        if number == 0 {
            let root = matches!(node.content, Content::Directory | Content::File(_));
            let valid = root && node.parent == 0 && node.name.is_empty();
            return if valid { Ok(()) } else { Err(ManifestFault::Parent(0)) };
        }
        if !is_safe_name(node.name) {
            return Err(ManifestFault::Name(number));
        }
        while self.open.last().is_some_and(|(directory, _)| *directory > node.parent) {
            self.open.pop();
        }
        let Some((directory, last)) = self.open.last_mut() else {
            return Err(ManifestFault::Parent(number));
        };
        if *directory != node.parent {
            return Err(ManifestFault::Parent(number));
        }
        let last = last.replace(number);
        if last.is_some_and(|last| self.manifest.node(last).name >= node.name) {
            return Err(ManifestFault::Order(number));
        }
        Ok(())
    }

    fn check_content(&mut self, number: u32, node: &Node<'_>) -> Result<Stored, ManifestFault> {
        let manifest = &mut self.manifest;
        match node.content {
            Content::Directory => Ok(Stored::Directory),
            Content::File(extents) => {
                for extent in extents {
                    let chunk = manifest.chunks.get(extent.chunk as usize);
                    let end = u64::from(extent.offset) + u64::from(extent.length);
                    let inside = chunk.is_some_and(|chunk| end <= u64::from(chunk.raw_size));
                    if !inside || extent.length == 0 {
                        return Err(ManifestFault::Extent(number));
                    }
                }
                let first = index(manifest.extents.len())?;
                manifest.extents.extend_from_slice(extents);
                Ok(Stored::File { extents: first, count: index(extents.len())? })
            }
            Content::Symlink(target) => {
                if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
                    return Err(ManifestFault::Link(number));
                }
                let start = index(manifest.text.len())?;
                manifest.text.extend_from_slice(target);
                Ok(Stored::Symlink { target: start, length: target.len() as u16 })
            }
            Content::HardLink(target) => {
                let to_file = target < number
                    && matches!(manifest.nodes[target as usize].content, Stored::File { .. });
                if to_file {
                    Ok(Stored::HardLink(target))
                } else {
                    Err(ManifestFault::Link(number))
                }
            }
        }
    }
}

/// Whether a name can stand in a directory without meaning anything but itself.
#[must_use]
pub fn is_safe_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

fn index(length: usize) -> Result<u32, ManifestFault> {
    u32::try_from(length).map_err(|_| ManifestFault::TooLarge)
}

#[cfg(test)]
mod tests;
