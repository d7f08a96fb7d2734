//! Builds manifests, refusing anything unsafe.

use super::model::{
    ChunkRef, Content, MAX_CHUNK, MAX_TARGET, MODE_MASK, Manifest, ManifestFault, NO_MODE, Node,
    StoredContent, StoredNode, is_safe_name,
};

/// Builds a manifest node by node, in path order, refusing anything unsafe.
#[derive(Debug, Default)]
pub struct Builder {
    pub(super) manifest: Manifest,
    /// The directories from the root to that of the last node, each with its last node so far.
    open: Vec<(u32, Option<u32>)>,
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Builder::default()
    }

    /// An empty builder with memory for so many nodes, and so many bytes of names and targets.
    /// Growing step by step would double the peak.
    #[must_use]
    pub fn with_capacity(nodes: usize, text: usize) -> Self {
        let mut builder = Builder::default();
        builder.reserve(nodes);
        builder.manifest.text.reserve_exact(text);
        builder
    }

    pub(super) fn reserve(&mut self, nodes: usize) {
        self.manifest.nodes.reserve_exact(nodes);
        self.manifest.extents.reserve_exact(nodes);
    }

    /// Adds a chunk for later files to refer to. Returns its number.
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

    /// Adds the next node in path order, starting with the root. Returns its number.
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
        if matches!(content, StoredContent::Directory) {
            self.open.push((number, None));
        }
        Ok(number)
    }

    /// The finished manifest.
    ///
    /// # Errors
    /// [`ManifestFault::Malformed`] if there is no root.
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

    fn check_content(
        &mut self,
        number: u32,
        node: &Node<'_>,
    ) -> Result<StoredContent, ManifestFault> {
        let manifest = &mut self.manifest;
        match node.content {
            Content::Directory => Ok(StoredContent::Directory),
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
                Ok(StoredContent::File { extents: first, count: index(extents.len())? })
            }
            Content::Symlink(target) => {
                if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
                    return Err(ManifestFault::Link(number));
                }
                let start = index(manifest.text.len())?;
                manifest.text.extend_from_slice(target);
                Ok(StoredContent::Symlink { target: start, length: target.len() as u16 })
            }
            Content::HardLink(target) => {
                let to_file = target < number
                    && matches!(
                        manifest.nodes[target as usize].content,
                        StoredContent::File { .. }
                    );
                if to_file {
                    Ok(StoredContent::HardLink(target))
                } else {
                    Err(ManifestFault::Link(number))
                }
            }
        }
    }
}

fn index(length: usize) -> Result<u32, ManifestFault> {
    u32::try_from(length).map_err(|_| ManifestFault::TooLarge)
}
