//! The content of an outgoing archive, in a compact form.

use super::format::{END, MAX_CHUNK, MAX_EXTENSION, padding};
use super::read_ahead::ReadAhead;
use super::stream_fault::StreamFault;
use super::write_header::{self, Kind, Member};
use crate::chunk_io::Source;
use btdt_ports::{
    ArchiveBatch, ArchiveChunk, ArchiveExtent, ArchiveNode, ArchiveNodeContent, ArchivePlan,
    Timestamp,
};
use std::sync::Arc;

/// A node: 32 bytes and its name.
#[derive(Clone, Copy)]
struct Node {
    seconds: i64,
    nanoseconds: u32,
    parent: u32,
    /// Offset of its name in the text; the target of a symbolic link follows the name.
    text: u32,
    /// File: number of extents. Symbolic link: length of the target. Hard link: the other node.
    detail: u32,
    name_length: u16,
    mode: u16,
    kind: Kind,
}

/// The plan of a tar stream: 32 bytes for a node plus its name, 12 for an extent, 36 for a chunk.
#[derive(Clone)]
pub struct TarPlan {
    pub(super) source: Source,
    pub(super) read_ahead: Arc<ReadAhead>,
    pub(super) chunks: Vec<ArchiveChunk>,
    pub(super) extents: Vec<ArchiveExtent>,
    nodes: Vec<Node>,
    text: Vec<u8>,
    /// Whether the root has an entry of its own.
    has_root: bool,
    /// Whether a batch contained something that does not fit.
    is_broken: bool,
}

impl TarPlan {
    /// An empty plan for content of `source`.
    #[must_use]
    pub fn new(source: Source) -> Self {
        TarPlan {
            source,
            read_ahead: Arc::new(ReadAhead::unlimited()),
            chunks: Vec::new(),
            extents: Vec::new(),
            nodes: Vec::new(),
            text: Vec::new(),
            has_root: true,
            is_broken: false,
        }
    }

    /// Uses a limit for reading ahead that streams share.
    #[must_use]
    pub fn sharing(self, read_ahead: Arc<ReadAhead>) -> Self {
        TarPlan { read_ahead, ..self }
    }

    /// Leaves out the entry `./`, which gives the mode and the time of the root to the directory
    /// that the archive is unpacked in.
    #[must_use]
    pub fn without_root(self) -> Self {
        TarPlan { has_root: false, ..self }
    }

    /// Like [`TarPlan::without_root`], in place.
    pub fn leave_out_root(&mut self) {
        self.has_root = false;
    }

    /// The memory of the plan in bytes.
    #[must_use]
    pub fn approximate_memory(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.extents.capacity() * size_of::<ArchiveExtent>()
            + self.chunks.capacity() * size_of::<ArchiveChunk>()
            + self.text.capacity()
    }

    /// The length of the stream in bytes. Takes a few milliseconds for tens of thousands of nodes.
    pub fn content_length(&self) -> Result<u64, StreamFault> {
        self.check()?;
        let mut walk = Walk::new(self);
        let mut total = END;
        while let Some(size) = walk.next(self, |member| {
            write_header::length(member) + member.size + padding(member.size)
        })? {
            total = total.checked_add(size).ok_or(StreamFault::Plan)?;
        }
        Ok(total)
    }

    /// The number of nodes.
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether all indices are valid.
    pub(super) fn check(&self) -> Result<(), StreamFault> {
        let mut extents = self.extents.iter();
        let mut valid = !self.is_broken;
        for (number, node) in self.nodes.iter().enumerate() {
            let earlier = |other: u32, kind| {
                (other as usize) < number && self.nodes[other as usize].kind == kind
            };
            valid &= node.nanoseconds < 1_000_000_000;
            valid &= match number {
                0 => node.parent == 0 && node.kind == Kind::Directory,
                _ => earlier(node.parent, Kind::Directory) && node.name_length > 0,
            };
            match node.kind {
                Kind::File => {
                    let own = extents.by_ref().take(node.detail as usize);
                    valid &= own.filter(|extent| self.has_content(extent)).count()
                        == node.detail as usize;
                }
                Kind::HardLink => valid &= earlier(node.detail, Kind::File),
                Kind::Directory | Kind::Symlink => {}
            }
        }
        if valid && extents.next().is_none() { Ok(()) } else { Err(StreamFault::Plan) }
    }

    fn has_content(&self, extent: &ArchiveExtent) -> bool {
        self.chunks.get(extent.chunk as usize).is_some_and(|chunk| {
            chunk.raw_size <= MAX_CHUNK
                && extent.length > 0
                && u64::from(extent.offset) + u64::from(extent.length) <= u64::from(chunk.raw_size)
        })
    }

    fn name(&self, node: &Node) -> &[u8] {
        &self.text[node.text as usize..][..usize::from(node.name_length)]
    }

    fn target(&self, node: &Node) -> &[u8] {
        &self.text[node.text as usize + usize::from(node.name_length)..][..node.detail as usize]
    }

    /// Writes the path of a node to `path`, with a trailing slash for a directory.
    fn path(&self, number: u32, path: &mut Vec<u8>) -> Result<(), StreamFault> {
        path.clear();
        let mut node = self.nodes.get(number as usize).ok_or(StreamFault::Plan)?;
        // Built from the end, then reversed.
        if node.kind == Kind::Directory {
            path.push(b'/');
        }
        let mut number = number;
        while number > 0 {
            path.extend(self.name(node).iter().rev());
            number = node.parent;
            node = &self.nodes[number as usize];
            if number > 0 {
                path.push(b'/');
            }
            if path.len() > MAX_EXTENSION {
                return Err(StreamFault::Plan);
            }
        }
        path.reverse();
        Ok(())
    }

    fn add(&mut self, node: ArchiveNode) -> Option<()> {
        let (kind, detail, target) = match node.content {
            ArchiveNodeContent::Directory => (Kind::Directory, 0, Vec::new()),
            ArchiveNodeContent::File(extents) => (Kind::File, extents, Vec::new()),
            ArchiveNodeContent::Symlink(target) => {
                (Kind::Symlink, u32::try_from(target.len()).ok()?, target)
            }
            ArchiveNodeContent::HardLink(number) => (Kind::HardLink, number, Vec::new()),
        };
        let text = u32::try_from(self.text.len()).ok()?;
        let name_length = u16::try_from(node.name.len()).ok()?;
        reserve(&mut self.text, node.name.len() + target.len());
        self.text.extend_from_slice(&node.name);
        self.text.extend_from_slice(&target);
        self.nodes.push(Node {
            seconds: node.modified.seconds,
            nanoseconds: node.modified.nanoseconds,
            parent: node.parent,
            text,
            detail,
            name_length,
            mode: (node.mode & 0o777) as u16,
            kind,
        });
        Some(())
    }
}

impl ArchivePlan for TarPlan {
    fn submit(&mut self, batch: ArchiveBatch) {
        reserve(&mut self.chunks, batch.chunks.len());
        self.chunks.extend(batch.chunks);
        reserve(&mut self.extents, batch.extents.len());
        self.extents.extend(batch.extents);
        reserve(&mut self.nodes, batch.nodes.len());
        for node in batch.nodes {
            self.is_broken |= self.add(node).is_none();
        }
    }
}

/// Reserves with little slack: doubling would waste up to half of the memory.
fn reserve<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() / 8));
    }
}

/// Iterates over the nodes of a checked plan.
pub(super) struct Walk {
    node: usize,
    /// The first extent of the next file.
    extent: usize,
    /// The directory at the beginning of the path, and the length of that beginning.
    directory: (u32, usize),
    path: Vec<u8>,
    link: Vec<u8>,
}

impl Walk {
    pub(super) fn new(plan: &TarPlan) -> Self {
        Walk {
            node: usize::from(!plan.has_root),
            extent: 0,
            directory: (0, 0),
            path: Vec::new(),
            link: Vec::new(),
        }
    }

    /// The first extent of the next file.
    pub(super) fn extent(&self) -> usize {
        self.extent
    }

    /// Calls `use_member` with the next member; `None` at the end.
    pub(super) fn next<R>(
        &mut self,
        plan: &TarPlan,
        use_member: impl FnOnce(&Member<'_>) -> R,
    ) -> Result<Option<R>, StreamFault> {
        let Some(node) = plan.nodes.get(self.node) else { return Ok(None) };
        if self.directory.0 != node.parent {
            plan.path(node.parent, &mut self.path)?;
            self.directory = (node.parent, self.path.len());
            if node.parent == 0 {
                self.directory.1 = 0;
            }
        }
        self.path.truncate(self.directory.1);
        self.path.extend_from_slice(if self.node == 0 { b"." } else { plan.name(node) });
        if node.kind == Kind::Directory {
            self.path.push(b'/');
        }
        let mut size = 0;
        match node.kind {
            Kind::File => {
                let end = self.extent + node.detail as usize;
                let extents = &plan.extents[self.extent..end];
                size = extents.iter().map(|extent| u64::from(extent.length)).sum();
                self.extent = end;
            }
            Kind::HardLink => plan.path(node.detail, &mut self.link)?,
            Kind::Directory | Kind::Symlink => {}
        }
        let link: &[u8] = match node.kind {
            Kind::HardLink => &self.link,
            Kind::Symlink => plan.target(node),
            Kind::File | Kind::Directory => b"",
        };
        self.node += 1;
        let modified = Timestamp { seconds: node.seconds, nanoseconds: node.nanoseconds };
        let mode = u32::from(node.mode);
        Ok(Some(use_member(&Member {
            kind: node.kind,
            path: &self.path,
            link,
            mode,
            modified,
            size,
        })))
    }
}
