//! The records of a cache.

use super::Adapter;
use super::wit::records;
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::{Digest, IoError, Records, StoredRecord};

impl records::Guest for Adapter {
    type RecordStore = RecordsOfCache;
}

/// The records of a cache.
pub(super) struct RecordsOfCache(pub(super) FilesystemStorage);

impl records::GuestRecordStore for RecordsOfCache {
    fn get(&self, names: Vec<String>) -> Vec<Result<Option<StoredRecord>, IoError>> {
        self.0.get(&names)
    }

    fn put(&self, name: String, value: Vec<u8>) -> Result<(), IoError> {
        self.0.put(&name, &value)
    }

    fn enumerate(
        &self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, IoError> {
        self.0.list(&prefix, after.as_deref(), limit)
    }

    fn touch(&self, name: String) {
        Records::touch(&self.0, &name);
    }

    fn delete(&self, name: String, version: Digest) -> Result<bool, IoError> {
        self.0.delete(&name, &version)
    }
}
