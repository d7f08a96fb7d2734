//! A tree in memory that behaves like a file system, for tests and simulations.
//!
//! Everything runs immediately, on the thread of the caller.

mod materialize;
mod nodes;
mod pack;

pub use materialize::MemoryMaterializer;
pub use pack::MemoryPacker;

use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_ports::{
    Algorithm, CutSizes, DestinationFailure, Digest, Entry, FollowLinks, IoError, IoErrorKind,
    MaterializeError, Placement, Timestamp, Tree,
};
use nodes::{Node, SharedNodes, fault};

/// A handle to a tree in memory; clones are the same tree.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    nodes: SharedNodes,
}

impl MemoryTree {
    /// A tree whose root is not there yet.
    #[must_use]
    pub fn new() -> Self {
        MemoryTree::default()
    }

    /// Adds a directory; the empty path is the root.
    ///
    /// # Errors
    /// When the path exists, or its parent does not.
    pub fn insert_directory(
        &self,
        path: &[u8],
        mode: u32,
        modified: Timestamp,
    ) -> Result<(), IoError> {
        self.nodes.lock().add(path, Node::Directory { mode, modified })
    }

    /// Adds a file; the empty path makes it the root.
    pub fn insert_file(
        &self,
        path: &[u8],
        content: &[u8],
        mode: u32,
        modified: Timestamp,
    ) -> Result<(), IoError> {
        self.nodes.lock().add_file(path, content.to_vec(), mode, modified)
    }

    /// Adds a symbolic link.
    pub fn insert_symlink(
        &self,
        path: &[u8],
        target: &[u8],
        modified: Timestamp,
    ) -> Result<(), IoError> {
        self.nodes.lock().add(path, Node::Symlink { target: target.to_vec(), modified })
    }

    /// Adds a socket, FIFO or device.
    pub fn insert_special(
        &self,
        path: &[u8],
        mode: u32,
        modified: Timestamp,
    ) -> Result<(), IoError> {
        self.nodes.lock().add(path, Node::Special { mode, modified })
    }

    /// Adds a further name for a file.
    ///
    /// # Errors
    /// As for [`MemoryTree::insert_directory`], and when `target` is not a file.
    pub fn insert_hard_link(&self, path: &[u8], target: &[u8]) -> Result<(), IoError> {
        self.nodes.lock().add_link(path, target)
    }

    /// Removes a path with everything below it, if it exists.
    pub fn remove(&self, path: &[u8]) {
        // Nothing in memory is refused.
        let _ = self.nodes.lock().remove_tree(path);
    }
}

impl Tree for MemoryTree {
    type Sink = Sink;
    type Source = Source;
    type Packer = MemoryPacker;
    type Materializer = MemoryMaterializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        Ok(self.nodes.lock().entry(b"", b""))
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        let nodes = self.nodes.lock();
        paths.iter().map(|path| nodes.list(path, follow)).collect()
    }

    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
        let nodes = self.nodes.lock();
        let file = nodes.file(&nodes.resolve(path, FollowLinks::Never)?)?;
        if file.content.len() as u64 > limit {
            return Err(fault(IoErrorKind::TooLarge));
        }
        Ok(file.content.to_vec())
    }

    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        let nodes = self.nodes.lock();
        let digest = |path: &Vec<u8>| {
            let file = nodes.file(&nodes.resolve(path, follow)?)?;
            Ok(match algorithm {
                Algorithm::Sha256 => btdt_host_runtime::codec::sha256(&file.content),
                Algorithm::Blake3 => Digest::new(*blake3::hash(&file.content).as_bytes()),
            })
        };
        paths.iter().map(digest).collect()
    }

    fn pack(&self, sink: &Sink, sizes: CutSizes) -> Result<MemoryPacker, IoError> {
        match self.root()? {
            Some(_) => Ok(MemoryPacker::new(self.nodes.clone(), sink.clone(), sizes)),
            None => Err(fault(IoErrorKind::NotFound)),
        }
    }

    fn materialize(
        &self,
        sources: &[&Source],
        placement: Placement,
    ) -> Result<MemoryMaterializer, MaterializeError> {
        let sources = sources.iter().map(|source| Source::clone(source)).collect();
        MemoryMaterializer::start(self.nodes.clone(), sources, placement).map_err(|error| {
            MaterializeError::Destination(DestinationFailure { path: Vec::new(), error })
        })
    }
}
