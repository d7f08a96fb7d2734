//! Writes a tree from chunks: the data path of a restore.
//!
//! The calling thread checks each batch and creates its directories, while workers write the files
//! of earlier batches: one `openat`, one `write` of the whole content and one `futimens` per file.
//! The system never freely resolves a path below the destination.
//!
//! - [`shared`]: the state of all threads, and directories opened by number
//! - [`writer`]: the files
//! - [`entries`]: symbolic links, hard links, and metadata alone
//! - [`directories`]: directories, at the start and at the end
//! - [`removal`]: removing files and directories
//! - [`staging`]: the sibling in which a new tree is assembled

mod directories;
mod entries;
mod removal;
mod shared;
mod staging;
mod writer;

use crate::chunk_io::Source;
use crate::tree::plan_checks::{self, Coverage};
use crate::workers::{Workers, suitable_count};
use btdt_ports::{
    DestinationFailure, HardLinkPlan, IoError, IoErrorKind, MaterializeBatch, MaterializeError,
    MaterializeSummary, Materializer, Placement,
};
use btdt_sys::handle as os;
use btdt_sys::host_paths;
pub use shared::RewrittenFile;
use shared::{DirectoryCache, Shared};
use staging::Staging;
use std::path::Path;
use std::sync::Arc;
use writer::{Batch, Job, Writer};

/// Number of small items per job.
const ITEMS_PER_JOB: usize = 256;

/// A running restore into the file system.
///
/// If it is dropped before it has finished, a staged tree is removed, and a tree in place keeps
/// only whole files.
pub struct FilesystemMaterializer {
    workers: Workers<Job>,
    shared: Arc<Shared>,
    staging: Option<Staging>,
    directories: DirectoryCache,
    hard_links: Vec<HardLinkPlan>,
    /// The root is a file, and was submitted.
    single_file: bool,
}

impl FilesystemMaterializer {
    /// Starts writing the tree at `path`.
    pub(super) fn start(
        path: &Path,
        sources: Vec<Source>,
        placement: Placement,
    ) -> Result<Self, MaterializeError> {
        let at_root =
            |error| MaterializeError::Destination(DestinationFailure { path: Vec::new(), error });
        let (root, staging) = match placement {
            Placement::InPlace => {
                let root = host_paths::open_directory(path)
                    .map_err(|error| at_root(os::io_error(error)))?;
                // Left by a restore that was killed before anything existed here.
                staging::remove_leftovers(path);
                (root, None)
            }
            Placement::Staged => {
                let staging = Staging::begin(path).map_err(at_root)?;
                let root = staging.root().map_err(|error| at_root(os::io_error(error)))?;
                (root, Some(staging))
            }
        };
        let suitable = sources.iter().map(|source| source.suitable_workers()).max();
        let shared = Arc::new(Shared::new(root, sources));
        if let Some(staging) = &staging {
            shared.remember_mode(0, staging.default_mode());
        }
        let workers = Workers::start(suitable.unwrap_or_else(suitable_count), || {
            let mut writer = Writer::new(Arc::clone(&shared));
            move |job: Job| writer.work(&job)
        });
        Ok(FilesystemMaterializer {
            workers,
            shared,
            staging,
            directories: DirectoryCache::default(),
            hard_links: Vec::new(),
            single_file: false,
        })
    }

    /// The files that were compared and then rewritten since the last call, if that loses their
    /// modes ([`super::KEEPS_MODES`]); otherwise nothing. Call it after each batch: they are kept
    /// until then.
    #[must_use]
    pub fn take_rewritten(&self) -> Vec<RewrittenFile> {
        self.shared.take_rewritten()
    }

    fn hand_over(&mut self, mut batch: MaterializeBatch) -> Result<(), MaterializeError> {
        let first = self.shared.add_directories(&batch.directories)?;
        let coverage = {
            let table = self.shared.table();
            plan_checks::check_materialize(&batch, &table, self.shared.sources.len())?
        };
        if batch.files.first().is_some_and(|file| file.directory.is_none()) {
            // In place, the root is a directory, which a file cannot replace.
            if self.single_file || self.staging.is_none() {
                return Err(plan_checks::invalid(Vec::new()));
            }
            self.single_file = true;
        } else if self.single_file {
            return Err(plan_checks::invalid(Vec::new()));
        }
        directories::make(&self.shared, &mut self.directories, first)?;
        for removal in &batch.removals {
            removal::remove(&self.shared, &mut self.directories, removal)?;
        }
        self.hard_links.append(&mut batch.hard_links);
        batch.directories = Vec::new();
        self.enqueue(batch, coverage)
    }

    fn enqueue(
        &mut self,
        plan: MaterializeBatch,
        coverage: Vec<Coverage>,
    ) -> Result<(), MaterializeError> {
        let batch = Arc::new(Batch::new(plan, coverage));
        let mut jobs: Vec<Job> = Vec::new();
        let ranges = |length: usize| {
            (0..length)
                .step_by(ITEMS_PER_JOB)
                .map(move |start| start..length.min(start + ITEMS_PER_JOB))
        };
        for range in ranges(batch.plan.symlinks.len()) {
            jobs.push(Job::Symlinks(Arc::clone(&batch), range));
        }
        for range in ranges(batch.coverage.len()) {
            if batch.coverage[range.clone()].contains(&Coverage::Empty) {
                jobs.push(Job::EmptyFiles(Arc::clone(&batch), range));
            }
        }
        for chunk in 0..batch.plan.chunks.len() {
            jobs.push(Job::Chunk(Arc::clone(&batch), chunk));
        }
        for range in ranges(batch.plan.metadata.len()) {
            jobs.push(Job::Metadata(Arc::clone(&batch), range));
        }
        drop(batch);
        for job in jobs {
            if self.workers.submit(job).is_err() {
                // Wait for the worker that stopped them, which says why.
                self.workers.cancel();
                return Err(self.shared.error());
            }
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), MaterializeError> {
        let finished = self.workers.finish();
        if let Some(error) = self.shared.first_error() {
            return Err(error);
        }
        let at_root =
            |error| MaterializeError::Destination(DestinationFailure { path: Vec::new(), error });
        finished.map_err(|_| at_root(IoError::new(IoErrorKind::Other)))?;
        if !self.single_file && self.shared.table().is_empty() {
            return Err(plan_checks::invalid(Vec::new()));
        }
        for link in std::mem::take(&mut self.hard_links) {
            entries::make_hard_link(&self.shared, &mut self.directories, &link)?;
        }
        directories::settle(&self.shared)?;
        match self.staging.take() {
            Some(staging) if self.single_file => {
                staging.publish_file(writer::SINGLE_FILE).map_err(at_root)
            }
            Some(staging) => staging.publish_directory().map_err(at_root),
            None => Ok(()),
        }
    }

    /// Stops everything after a failure.
    fn abandon(&mut self) {
        self.workers.cancel();
        self.directories = DirectoryCache::default();
        match self.staging.take() {
            Some(staging) => drop(staging),
            None => {
                self.shared.remove_incomplete(&mut self.directories);
                directories::restore_modes(&self.shared);
            }
        }
    }
}

impl Materializer for FilesystemMaterializer {
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError> {
        if let Some(error) = self.shared.first_error() {
            return Err(error);
        }
        self.hand_over(batch).map_err(|error| {
            self.workers.cancel();
            // The first error of a worker explains more, if there is one. It is kept in any case: a
            // tree that lacks a batch must not be published.
            self.shared.fail(error);
            self.shared.error()
        })
    }

    fn finish(mut self) -> Result<MaterializeSummary, MaterializeError> {
        self.complete()?;
        self.shared.mark_finished();
        Ok(self.shared.summary())
    }
}

impl Drop for FilesystemMaterializer {
    fn drop(&mut self) {
        if !self.shared.is_finished() {
            self.abandon();
        }
    }
}
