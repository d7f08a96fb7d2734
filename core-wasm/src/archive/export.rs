//! Turns a manifest into the plan of an outgoing archive.

use crate::manifest::{self, ChunkRef, Content, Manifest, Node};
use btdt_ports::{
    ArchiveBatch, ArchiveChunk, ArchiveExtent, ArchiveNode, ArchiveNodeContent, ArchivePlan,
};

/// Size of a batch: large enough that calls to the host cost little, small enough that memory stays
/// bounded. Parts are chunks and extents.
const BATCH_NODES: usize = 4096;
const BATCH_PARTS: usize = 4 * BATCH_NODES;

/// Modes for nodes whose permission bits the manifest does not have.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
const SYMLINK_MODE: u32 = 0o777;

/// Name of a tree's only file if the caller's is not a valid file name.
const FALLBACK_NAME: &[u8] = b"content";

/// Submits the tree of `manifest` to `plan`. Archives hold a directory, so a root that is a file
/// becomes its only file, called `name` if that is a valid file name.
pub fn export<P: ArchivePlan>(manifest: &Manifest, name: &[u8], plan: &mut P) {
    let mut writer = Writer { manifest, plan, batch: ArchiveBatch::default(), chunks: 0 };
    for (number, node) in manifest.nodes() {
        let is_file = matches!(node.content, Content::File(_));
        if number == 0 && is_file {
            let root = Node { mode: None, content: Content::Directory, ..node };
            writer.add(&root, b"");
            let safe = manifest::is_safe_name(name);
            writer.add(&node, if safe { name } else { FALLBACK_NAME });
        } else {
            writer.add(&node, node.name);
        }
    }
    writer.flush();
}

struct Writer<'plan, P> {
    manifest: &'plan Manifest,
    plan: &'plan mut P,
    batch: ArchiveBatch,
    /// How many of the manifest's chunks are in the plan.
    chunks: usize,
}

impl<P: ArchivePlan> Writer<'_, P> {
    fn add(&mut self, node: &Node<'_>, name: &[u8]) {
        let (content, mode) = match node.content {
            Content::Directory => (ArchiveNodeContent::Directory, DIRECTORY_MODE),
            Content::File(extents) => {
                for extent in extents {
                    self.add_chunks(extent.chunk as usize);
                    self.batch.extents.push(ArchiveExtent {
                        chunk: extent.chunk,
                        offset: extent.offset,
                        length: extent.length,
                    });
                }
                (ArchiveNodeContent::File(extents.len() as u32), FILE_MODE)
            }
            Content::Symlink(target) => {
                (ArchiveNodeContent::Symlink(target.to_vec()), SYMLINK_MODE)
            }
            Content::HardLink(number) => (ArchiveNodeContent::HardLink(number), FILE_MODE),
        };
        self.batch.nodes.push(ArchiveNode {
            parent: node.parent,
            name: name.to_vec(),
            mode: node.mode.unwrap_or(mode),
            modified: node.modified,
            content,
        });
        let parts = self.batch.extents.len() + self.batch.chunks.len();
        if self.batch.nodes.len() >= BATCH_NODES || parts >= BATCH_PARTS {
            self.flush();
        }
    }

    /// Adds all chunks up to that number to the plan, so that their numbers stay the same.
    fn add_chunks(&mut self, last: usize) {
        if last < self.chunks {
            return;
        }
        let new = &self.manifest.chunks()[self.chunks..=last];
        let chunk = |ChunkRef { digest, raw_size }: &ChunkRef| ArchiveChunk {
            digest: *digest,
            raw_size: *raw_size,
        };
        self.batch.chunks.extend(new.iter().map(chunk));
        self.chunks = last + 1;
    }

    fn flush(&mut self) {
        if !self.batch.nodes.is_empty() {
            self.plan.submit(std::mem::take(&mut self.batch));
        }
    }
}
