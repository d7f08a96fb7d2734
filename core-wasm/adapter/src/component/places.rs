//! The places that the user named.

use super::Adapter;
use super::objects::ObjectsOfCache;
use super::own::places;
use super::records::RecordsOfCache;
use super::tree::UserTree;
use super::wit::{caches, objects, records, tree};
use btdt_host_runtime::storage::{FilesystemStorage, OpenError};
use btdt_host_runtime::tree::filesystem::FilesystemTree;
use btdt_ports::HttpError;
use std::path::PathBuf;

impl places::Guest for Adapter {
    fn open_tree(path: Vec<u8>) -> tree::FileTree {
        tree::FileTree::new(UserTree(FilesystemTree::new(path_of(path))))
    }

    fn open_cache(path: Vec<u8>) -> Result<caches::LocalCache, places::OpenFault> {
        Ok(local_cache(storage(path)?))
    }

    fn connect(how: places::Connection) -> Result<super::wit::http::Remote, HttpError> {
        super::http::connect(how)
    }
}

/// A path of the runtime. One that is not UTF-8 names nothing there, and becomes one that every
/// runtime refuses.
pub(super) fn path_of(path: Vec<u8>) -> PathBuf {
    String::from_utf8(path).unwrap_or_else(|_| "\0".to_owned()).into()
}

/// The cache in a directory.
pub(super) fn storage(path: Vec<u8>) -> Result<FilesystemStorage, places::OpenFault> {
    FilesystemStorage::open(path_of(path)).map_err(|error| match error {
        OpenError::Io(error) => places::OpenFault::Io(error),
        OpenError::UnsupportedFormat { found, supported } => {
            places::OpenFault::UnsupportedFormat(places::UnsupportedFormat { found, supported })
        }
        OpenError::UnknownFormat => places::OpenFault::UnknownFormat,
    })
}

/// A cache as the core takes it.
pub(super) fn local_cache(storage: FilesystemStorage) -> caches::LocalCache {
    caches::LocalCache {
        objects: objects::ObjectStore::new(ObjectsOfCache(storage.clone())),
        records: records::RecordStore::new(RecordsOfCache(storage)),
    }
}
