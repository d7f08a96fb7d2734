//! The core beside this program in a component, and the adapter that both of them use.
//!
//! A trap of the core ends the whole program here, so none of these functions ever reports one.

mod bindings;
mod cache;
mod session;

use super::connection::Connection;
use crate::printer::Printer;
use bindings::btdt::wasi::places;
use btdt_host_runtime::storage::OpenError;
use btdt_ports::HttpError;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use super::real_path::real_path;
pub(crate) use bindings::tree::FileTree as Tree;
pub(crate) use cache::Cache;
pub(crate) use session::{Inspection, Session};

/// What the core does wrong beside what it reports: nothing that this program would live to see.
pub type CoreError = Infallible;

/// The core that this program was composed with.
pub struct Core;

impl Core {
    /// The core that this program was composed with.
    pub fn embedded() -> Result<Self, CoreError> {
        Ok(Core)
    }
}

/// Prepares the process.
pub(crate) fn enter() {
    if let Some(directory) = wasip2::cli::environment::initial_cwd() {
        // The standard library begins at `/`. Where the directory is not among those that are open,
        // relative paths mean nothing, and whatever uses one says so.
        let _ = std::env::set_current_dir(directory);
    }
}

/// Ends the process with this exit code.
pub(crate) fn end(code: u8) -> ExitCode {
    if code > 1 {
        // The standard library knows success and failure only, and 1 is what failure becomes.
        wasip2::cli::exit::exit_with_code(code);
    }
    ExitCode::from(code)
}

/// The instance of the core, which logs by itself.
pub(crate) fn session(_core: &Core, _printer: &Printer) -> Result<Session, CoreError> {
    Ok(Session)
}

/// The files at a path: nothing has to be there.
pub(crate) fn open_tree(path: PathBuf) -> Tree {
    places::open_tree(path.as_os_str().as_encoded_bytes())
}

/// The cache in a directory.
pub(crate) fn open_cache(path: &Path) -> Result<Cache, OpenError> {
    Cache::in_directory(path.as_os_str().as_encoded_bytes().to_vec()).map_err(|fault| match fault {
        places::OpenFault::Io(error) => OpenError::Io(error),
        places::OpenFault::UnsupportedFormat(places::UnsupportedFormat { found, supported }) => {
            OpenError::UnsupportedFormat { found, supported }
        }
        places::OpenFault::UnknownFormat => OpenError::UnknownFormat,
    })
}

/// The cache of that URL.
pub(crate) fn connect(url: &str, connection: Connection) -> Result<Cache, HttpError> {
    let connection = places::Connection {
        token: connection.token.map(|token| token.to_text()),
        root_certificates: connection.root_certificates,
    };
    Cache::on_server(url.to_owned(), connection)
}
