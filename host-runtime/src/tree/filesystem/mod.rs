//! A tree in the file system.
//!
//! Decides nothing about what is stored or restored: it reports lists, digests and outcomes, and
//! executes plans. Between files and chunks, bytes only pass through the workers' buffers, and each
//! is read once and written once.

mod digest;
mod list;
mod materialize;
mod pack;

pub use materialize::{FilesystemMaterializer, RewrittenFile};
pub use pack::FilesystemPacker;

use crate::chunk_io::{Sink, Source};
use btdt_ports::{
    Algorithm, CutSizes, Digest, Entry, FollowLinks, IoError, IoErrorKind, MaterializeError,
    Placement, Tree,
};
use btdt_sys::handle as os;
use btdt_sys::host_paths;
use std::path::{Path, PathBuf};

/// Whether trees have modes, which are listed and set. If not, restored files are as executable as
/// the runtime makes new ones.
pub const KEEPS_MODES: bool = os::KEEPS_MODES;

/// Creates a host directory and its missing parents.
pub fn create_directories(path: &Path) -> Result<(), IoError> {
    host_paths::create_directories(path)
}

/// The tree at a path of the host.
#[derive(Clone, Debug)]
pub struct FilesystemTree {
    path: PathBuf,
}

impl FilesystemTree {
    /// The tree at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        FilesystemTree { path }
    }
}

impl Tree for FilesystemTree {
    type Sink = Sink;
    type Source = Source;
    type Packer = FilesystemPacker;
    type Materializer = FilesystemMaterializer;

    fn root(&self) -> Result<Option<Entry>, IoError> {
        match host_paths::status_of(&self.path) {
            Ok(status) => Ok(Some(list::entry(&status, Vec::new(), None))),
            Err(error) => match os::io_error(error) {
                error if error.kind == IoErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        list::read_directories(&self.path, paths, follow)
    }

    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
        digest::read_file(&self.path, path, limit)
    }

    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        digest::digest_files(&self.path, paths, algorithm, follow)
    }

    fn pack(&self, sink: &Sink, sizes: CutSizes) -> Result<FilesystemPacker, IoError> {
        FilesystemPacker::start(&self.path, sink.clone(), sizes)
    }

    fn materialize(
        &self,
        sources: &[&Source],
        placement: Placement,
    ) -> Result<FilesystemMaterializer, MaterializeError> {
        let sources = sources.iter().map(|source| Source::clone(source)).collect();
        FilesystemMaterializer::start(&self.path, sources, placement)
    }
}
