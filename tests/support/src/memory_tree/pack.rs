//! Packs files that are in memory.

use super::nodes::{Nodes, SharedNodes};
use btdt_host_runtime::chunk_cutting;
use btdt_host_runtime::chunk_io::Sink;
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::tree::plan_checks;
use btdt_ports::{
    Bundle, Cut, CutSizes, FileFault, FollowLinks, Group, PackBatch, PackError, Packed,
    PackedChunk, PackedFault, Packer,
};
use fastcdc::v2020::FastCDC;
use std::sync::Arc;

/// Packs each batch when it is submitted.
pub struct MemoryPacker {
    tree: SharedNodes,
    sink: Sink,
    sizes: CutSizes,
    codec: Codec,
    outcomes: Vec<Packed>,
}

impl MemoryPacker {
    pub(super) fn new(tree: SharedNodes, sink: Sink, sizes: CutSizes) -> Self {
        MemoryPacker { tree, sink, sizes, codec: Codec::new(), outcomes: Vec::new() }
    }

    fn keep(&mut self, raw: &[u8]) -> Result<PackedChunk, PackError> {
        chunk_cutting::keep(&self.sink, raw, &mut self.codec).map_err(PackError)
    }

    fn pack(&mut self, batch: &PackBatch, group: Group) -> Result<Packed, PackError> {
        let tree = self.tree.clone();
        let content = |index| {
            content(&tree.lock(), batch, index)
                .map_err(|fault| Packed::Fault(PackedFault { file: index, fault }))
        };
        match group {
            Group::Bundle(Bundle { first, count }) => {
                let mut raw = Vec::new();
                for index in first..first + count {
                    match content(index) {
                        Ok(content) => raw.extend_from_slice(&content),
                        Err(fault) => return Ok(fault),
                    }
                }
                Ok(Packed::Chunks(vec![self.keep(&raw)?]))
            }
            Group::Cut(Cut { file, offset, length }) => {
                let content = match content(file) {
                    Ok(content) => content,
                    Err(fault) => return Ok(fault),
                };
                // Checked: the range is in the file as planned, which is as long as this one.
                let range = &content[offset as usize..(offset + length) as usize];
                let CutSizes { minimum, average, maximum } = self.sizes;
                FastCDC::new(range, minimum as usize, average as usize, maximum as usize)
                    .map(|cut| self.keep(&range[cut.offset..cut.offset + cut.length]))
                    .collect::<Result<_, _>>()
                    .map(Packed::Chunks)
            }
        }
    }
}

fn content(nodes: &Nodes, batch: &PackBatch, index: u32) -> Result<Arc<Vec<u8>>, FileFault> {
    let plan = &batch.files[index as usize];
    let path = match plan.directory {
        Some(number) => plan_checks::join(&batch.directories[number as usize], &plan.name),
        None => Vec::new(),
    };
    let file = nodes
        .resolve(&path, FollowLinks::Never)
        .and_then(|path| nodes.file(&path))
        .map_err(FileFault::Unreadable)?;
    if file.content.len() as u64 != plan.size || file.modified != plan.modified {
        return Err(FileFault::Changed);
    }
    Ok(Arc::clone(&file.content))
}

impl Packer for MemoryPacker {
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError> {
        plan_checks::check_pack(&batch)?;
        for group in &batch.groups {
            let outcome = self.pack(&batch, *group)?;
            self.outcomes.push(outcome);
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Packed>, PackError> {
        Ok(self.outcomes)
    }
}
