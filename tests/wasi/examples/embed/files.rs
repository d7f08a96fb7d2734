//! Files in memory: what `btdt:cache/tree` promises.

use crate::Host;
use crate::bindings::btdt::cache::{objects, tree, types};
use crate::cache::{Sink, Source, digest};
use objects::ObjectKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::{Entry, EntryKind, Existing, FileFault, FollowLinks, Group, MaterializeError, Packed};
use types::{Algorithm, Digest, IoError, IoErrorKind, Timestamp};
use wasmtime::component::Resource;
use wasmtime::{Result, error::Context as _};

/// By paths, with `/` between names; the root's is empty.
pub(crate) type Nodes = BTreeMap<Vec<u8>, Node>;

/// A tree of files. Its clones are one and the same.
#[derive(Clone, Default)]
pub struct FileTree(Arc<Mutex<Nodes>>);

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub(crate) content: Content,
    pub(crate) mode: Option<u32>,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
}

/// A pack that is going on.
pub struct Packer {
    tree: FileTree,
    sink: crate::cache::Cache,
    sizes: tree::CutSizes,
    packed: Vec<Packed>,
}

/// A restore that is going on. It works on a copy, and so is all or nothing: more than is asked
/// for where the tree is written in place.
pub struct Materializer {
    tree: FileTree,
    nodes: Nodes,
    sources: Vec<crate::cache::Cache>,
    /// The paths of the directories by their numbers.
    directories: Vec<Vec<u8>>,
    hard_links: Vec<tree::HardLinkPlan>,
    summary: tree::MaterializeSummary,
}

impl FileTree {
    pub(crate) fn new(nodes: Nodes) -> Self {
        FileTree(Arc::new(Mutex::new(nodes)))
    }

    pub(crate) fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, directory: &[u8]) -> Result<Vec<Entry>, IoError> {
        let nodes = self.nodes();
        match nodes.get(directory).map(|node| &node.content) {
            None => return Err(failed(IoErrorKind::NotFound)),
            Some(Content::Directory) => {}
            Some(_) => return Err(failed(IoErrorKind::NotADirectory)),
        }
        let name = |path: &[u8]| path.strip_prefix(&*join(directory, b"")).map(<[u8]>::to_vec);
        let named = nodes.iter().filter_map(|(path, node)| Some((name(path)?, node)));
        let children = named.filter(|(name, _)| !name.is_empty() && !name.contains(&b'/'));
        Ok(children.map(|(name, node)| node.entry(name)).collect())
    }

    fn read(&self, path: &[u8]) -> Result<Vec<u8>, IoError> {
        match self.nodes().get(path).map(|node| &node.content) {
            Some(Content::File(content)) => Ok(content.clone()),
            Some(_) => Err(failed(IoErrorKind::IsADirectory)),
            None => Err(failed(IoErrorKind::NotFound)),
        }
    }
}

impl Node {
    fn entry(&self, name: Vec<u8>) -> Entry {
        let (kind, size, target) = match &self.content {
            Content::Directory => (EntryKind::Directory, 0, None),
            Content::File(content) => (EntryKind::File, content.len() as u64, None),
            Content::Symlink(target) => (EntryKind::Symlink, 0, Some(target.clone())),
        };
        let (seconds, nanoseconds) = self.modified;
        let modified = Timestamp { seconds, nanoseconds };
        Entry { name, kind, mode: self.mode, modified, size, link: None, target }
    }
}

fn failed(kind: IoErrorKind) -> IoError {
    IoError { kind, os_code: None }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    [directory, separator, name].concat()
}

fn time(modified: Timestamp) -> (i64, u32) {
    (modified.seconds, modified.nanoseconds)
}

impl tree::Host for Host {}

impl tree::HostFileTree for Host {
    fn root(&mut self, tree: Resource<FileTree>) -> Result<Result<Option<Entry>, IoError>> {
        let root = self.table.get(&tree)?.nodes().get(&b""[..]).map(|node| node.entry(Vec::new()));
        Ok(Ok(root))
    }

    fn read_directories(
        &mut self,
        tree: Resource<FileTree>,
        paths: Vec<Vec<u8>>,
        _follow: FollowLinks,
    ) -> Result<Vec<Result<Vec<Entry>, IoError>>> {
        let tree = self.table.get(&tree)?;
        Ok(paths.iter().map(|path| tree.list(path)).collect())
    }

    fn read_file(
        &mut self,
        tree: Resource<FileTree>,
        path: Vec<u8>,
        limit: u64,
    ) -> Result<Result<Vec<u8>, IoError>> {
        Ok(match self.table.get(&tree)?.read(&path) {
            Ok(content) if content.len() as u64 > limit => Err(failed(IoErrorKind::TooLarge)),
            content => content,
        })
    }

    /// Only for `hash-trees`, and for restores over files that are there.
    fn digest_files(
        &mut self,
        tree: Resource<FileTree>,
        paths: Vec<Vec<u8>>,
        algorithm: Algorithm,
        _follow: FollowLinks,
    ) -> Result<Vec<Result<Digest, IoError>>> {
        let tree = self.table.get(&tree)?;
        let digest = |path: &Vec<u8>| match algorithm {
            Algorithm::Sha256 => Ok(digest(&tree.read(path)?)),
            Algorithm::Blake3 => Err(failed(IoErrorKind::Unsupported)),
        };
        Ok(paths.iter().map(digest).collect())
    }

    fn pack(
        &mut self,
        tree: Resource<FileTree>,
        sink: Resource<Sink>,
        sizes: tree::CutSizes,
    ) -> Result<Result<Resource<Packer>, IoError>> {
        let tree = self.table.get(&tree)?.clone();
        let sink = self.table.get(&sink)?.0.clone();
        let packer = Packer { tree, sink, sizes, packed: Vec::new() };
        Ok(Ok(self.table.push(packer)?))
    }

    fn materialize(
        &mut self,
        tree: Resource<FileTree>,
        sources: Vec<Resource<Source>>,
        _placement: tree::Placement,
    ) -> Result<Result<Resource<Materializer>, MaterializeError>> {
        let tree = self.table.get(&tree)?.clone();
        let caches = sources.iter().map(|source| Ok(self.table.get(source)?.0.clone()));
        let sources = caches.collect::<Result<_>>()?;
        let nodes = tree.nodes().clone();
        let summary =
            tree::MaterializeSummary { files_written: 0, bytes_written: 0, files_kept: 0 };
        let (directories, hard_links) = (Vec::new(), Vec::new());
        let all = Materializer { tree, nodes, sources, directories, hard_links, summary };
        Ok(Ok(self.table.push(all)?))
    }

    fn drop(&mut self, tree: Resource<FileTree>) -> Result<()> {
        self.table.delete(tree)?;
        Ok(())
    }
}

impl Packer {
    fn pack(&self, batch: &tree::PackBatch, group: &Group) -> Result<Packed> {
        let mut chunks = Vec::new();
        let mut keep = |raw: &[u8]| {
            let put = self.sink.put(ObjectKind::Chunk, raw.to_vec());
            chunks.push(tree::PackedChunk {
                digest: put.digest,
                raw_size: raw.len() as u32,
                stored_size: put.stored_size as u32,
                new: put.new,
            });
        };
        match group {
            Group::Bundle(bundle) => {
                let mut content = Vec::new();
                for file in bundle.first..bundle.first + bundle.count {
                    match self.read(batch, file)? {
                        Ok(read) => content.extend(read),
                        Err(fault) => return Ok(Packed::Fault(tree::PackedFault { file, fault })),
                    }
                }
                keep(&content);
            }
            Group::Cut(cut) => {
                let file = cut.file;
                let content = match self.read(batch, file)? {
                    Ok(content) => content,
                    Err(fault) => return Ok(Packed::Fault(tree::PackedFault { file, fault })),
                };
                let range = cut.offset as usize..(cut.offset + cut.length) as usize;
                let range = content.get(range).context("a plan goes beyond the end of a file")?;
                // Cut by content, a file that has grown in the middle would share more chunks.
                range.chunks(self.sizes.average as usize).for_each(keep);
            }
        }
        Ok(Packed::Chunks(chunks))
    }

    /// A file, provided that it is still the one that was listed.
    fn read(&self, batch: &tree::PackBatch, file: u32) -> Result<Result<Vec<u8>, FileFault>> {
        let plan = batch.files.get(file as usize).context("a plan names a file too many")?;
        let path = match plan.directory {
            None => Vec::new(),
            Some(number) => {
                let directory = batch.directories.get(number as usize);
                join(directory.context("a plan names a directory too many")?, &plan.name)
            }
        };
        let modified = self.tree.nodes().get(&path).map(|node| node.modified);
        Ok(match self.tree.read(&path) {
            Err(error) => Err(FileFault::Unreadable(error)),
            Ok(content)
                if content.len() as u64 == plan.size && modified == Some(time(plan.modified)) =>
            {
                Ok(content)
            }
            Ok(_) => Err(FileFault::Changed),
        })
    }
}

impl tree::HostPacker for Host {
    fn submit(
        &mut self,
        packer: Resource<Packer>,
        batch: tree::PackBatch,
    ) -> Result<Result<(), IoError>> {
        let packer = self.table.get_mut(&packer)?;
        for group in &batch.groups {
            let packed = packer.pack(&batch, group)?;
            packer.packed.push(packed);
        }
        Ok(Ok(()))
    }

    fn finish(&mut self, packer: Resource<Packer>) -> Result<Result<Vec<Packed>, IoError>> {
        Ok(Ok(self.table.delete(packer)?.packed))
    }

    fn drop(&mut self, packer: Resource<Packer>) -> Result<()> {
        self.table.delete(packer)?;
        Ok(())
    }
}

impl Materializer {
    fn path(&self, directory: u32, name: &[u8]) -> Result<Vec<u8>> {
        let parent = self.directories.get(directory as usize);
        Ok(join(parent.context("a plan names a directory too many")?, name))
    }

    /// Puts a node where nothing is left of what was there.
    fn place(&mut self, path: Vec<u8>, node: Node) {
        self.remove(&path);
        self.nodes.insert(path, node);
    }

    fn remove(&mut self, path: &[u8]) {
        let inside = join(path, b"");
        self.nodes.retain(|other, _| other != path && !other.starts_with(&inside));
    }

    /// Sets the time of what is there, and the mode where it is known.
    fn adjust(&mut self, path: &[u8], mode: Option<u32>, modified: (i64, u32)) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.mode = mode.or(node.mode);
            node.modified = modified;
        }
    }

    fn carry_out(&mut self, batch: tree::MaterializeBatch) -> Result<Result<(), MaterializeError>> {
        for plan in batch.directories {
            let is_root = self.directories.is_empty();
            let path = if is_root { Vec::new() } else { self.path(plan.parent, &plan.name)? };
            let modified = time(plan.modified);
            match plan.state {
                tree::DirectoryState::Absent | tree::DirectoryState::Obstructed => {
                    let content = Content::Directory;
                    self.place(path.clone(), Node { content, mode: plan.mode, modified });
                }
                // Times change only when they are set here: that need not wait for the end.
                tree::DirectoryState::Present | tree::DirectoryState::Outdated => {
                    self.adjust(&path, plan.mode, modified);
                }
            }
            self.directories.push(path);
        }
        for plan in batch.removals {
            let path = self.path(plan.directory, &plan.name)?;
            self.remove(&path);
        }
        for plan in batch.symlinks {
            let path = self.path(plan.directory, &plan.name)?;
            let content = Content::Symlink(plan.target);
            self.place(path, Node { content, mode: None, modified: time(plan.modified) });
        }
        let contents = match self.assemble(&batch.files, &batch.chunks)? {
            Ok(contents) => contents,
            Err(failure) => return Ok(Err(MaterializeError::Chunk(failure))),
        };
        for (plan, content) in batch.files.into_iter().zip(contents) {
            let path = match plan.directory {
                None => Vec::new(),
                Some(directory) => self.path(directory, &plan.name)?,
            };
            let former = self.nodes.get(&path).map(|node| &node.content);
            if plan.existing == Existing::Compare && former == Some(&Content::File(content.clone()))
            {
                self.summary.files_kept += 1;
            } else {
                self.summary.files_written += 1;
                self.summary.bytes_written += plan.size;
            }
            let (mode, modified) = (plan.mode, time(plan.modified));
            self.place(path, Node { content: Content::File(content), mode, modified });
        }
        for plan in batch.metadata {
            let path = self.path(plan.directory, &plan.name)?;
            self.adjust(&path, plan.mode, time(plan.modified));
        }
        self.hard_links.extend(batch.hard_links);
        Ok(Ok(()))
    }

    /// The contents of the files of a batch. A chunk is verified before a byte of it is used.
    fn assemble(
        &self,
        files: &[tree::FilePlan],
        chunks: &[tree::ChunkPlan],
    ) -> Result<Result<Vec<Vec<u8>>, tree::ChunkFailure>> {
        let mut contents: Vec<_> = files.iter().map(|file| vec![0; file.size as usize]).collect();
        for chunk in chunks {
            let source = self.sources.get(chunk.source as usize).context("no such source")?;
            let raw = match source.get(ObjectKind::Chunk, chunk.digest) {
                Ok(raw) => raw,
                Err(fault) => {
                    return Ok(Err(tree::ChunkFailure { digest: chunk.digest, fault }));
                }
            };
            for segment in &chunk.segments {
                let (start, length) = (segment.chunk_offset as usize, segment.length as usize);
                let from = raw.get(start..start + length).context("a plan cuts too much")?;
                let content = contents.get_mut(segment.file as usize);
                let content = content.context("a plan names a file too many")?;
                let start = segment.file_offset as usize;
                let to = content.get_mut(start..start + length);
                to.context("a plan goes beyond the end of a file")?.copy_from_slice(from);
            }
        }
        Ok(Ok(contents))
    }
}

impl tree::HostMaterializer for Host {
    fn submit(
        &mut self,
        materializer: Resource<Materializer>,
        batch: tree::MaterializeBatch,
    ) -> Result<Result<(), MaterializeError>> {
        self.table.get_mut(&materializer)?.carry_out(batch)
    }

    /// Only now somebody else sees what was restored.
    fn finish(
        &mut self,
        materializer: Resource<Materializer>,
    ) -> Result<Result<tree::MaterializeSummary, MaterializeError>> {
        let mut all = self.table.delete(materializer)?;
        for link in std::mem::take(&mut all.hard_links) {
            // Nothing has two names here: a copy takes the place of a link.
            let file = all.path(link.target_directory, &link.target_name)?;
            let file = all.nodes.get(&file).context("a hard link to nothing")?.clone();
            all.place(all.path(link.directory, &link.name)?, file);
        }
        *all.tree.nodes() = all.nodes;
        Ok(Ok(all.summary))
    }

    fn drop(&mut self, materializer: Resource<Materializer>) -> Result<()> {
        self.table.delete(materializer)?;
        Ok(())
    }
}
