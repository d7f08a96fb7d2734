//! The user's files.

use super::Adapter;
use super::environment::log;
use super::objects::{HeldSink, HeldSource};
use super::wit::tree;
use crate::http::GatheringSink;
use crate::wasi_limits::{self, RestoreLosses};
use btdt_host_runtime::chunk_io::Source;
use btdt_host_runtime::tree::filesystem::{
    FilesystemMaterializer, FilesystemPacker, FilesystemTree,
};
use btdt_ports::{
    Algorithm, CutSizes, Digest, Entry, FollowLinks, IoError, MaterializeBatch, MaterializeError,
    MaterializeSummary, Materializer, PackBatch, Packed, Packer, Placement, Severity, Tree,
};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

impl tree::Guest for Adapter {
    type FileTree = UserTree;
    type Packer = RunningPack;
    type Materializer = RunningRestore;
}

/// A file or directory of the user.
pub(super) struct UserTree(pub(super) FilesystemTree);

impl tree::GuestFileTree for UserTree {
    fn root(&self) -> Result<Option<Entry>, IoError> {
        self.0.root()
    }

    fn read_directories(
        &self,
        paths: Vec<Vec<u8>>,
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>> {
        self.0.read_directories(&paths, follow)
    }

    fn read_file(&self, path: Vec<u8>, limit: u64) -> Result<Vec<u8>, IoError> {
        self.0.read_file(&path, limit)
    }

    fn digest_files(
        &self,
        paths: Vec<Vec<u8>>,
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>> {
        self.0.digest_files(&paths, algorithm, follow)
    }

    fn pack(&self, sink: tree::SinkBorrow<'_>, sizes: CutSizes) -> Result<tree::Packer, IoError> {
        let HeldSink { sink, remote } = sink.get();
        let packer = RefCell::new(self.0.pack(sink, sizes)?);
        Ok(tree::Packer::new(RunningPack { packer, remote: remote.clone() }))
    }

    fn materialize(
        &self,
        sources: Vec<tree::SourceBorrow<'_>>,
        placement: Placement,
    ) -> Result<tree::Materializer, MaterializeError> {
        let sources: Vec<&Source> =
            sources.iter().map(|source| &source.get::<HeldSource>().0).collect();
        let materializer = self.0.materialize(&sources, placement)?;
        let restore = Restore { materializer, losses: RestoreLosses::default() };
        Ok(tree::Materializer::new(RunningRestore(RefCell::new(restore))))
    }
}

/// A running pack.
pub(super) struct RunningPack {
    packer: RefCell<FilesystemPacker>,
    /// The server that the chunks go to, if that is where they go.
    remote: Option<Arc<GatheringSink>>,
}

impl tree::GuestPacker for RunningPack {
    fn submit(&self, batch: PackBatch) -> Result<(), IoError> {
        self.packer.borrow_mut().submit(batch).map_err(|error| error.0)
    }

    fn finish(this: tree::Packer) -> Result<Vec<Packed>, IoError> {
        /// A program that embeds the component may store any number of trees.
        static TOLD: AtomicBool = AtomicBool::new(false);
        let RunningPack { packer, remote } = this.into_inner();
        let mut packed = packer.into_inner().finish().map_err(|error| error.0)?;
        if let Some(remote) = remote {
            remote.settle(&mut packed)?;
        }
        if !TOLD.swap(true, Ordering::Relaxed) {
            log(Severity::Warning, wasi_limits::MODES_NOT_STORED);
        }
        Ok(packed)
    }
}

struct Restore {
    materializer: FilesystemMaterializer,
    losses: RestoreLosses,
}

/// A running restore.
pub(super) struct RunningRestore(RefCell<Restore>);

impl tree::GuestMaterializer for RunningRestore {
    fn submit(&self, mut batch: MaterializeBatch) -> Result<(), MaterializeError> {
        let mut restore = self.0.borrow_mut();
        restore.losses.take_from(&mut batch);
        restore.materializer.submit(batch)?;
        // Nothing of it is done later: there are no threads.
        for file in restore.materializer.take_rewritten() {
            restore.losses.note_rewritten(&file);
        }
        Ok(())
    }

    fn finish(this: tree::Materializer) -> Result<MaterializeSummary, MaterializeError> {
        let Restore { materializer, losses } = this.into_inner::<RunningRestore>().0.into_inner();
        let summary = materializer.finish()?;
        for message in losses.messages() {
            log(Severity::Warning, &message);
        }
        Ok(summary)
    }
}
