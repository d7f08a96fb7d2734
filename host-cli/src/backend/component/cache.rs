//! A cache that the user named.

use super::bindings::btdt::wasi::places::{self, Connection, OpenFault};
use super::bindings::client;
use btdt_ports::{HttpError, IoError, IoErrorKind};
use std::cell::Cell;

/// A cache, and how to open it again: the core keeps what it is given, so each call takes a new
/// handle.
pub(crate) struct Cache {
    place: Place,
    opened: Cell<Option<client::Cache>>,
}

enum Place {
    Directory(Vec<u8>),
    Server { url: String, connection: Connection },
}

impl Cache {
    /// The cache in a directory.
    pub(super) fn in_directory(path: Vec<u8>) -> Result<Self, OpenFault> {
        let opened = places::open_cache(&path)?;
        let opened = Cell::new(Some(client::Cache::Local(opened)));
        Ok(Cache { place: Place::Directory(path), opened })
    }

    /// The cache of that URL.
    pub(super) fn on_server(url: String, connection: Connection) -> Result<Self, HttpError> {
        let opened = Cell::new(Some(remote(&url, &connection)?));
        Ok(Cache { place: Place::Server { url, connection }, opened })
    }

    /// A handle for the core. The first one was made when the cache was opened.
    pub(super) fn handle(&self) -> Result<client::Cache, client::Error> {
        if let Some(opened) = self.opened.take() {
            return Ok(opened);
        }
        match &self.place {
            Place::Directory(path) => match places::open_cache(path) {
                Ok(cache) => Ok(client::Cache::Local(cache)),
                Err(fault) => Err(client::Error::Cache(client::CacheFailure {
                    action: client::CacheAction::Read,
                    error: changed(fault),
                })),
            },
            Place::Server { url, connection } => remote(url, connection).map_err(|error| {
                let fault = client::ServerFault::NoAnswer(error);
                client::Error::Server(client::ServerFailure { url: url.clone(), fault })
            }),
        }
    }
}

fn remote(url: &str, connection: &Connection) -> Result<client::Cache, HttpError> {
    let server = places::connect(connection)?;
    Ok(client::Cache::Remote(client::RemoteCache { server, url: url.to_owned() }))
}

/// Why a cache cannot be opened again that was open a moment ago.
fn changed(fault: OpenFault) -> IoError {
    match fault {
        OpenFault::Io(error) => error,
        OpenFault::UnsupportedFormat(_) | OpenFault::UnknownFormat => {
            IoError { kind: IoErrorKind::Unsupported, os_code: None }
        }
    }
}
