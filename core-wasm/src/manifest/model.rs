//! The data model: chunks, extents, nodes, and the manifest that holds them.

use btdt_ports::{Digest, Timestamp};

/// Largest chunk of raw content in bytes.
pub const MAX_CHUNK: u32 = 4 << 20;

/// Longest name of a node in bytes, as on Linux file systems.
const MAX_NAME: usize = 255;

/// Longest target of a symbolic link in bytes (`PATH_MAX`).
pub const MAX_TARGET: usize = 4096;

/// The permission bits that are kept: all but setuid, setgid and sticky.
pub const MODE_MASK: u32 = 0o777;

/// Largest encoded manifest in bytes: about ten million files. Larger ones would not fit in the
/// component's memory.
pub const MAX_ENCODED: u64 = 512 << 20;

pub(super) const NO_MODE: u16 = u16::MAX;

/// Why a manifest is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// It is not CBOR of the expected shape.
    #[error("it is not a btdt manifest")]
    Malformed,
    /// A later version of this program wrote it.
    #[error("its format version {0} is not supported")]
    Version(u32),
    /// A name is empty, too long, `.`, `..`, or contains `/` or NUL.
    #[error("entry {0} has an unsafe name")]
    Name(u32),
    /// A node's parent is not one of the directories that are open at this point.
    #[error("entry {0} is not in a directory")]
    Parent(u32),
    /// Names within a directory are out of order or occur twice.
    #[error("entry {0} is out of order or a duplicate")]
    Order(u32),
    /// Permission bits or a time are out of range.
    #[error("entry {0} has an invalid mode or time")]
    Metadata(u32),
    /// An extent lies outside its chunk, or a chunk has an impossible size.
    #[error("entry {0} has content outside of its chunks")]
    Extent(u32),
    /// A symbolic link's target is invalid, or a hard link does not refer to an earlier file.
    #[error("entry {0} is an invalid link")]
    Link(u32),
    /// It exceeds the number of entries, chunks or bytes that a manifest can have.
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

/// A piece of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of the chunk in [`Manifest::chunks`].
    pub chunk: u32,
    /// Offset in the chunk, in bytes.
    pub offset: u32,
    /// Length in bytes, at least 1.
    pub length: u32,
}

/// The kind of a node, and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'manifest> {
    /// A directory.
    Directory,
    /// A file, and the extents that make up its content, in order.
    File(&'manifest [Extent]),
    /// A symbolic link, and its target.
    Symlink(&'manifest [u8]),
    /// Another name for an earlier node, a file, given by number.
    HardLink(u32),
}

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'manifest> {
    /// Number of its directory; 0 for the root itself.
    pub parent: u32,
    /// Name; empty for the root.
    pub name: &'manifest [u8],
    /// Permission bits; `None` for links, and if unknown.
    pub mode: Option<u32>,
    /// Modification time; the epoch for hard links.
    pub modified: Timestamp,
    /// Kind and content.
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
pub(super) enum StoredContent {
    Directory,
    File { extents: u32, count: u32 },
    Symlink { target: u32, length: u16 },
    HardLink(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredNode {
    pub(super) modified: Timestamp,
    pub(super) content: StoredContent,
    pub(super) parent: u32,
    pub(super) name: u32,
    pub(super) name_length: u16,
    pub(super) mode: u16,
}

impl StoredNode {
    fn lacks_mode(&self) -> bool {
        self.mode == NO_MODE
            && matches!(self.content, StoredContent::Directory | StoredContent::File { .. })
    }
}

/// A tree, and which chunks hold the content of its files. Always valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub(super) chunks: Vec<ChunkRef>,
    pub(super) nodes: Vec<StoredNode>,
    pub(super) extents: Vec<Extent>,
    /// Names and symbolic link targets.
    pub(super) text: Vec<u8>,
}

impl Manifest {
    /// The distinct chunks that the files refer to.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkRef] {
        &self.chunks
    }

    /// Number of nodes; at least 1.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is no root: only while a manifest is being built.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the root is a directory rather than a file.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.nodes.first().is_some_and(|root| matches!(root.content, StoredContent::Directory))
    }

    /// The node of that number.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn node(&self, number: u32) -> Node<'_> {
        let node = &self.nodes[number as usize];
        let content = match node.content {
            StoredContent::Directory => Content::Directory,
            StoredContent::File { extents, count } => {
                Content::File(&self.extents[extents as usize..][..count as usize])
            }
            StoredContent::Symlink { target, length } => {
                Content::Symlink(&self.text[target as usize..][..usize::from(length)])
            }
            StoredContent::HardLink(target) => Content::HardLink(target),
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

    /// Whether any file or directory has unknown permission bits.
    #[must_use]
    pub fn lacks_modes(&self) -> bool {
        self.nodes.iter().any(StoredNode::lacks_mode)
    }

    /// Fills in unknown permission bits of files and directories.
    pub(crate) fn complete_modes(&mut self, mode_of: impl Fn(u32) -> Option<u32>) {
        for (number, node) in (0..).zip(&mut self.nodes) {
            if node.lacks_mode()
                && let Some(mode) = mode_of(number)
            {
                node.mode = (mode & MODE_MASK) as u16;
            }
        }
    }

    /// Number of files including hard links, and their size in bytes with hard links counted once.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.nodes().fold((0, 0), |(files, bytes), (_, node)| match node.content {
            Content::File(_) => (files + 1, bytes + node.size()),
            Content::HardLink(_) => (files + 1, bytes),
            _ => (files, bytes),
        })
    }
}

/// Whether a directory entry may have this name: it stands for nothing but itself.
#[must_use]
pub fn is_safe_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}
