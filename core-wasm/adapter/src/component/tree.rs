//! The user's files.

use super::environment::log;
use super::objects::{HeldSink, HeldSource};
use super::wit::{tree, types};
use super::{Adapter, all, mirrored, mirrored_all};
use crate::http::RemoteSink;
use crate::wasi_limits::{self, RestoreLosses};
use btdt_host_runtime::chunk_io::Source;
use btdt_host_runtime::tree::filesystem::{
    FilesystemMaterializer, FilesystemPacker, FilesystemTree,
};
use btdt_ports::{MaterializeBatch, Materializer, Packer, Severity, Tree};
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
    fn root(&self) -> Result<Option<tree::Entry>, types::IoError> {
        Ok(self.0.root()?.map(Into::into))
    }

    fn read_directories(
        &self,
        paths: Vec<Vec<u8>>,
        follow: tree::FollowLinks,
    ) -> Vec<Result<Vec<tree::Entry>, types::IoError>> {
        let listed = self.0.read_directories(&paths, follow.into());
        listed.into_iter().map(mirrored_all).collect()
    }

    fn read_file(&self, path: Vec<u8>, limit: u64) -> Result<Vec<u8>, types::IoError> {
        Ok(self.0.read_file(&path, limit)?)
    }

    fn digest_files(
        &self,
        paths: Vec<Vec<u8>>,
        algorithm: types::Algorithm,
        follow: tree::FollowLinks,
    ) -> Vec<Result<types::Digest, types::IoError>> {
        let digests = self.0.digest_files(&paths, algorithm.into(), follow.into());
        digests.into_iter().map(mirrored).collect()
    }

    fn pack(
        &self,
        sink: tree::SinkBorrow<'_>,
        sizes: tree::CutSizes,
    ) -> Result<tree::Packer, types::IoError> {
        let HeldSink { sink, remote } = sink.get();
        let packer = RefCell::new(self.0.pack(sink, sizes.into())?);
        Ok(tree::Packer::new(RunningPack { packer, remote: remote.clone() }))
    }

    fn materialize(
        &self,
        sources: Vec<tree::SourceBorrow<'_>>,
        placement: tree::Placement,
    ) -> Result<tree::Materializer, tree::MaterializeError> {
        let sources: Vec<&Source> =
            sources.iter().map(|source| &source.get::<HeldSource>().0).collect();
        let materializer = self.0.materialize(&sources, placement.into())?;
        let restore = Restore { materializer, losses: RestoreLosses::default() };
        Ok(tree::Materializer::new(RunningRestore(RefCell::new(restore))))
    }
}

/// A running pack.
pub(super) struct RunningPack {
    packer: RefCell<FilesystemPacker>,
    /// The server that the chunks go to, if that is where they go.
    remote: Option<Arc<RemoteSink>>,
}

impl tree::GuestPacker for RunningPack {
    fn submit(&self, batch: tree::PackBatch) -> Result<(), types::IoError> {
        self.packer.borrow_mut().submit(batch.into()).map_err(|error| error.0.into())
    }

    fn finish(this: tree::Packer) -> Result<Vec<tree::Packed>, types::IoError> {
        /// A program that embeds the component may store any number of trees.
        static TOLD: AtomicBool = AtomicBool::new(false);
        let RunningPack { packer, remote } = this.into_inner();
        let mut packed =
            packer.into_inner().finish().map_err(|error| types::IoError::from(error.0))?;
        if let Some(remote) = remote {
            remote.settle(&mut packed)?;
        }
        if !TOLD.swap(true, Ordering::Relaxed) {
            log(Severity::Warning, wasi_limits::MODES_NOT_STORED);
        }
        Ok(all(packed))
    }
}

struct Restore {
    materializer: FilesystemMaterializer,
    losses: RestoreLosses,
}

/// A running restore.
pub(super) struct RunningRestore(RefCell<Restore>);

impl tree::GuestMaterializer for RunningRestore {
    fn submit(&self, batch: tree::MaterializeBatch) -> Result<(), tree::MaterializeError> {
        let mut batch = MaterializeBatch::from(batch);
        let mut restore = self.0.borrow_mut();
        restore.losses.take_from(&mut batch);
        restore.materializer.submit(batch)?;
        // Nothing of it is done later: there are no threads.
        for file in restore.materializer.take_rewritten() {
            restore.losses.note_rewritten(&file);
        }
        Ok(())
    }

    fn finish(
        this: tree::Materializer,
    ) -> Result<tree::MaterializeSummary, tree::MaterializeError> {
        let Restore { materializer, losses } = this.into_inner::<RunningRestore>().0.into_inner();
        let summary = materializer.finish()?;
        for message in losses.messages() {
            log(Severity::Warning, &message);
        }
        Ok(summary.into())
    }
}
