//! The commands: each asks the core for one operation and says what came of it.

pub(crate) mod clean;
pub(crate) mod hash;
pub(crate) mod restore;
pub(crate) mod store;
pub(crate) mod token;

use crate::environment::SystemEnvironment;
use crate::messages::{self, Attempt, Failure};
use crate::printer::Printer;
use btdt_host_runtime::engine::{Core, CoreError, LocalCache, Session, client};
use btdt_host_runtime::storage::FilesystemStorage;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What every command works with.
pub(crate) struct Context<'run> {
    pub(crate) core: Core,
    pub(crate) environment: Arc<SystemEnvironment>,
    pub(crate) printer: &'run Printer,
}

impl Context<'_> {
    fn session(&self) -> Result<Session, CoreError> {
        self.core.session(self.environment.clone())
    }
}

/// Opens the cache that the user named.
fn open(path: &Path) -> Result<LocalCache, Failure> {
    let text = path.to_string_lossy();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(messages::remote_cache(path));
    }
    let storage =
        FilesystemStorage::open(path).map_err(|error| messages::unusable_cache(path, &error))?;
    Ok(LocalCache::new(storage))
}

/// Where the cache lies in a tree of the user; empty where the tree is the cache itself, `None`
/// where it lies elsewhere. Relative, with symbolic links resolved on both sides.
fn place_in(tree: &Path, cache: &Path) -> Option<PathBuf> {
    let (tree, cache) = (tree.canonicalize().ok()?, cache.canonicalize().ok()?);
    cache.strip_prefix(tree).ok().map(Path::to_path_buf)
}

/// Joins the two ways in which the core can fail.
fn outcome<T>(
    outcome: Result<Result<T, client::Error>, CoreError>,
    attempt: Attempt<'_>,
) -> Result<T, Failure> {
    match outcome {
        Err(stopped) => Err(attempt.stopped(&stopped)),
        Ok(Err(error)) => Err(attempt.failed(error)),
        Ok(Ok(done)) => Ok(done),
    }
}
