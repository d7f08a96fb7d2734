//! A tree in the file system of the operating system.
//!
//! What is absent on purpose: any decision on what is stored or restored. Lists, digests and
//! outcomes go out, plans come in; between files and chunks the bytes pass through the workers'
//! own buffers, and each is read once and written once.

mod digest;
mod list;
mod materialize;
mod os;
mod pack;

pub use materialize::{FilesystemMaterializer, RewrittenFile};
pub use pack::FilesystemPacker;

use crate::transfer::{Sink, Source};
use btdt_ports::{
    Algorithm, CutSizes, Digest, Entry, FollowLinks, IoError, IoErrorKind, MaterializeError,
    Placement, Tree,
};
use std::path::{Path, PathBuf};

/// Whether trees have modes: listings have them, and plans' are set. Where not, what is restored is
/// as executable as the runtime makes new files.
pub const KEEPS_MODES: bool = os::KEEPS_MODES;

/// Makes a directory of the host and those above it, where they are not there.
///
/// # Errors
/// When one of them cannot be made, or something else is in its place.
pub fn create_directories(path: &Path) -> Result<(), IoError> {
    os::create_directories(path)
}

/// The tree at a path of the host.
#[derive(Clone, Debug)]
pub struct FilesystemTree {
    path: PathBuf,
}

impl FilesystemTree {
    /// The tree at `path`, where nothing needs to be yet. Does not look.
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
        match os::status_of_path(&self.path) {
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
