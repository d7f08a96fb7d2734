//! The core embedded in this program, with the files and network of the machine.

use super::connection::Connection;
use crate::environment::{self, SystemEnvironment};
use crate::printer::Printer;
use btdt_host_runtime::engine::LocalCache;
use btdt_host_runtime::http_client::{TokenSource, UserToken};
use btdt_host_runtime::http_native::{HttpRemote, Options};
use btdt_host_runtime::storage::{FilesystemStorage, OpenError};
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::HttpError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) use btdt_host_runtime::engine::{Cache, Inspection, Session};
pub use btdt_host_runtime::engine::{Core, CoreError};

/// Prepares the process.
pub(crate) fn enter() {}

/// Ends the process with this exit code.
pub(crate) fn end(code: u8) -> ExitCode {
    ExitCode::from(code)
}

/// A fresh instance of the core, which logs to the printer.
pub(crate) fn session(core: &Core, printer: &Printer) -> Result<Session, CoreError> {
    core.session(Arc::new(SystemEnvironment::new(printer.clone())))
}

/// The files at a path, which need not exist.
pub(crate) fn open_tree(path: PathBuf) -> FilesystemTree {
    FilesystemTree::new(path)
}

/// The cache in a directory.
pub(crate) fn open_cache(path: &Path) -> Result<Cache, OpenError> {
    Ok(Cache::Local(LocalCache::new(FilesystemStorage::open(path)?)))
}

/// The cache at a URL.
pub(crate) fn connect(url: &str, connection: Connection) -> Result<Cache, HttpError> {
    let Connection { token, root_certificates } = connection;
    let token = token.map(|token| Arc::new(UserToken(token)) as Arc<dyn TokenSource>);
    let proxies = environment::proxies();
    let options = Options { root_certificates, token, proxies, ..Options::default() };
    let server = HttpRemote::new(options)?;
    Ok(Cache::Remote { server, url: url.to_owned() })
}

/// An existing path without symbolic links.
pub(crate) fn real_path(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}
