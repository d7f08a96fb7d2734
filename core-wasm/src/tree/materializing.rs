//! Turns a comparison into batches of work for the host.

use crate::manifest::{Content, Manifest, Node};
use crate::tree::comparison::{Comparison, State};
use btdt_ports::{
    ChunkPlan, Digest, DirectoryPlan, DirectoryState, Existing, FilePlan, HardLinkPlan,
    MaterializeBatch, MaterializeError, MaterializeSummary, Materializer, MetadataPlan,
    RemovalPlan, Segment, SymlinkPlan,
};
use std::collections::{BTreeMap, BTreeSet};

/// Size of a batch: large enough that calls to the host cost little, small enough that the host
/// starts early and memory stays bounded.
const BATCH_FILES: usize = 1024;
const BATCH_ITEMS: usize = 8192;

/// The work that turns a destination into the tree of a manifest.
pub struct MaterializePlan<'plan> {
    manifest: &'plan Manifest,
    comparison: &'plan Comparison,
}

impl<'plan> MaterializePlan<'plan> {
    /// The plan for a comparison.
    #[must_use]
    pub fn new(manifest: &'plan Manifest, comparison: &'plan Comparison) -> Self {
        MaterializePlan { manifest, comparison }
    }

    /// The distinct chunks that are needed.
    #[must_use]
    pub fn chunks(&self) -> Vec<Digest> {
        let mut needed = BTreeSet::new();
        for (number, node) in self.manifest.nodes() {
            if let (Content::File(extents), Some(_)) = (node.content, self.existing(number)) {
                needed.extend(extents.iter().map(|extent| extent.chunk));
            }
        }
        needed.into_iter().map(|chunk| self.manifest.chunks()[chunk as usize].digest).collect()
    }

    /// Executes the plan.
    pub fn run<M: Materializer>(
        &self,
        mut materializer: M,
    ) -> Result<MaterializeSummary, MaterializeError> {
        let mut directories = Directories::default();
        let mut batch = Batch::default();
        for (number, node) in self.manifest.nodes() {
            if batch.is_full() && !self.shares_chunk(&batch, &node) {
                materializer.submit(std::mem::take(&mut batch).finish())?;
            }
            self.add(number, &node, &mut directories, &mut batch);
        }
        materializer.submit(batch.finish())?;
        materializer.finish()
    }

    /// How to write a file; `None` if its content stays.
    fn existing(&self, number: u32) -> Option<Existing> {
        match self.comparison.states[number as usize] {
            State::Absent | State::Clear => Some(Existing::Absent),
            State::Replace => Some(Existing::Replace),
            State::Compare => Some(Existing::Compare),
            State::Same | State::Metadata => None,
        }
    }

    /// Whether ending the batch before this file would cause a chunk to be read twice.
    fn shares_chunk(&self, batch: &Batch, node: &Node<'_>) -> bool {
        match node.content {
            Content::File([first, ..]) => batch.chunks.contains_key(&first.chunk),
            _ => false,
        }
    }

    fn add(&self, number: u32, node: &Node<'_>, directories: &mut Directories, batch: &mut Batch) {
        let state = self.comparison.states[number as usize];
        if let Content::Directory = node.content {
            self.add_directory(number, node, state, directories, batch);
            return;
        }
        let directory = directories.number_of(node.parent);
        let name = node.name.to_vec();
        if state == State::Clear {
            batch.plan.removals.push(RemovalPlan { directory, name: name.clone() });
        }
        let replace = state == State::Replace;
        match (node.content, state) {
            (_, State::Same) => {}
            (_, State::Metadata) => batch.plan.metadata.push(MetadataPlan {
                directory,
                name,
                mode: node.mode,
                modified: node.modified,
            }),
            (Content::Symlink(target), _) => batch.plan.symlinks.push(SymlinkPlan {
                directory,
                name,
                replace,
                target: target.to_vec(),
                modified: node.modified,
            }),
            (Content::HardLink(target), _) => {
                let target = self.manifest.node(target);
                batch.plan.hard_links.push(HardLinkPlan {
                    directory,
                    name,
                    replace,
                    target_directory: directories.number_of(target.parent),
                    target_name: target.name.to_vec(),
                });
            }
            (Content::File(_), _) => {
                let directory = (number != 0).then_some(directory);
                self.add_file(number, node, directory, batch);
            }
            (Content::Directory, _) => {}
        }
    }

    fn add_directory(
        &self,
        number: u32,
        node: &Node<'_>,
        state: State,
        directories: &mut Directories,
        batch: &mut Batch,
    ) {
        let parent = directories.number_of(node.parent);
        let directory = directories.add(number);
        batch.plan.directories.push(DirectoryPlan {
            parent,
            name: node.name.to_vec(),
            state: match state {
                State::Absent => DirectoryState::Absent,
                State::Same => DirectoryState::Present,
                State::Metadata => DirectoryState::Outdated,
                State::Replace | State::Compare | State::Clear => DirectoryState::Obstructed,
            },
            mode: node.mode,
            modified: node.modified,
        });
        for name in self.comparison.extra.get(&number).into_iter().flatten() {
            batch.plan.removals.push(RemovalPlan { directory, name: name.clone() });
        }
    }

    fn add_file(&self, number: u32, node: &Node<'_>, directory: Option<u32>, batch: &mut Batch) {
        let (Content::File(extents), Some(existing)) = (node.content, self.existing(number)) else {
            return;
        };
        let file = batch.plan.files.len() as u32;
        let mut file_offset = 0;
        for extent in extents {
            let next = batch.plan.chunks.len();
            let index = *batch.chunks.entry(extent.chunk).or_insert_with(|| {
                let chunk = self.manifest.chunks()[extent.chunk as usize];
                batch.plan.chunks.push(ChunkPlan {
                    digest: chunk.digest,
                    raw_size: chunk.raw_size,
                    source: 0,
                    segments: Vec::new(),
                });
                next
            });
            batch.plan.chunks[index].segments.push(Segment {
                file,
                file_offset,
                chunk_offset: extent.offset,
                length: extent.length,
            });
            file_offset += u64::from(extent.length);
        }
        batch.plan.files.push(FilePlan {
            directory,
            name: node.name.to_vec(),
            existing,
            mode: node.mode,
            modified: node.modified,
            size: file_offset,
        });
    }
}

/// The host's numbers for directories, by their numbers in the manifest.
#[derive(Default)]
struct Directories {
    nodes: Vec<u32>,
}

impl Directories {
    fn add(&mut self, node: u32) -> u32 {
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    fn number_of(&self, node: u32) -> u32 {
        self.nodes.binary_search(&node).unwrap_or(0) as u32
    }
}

#[derive(Default)]
struct Batch {
    plan: MaterializeBatch,
    /// Index of each chunk in the plan, by its number in the manifest.
    chunks: BTreeMap<u32, usize>,
}

impl Batch {
    fn is_full(&self) -> bool {
        let plan = &self.plan;
        let items = plan.directories.len()
            + plan.removals.len()
            + plan.symlinks.len()
            + plan.metadata.len()
            + plan.hard_links.len();
        plan.files.len() >= BATCH_FILES || items >= BATCH_ITEMS
    }

    fn finish(mut self) -> MaterializeBatch {
        for chunk in &mut self.plan.chunks {
            chunk.segments.sort_by_key(|segment| segment.chunk_offset);
        }
        self.plan
    }
}
