//! Materializes into memory.

use super::nodes::{Node, Nodes, SharedNodes, fault};
use btdt_host_runtime::chunk_io::Source;
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::tree::plan_checks::{self, Coverage, DirectoryTable};
use btdt_ports::{
    ChunkFailure, Damage, DestinationFailure, DirectoryState, Existing, FilePlan, HardLinkPlan,
    IoError, IoErrorKind, MaterializeBatch, MaterializeError, MaterializeSummary, Materializer,
    ObjectFault, Placement,
};

/// The mode of a new file or directory without a mode in the plan.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Executes each batch when it is submitted.
pub struct MemoryMaterializer {
    tree: SharedNodes,
    sources: Vec<Source>,
    codec: Codec,
    table: DirectoryTable,
    /// The new tree, until it is published.
    staged: Option<Nodes>,
    hard_links: Vec<HardLinkPlan>,
    summary: MaterializeSummary,
    failed: Option<MaterializeError>,
}

impl MemoryMaterializer {
    pub(super) fn start(
        tree: SharedNodes,
        sources: Vec<Source>,
        placement: Placement,
    ) -> Result<Self, IoError> {
        let directory = match tree.lock().get(b"") {
            Some(Node::Directory { .. }) => Some(true),
            Some(_) => Some(false),
            None => None,
        };
        let staged = match (placement, directory) {
            (Placement::InPlace, Some(true)) => None,
            (Placement::InPlace, Some(false)) => return Err(fault(IoErrorKind::NotADirectory)),
            (Placement::InPlace, None) => return Err(fault(IoErrorKind::NotFound)),
            (Placement::Staged, Some(true)) => return Err(fault(IoErrorKind::AlreadyExists)),
            (Placement::Staged, _) => Some(Nodes::default()),
        };
        Ok(MemoryMaterializer {
            tree,
            sources,
            codec: Codec::new(),
            table: DirectoryTable::default(),
            staged,
            hard_links: Vec::new(),
            summary: MaterializeSummary::default(),
            failed: None,
        })
    }

    fn carry_out(&mut self, mut batch: MaterializeBatch) -> Result<(), MaterializeError> {
        let first = self.table.len();
        batch.directories.iter().try_for_each(|plan| self.table.push(plan))?;
        let coverage = plan_checks::check_materialize(&batch, &self.table, self.sources.len())?;
        let single_file = batch.files.iter().any(|file| file.directory.is_none());
        if single_file && self.staged.is_none() {
            return Err(plan_checks::invalid(Vec::new()));
        }
        self.make_directories(first)?;
        for removal in &batch.removals {
            self.change(removal.directory, &removal.name, |nodes, path| nodes.remove_tree(path))?;
        }
        for link in &batch.symlinks {
            self.change(link.directory, &link.name, |nodes, path| {
                if link.replace {
                    nodes.remove_name(path)?;
                }
                let target = link.target.clone();
                nodes.add(path, Node::Symlink { target, modified: link.modified })
            })?;
        }
        let contents = self.contents(&batch)?;
        for (file, content) in batch.files.iter().zip(contents) {
            self.write(file, content)?;
        }
        for plan in &batch.metadata {
            self.change(plan.directory, &plan.name, |nodes, path| {
                nodes.set_metadata(path, plan.mode, plan.modified)
            })?;
        }
        debug_assert_eq!(coverage.len(), batch.files.len());
        debug_assert!(
            coverage
                .iter()
                .zip(&batch.files)
                .all(|(coverage, file)| { (*coverage == Coverage::Empty) == (file.size == 0) })
        );
        self.hard_links.append(&mut batch.hard_links);
        Ok(())
    }

    /// Changes the tree at a name in a directory.
    fn change(
        &mut self,
        directory: u32,
        name: &[u8],
        action: impl FnOnce(&mut Nodes, &[u8]) -> Result<(), IoError>,
    ) -> Result<(), MaterializeError> {
        let path = self.table.path_of(Some(directory), name);
        self.change_path(path, action)
    }

    fn change_path(
        &mut self,
        path: Vec<u8>,
        action: impl FnOnce(&mut Nodes, &[u8]) -> Result<(), IoError>,
    ) -> Result<(), MaterializeError> {
        let result = match &mut self.staged {
            Some(nodes) => action(nodes, &path),
            None => action(&mut self.tree.lock(), &path),
        };
        result.map_err(|error| MaterializeError::Destination(DestinationFailure { path, error }))
    }

    fn make_directories(&mut self, first: usize) -> Result<(), MaterializeError> {
        for number in first..self.table.len() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let plan = self.table.get(number);
            let in_place = self.staged.is_none();
            self.change_path(self.table.path(number), |nodes, path| {
                let present = matches!(nodes.get(path), Some(Node::Directory { .. }));
                match plan.state {
                    _ if number == 0 && in_place => return Ok(()),
                    DirectoryState::Present | DirectoryState::Outdated if present => return Ok(()),
                    DirectoryState::Present | DirectoryState::Outdated => {
                        return Err(fault(IoErrorKind::NotADirectory));
                    }
                    DirectoryState::Obstructed => nodes.remove_name(path)?,
                    DirectoryState::Absent => {}
                }
                let mode = plan.mode.unwrap_or(DIRECTORY_MODE);
                nodes.add(path, Node::Directory { mode, modified: plan.modified })
            })?;
        }
        Ok(())
    }

    /// The contents of the files of a batch.
    fn contents(&mut self, batch: &MaterializeBatch) -> Result<Vec<Vec<u8>>, MaterializeError> {
        let mut contents = vec![Vec::new(); batch.files.len()];
        for chunk in &batch.chunks {
            let failure =
                |fault| MaterializeError::Chunk(ChunkFailure { digest: chunk.digest, fault });
            let raw = self.sources[chunk.source as usize]
                .read(&chunk.digest, chunk.raw_size, &mut self.codec)
                .map_err(failure)?;
            if raw.len() as u64 != u64::from(chunk.raw_size) {
                return Err(failure(ObjectFault::Damaged(Damage::Length)));
            }
            for segment in &chunk.segments {
                let content = &mut contents[segment.file as usize];
                let from = segment.chunk_offset as usize;
                let to = segment.file_offset as usize;
                let length = segment.length as usize;
                if content.len() < to + length {
                    content.resize(to + length, 0);
                }
                content[to..to + length].copy_from_slice(&raw[from..from + length]);
            }
        }
        Ok(contents)
    }

    fn write(&mut self, file: &FilePlan, content: Vec<u8>) -> Result<(), MaterializeError> {
        let path = match file.directory {
            Some(_) => self.table.path_of(file.directory, &file.name),
            None => Vec::new(),
        };
        let mut kept = false;
        self.change_path(path, |nodes, path| {
            if file.existing == Existing::Compare {
                let same = |old: &super::nodes::FileNode| *old.content == content && old.links == 1;
                kept = nodes.file(path).is_ok_and(same);
                if kept {
                    return nodes.set_metadata(path, file.mode, file.modified);
                }
            }
            if file.existing != Existing::Absent {
                nodes.remove_name(path)?;
            }
            nodes.add_file(path, content, file.mode.unwrap_or(FILE_MODE), file.modified)
        })?;
        if kept {
            self.summary.files_kept += 1;
        } else {
            self.summary.files_written += 1;
            self.summary.bytes_written += file.size;
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), MaterializeError> {
        for link in std::mem::take(&mut self.hard_links) {
            let target = self.table.path_of(Some(link.target_directory), &link.target_name);
            self.change(link.directory, &link.name, |nodes, path| {
                if link.replace {
                    nodes.remove_name(path)?;
                }
                nodes.add_link(path, &target)
            })?;
        }
        for number in 0..self.table.len() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let plan = self.table.get(number);
            self.change_path(self.table.path(number), |nodes, path| {
                nodes.set_metadata(path, plan.mode, plan.modified)
            })?;
        }
        if let Some(nodes) = self.staged.take() {
            if nodes.get(b"").is_none() {
                return Err(plan_checks::invalid(Vec::new()));
            }
            *self.tree.lock() = nodes;
        }
        Ok(())
    }
}

impl Materializer for MemoryMaterializer {
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.carry_out(batch);
        self.failed = result.clone().err();
        result
    }

    fn finish(mut self) -> Result<MaterializeSummary, MaterializeError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.complete()?;
        Ok(self.summary)
    }
}
