//! The records of a cache.

use super::wit::{records, types};
use super::{Adapter, mirrored};
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::Records;

impl records::Guest for Adapter {
    type RecordStore = RecordsOfCache;
}

/// The records of a cache.
pub(super) struct RecordsOfCache(pub(super) FilesystemStorage);

impl records::GuestRecordStore for RecordsOfCache {
    fn get(
        &self,
        names: Vec<String>,
    ) -> Vec<Result<Option<records::StoredRecord>, types::IoError>> {
        let stored = self.0.get(&names).into_iter();
        stored.map(|record| mirrored(record.map(|record| record.map(Into::into)))).collect()
    }

    fn put(&self, name: String, value: Vec<u8>) -> Result<(), types::IoError> {
        Ok(self.0.put(&name, &value)?)
    }

    fn enumerate(
        &self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, types::IoError> {
        Ok(self.0.list(&prefix, after.as_deref(), limit)?)
    }

    fn touch(&self, name: String) {
        Records::touch(&self.0, &name);
    }

    fn delete(&self, name: String, version: types::Digest) -> Result<bool, types::IoError> {
        Ok(self.0.delete(&name, &version.into())?)
    }
}
