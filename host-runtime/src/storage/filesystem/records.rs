//! Records in files.
//!
//! # Deleting only what was seen
//!
//! No file system deletes a file *if it has this content*. A record that is read, compared and
//! unlinked may be another one by then: a store has put a new record under the same name, and it
//! is lost. So [`FilesystemStorage`] takes the record away first, by renaming it into a directory
//! of its own in `tmp/`, looks at what it has got, and only then unlinks it. Whatever it did not
//! mean to delete goes back, unless there is a yet newer record by now.
//!
//! Between the two renames the name is free, so that a reader may miss a record that is about to
//! go back. A process that dies there leaves the record in `tmp/`; clearing the leftovers puts it
//! back. The directory tells when it was taken away, which the record cannot: the time of its
//! last change is that of its last access. It also keeps the name of the record, which could be
//! too long for a prefix.

use super::os::is_not_found;
use super::{ATTEMPTS, FilesystemStorage, layout};
use crate::storage::codec::sha256;
use crate::storage::record_name;
use btdt_ports::{IoError, IoErrorKind, RecordVersion, Records, StoredRecord, Timestamp};
use std::io;

const MAX_SIZE: u64 = <FilesystemStorage as Records>::MAX_SIZE as u64;

impl FilesystemStorage {
    /// The content of a record, and when it was last changed or touched.
    fn read_record(&self, path: &str) -> Result<Option<(Vec<u8>, Timestamp)>, IoError> {
        let mut value = Vec::new();
        match self.root().read(path, MAX_SIZE, 0, &mut value) {
            Ok(info) if info.size > MAX_SIZE => Err(IoError::new(IoErrorKind::TooLarge)),
            Ok(info) => Ok(Some((value, info.modified))),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn has_version(&self, path: &str, version: &RecordVersion) -> Result<bool, IoError> {
        let record = self.read_record(path)?;
        Ok(record.is_some_and(|(value, _)| sha256(&value) == *version))
    }

    /// Second half of a deletion: the record is in `eviction`.
    fn finish_eviction(
        &self,
        eviction: &str,
        name: &str,
        version: &RecordVersion,
    ) -> Result<bool, IoError> {
        let taken = format!("{eviction}/{name}");
        // One that cannot be read is not the one that was to be deleted.
        if !self.has_version(&taken, version).unwrap_or(false) {
            self.put_back(eviction, name)?;
            return Ok(false);
        }
        match self.root().remove_file(&taken) {
            Ok(()) => Ok(true),
            // We were so slow that it was taken for a leftover and put back.
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => {
                self.put_back(eviction, name)?;
                Err(error.into())
            }
        }
    }

    /// Moves a record from `eviction` to its place, unless there is a newer one.
    pub(super) fn put_back(&self, eviction: &str, name: &str) -> io::Result<()> {
        let taken = format!("{eviction}/{name}");
        match self.root().rename_to_free_name(&taken, &layout::record(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.root().remove_file(&taken)
            }
            Err(error) if is_not_found(&error) => Ok(()),
            result => result,
        }
    }
}

impl Records for FilesystemStorage {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let get = |name: &String| {
            record_name::check(name)?;
            let record = self.read_record(&layout::record(name))?;
            Ok(record.map(|(value, last_access)| StoredRecord {
                version: sha256(&value),
                value,
                last_access,
            }))
        };
        names.iter().map(get).collect()
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        record_name::check(name)?;
        if value.len() > Self::MAX_SIZE {
            return Err(IoError::new(IoErrorKind::TooLarge));
        }
        self.write(layout::KEYS, &layout::record(name), value)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        let mut names = self.root().names(layout::KEYS)?;
        names.retain(|name| {
            name.starts_with(prefix)
                && after.is_none_or(|after| name.as_str() > after)
                && record_name::is_valid(name)
        });
        // A name that is replaced during the listing may come twice.
        names.sort_unstable();
        names.dedup();
        names.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(names)
    }

    fn touch(&self, name: &str) {
        if record_name::is_valid(name) {
            let _ = self.root().touch(&layout::record(name));
        }
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        record_name::check(name)?;
        let path = layout::record(name);
        let mut attempt = 1;
        while self.has_version(&path, version)? {
            self.prepare()?;
            let eviction = layout::eviction();
            self.root().make_directory(&eviction)?;
            let result = match self.root().rename(&path, &format!("{eviction}/{name}")) {
                Ok(()) => Some(self.finish_eviction(&eviction, name, version)),
                // The record has gone, or our directory as a leftover.
                Err(error) if is_not_found(&error) && attempt < ATTEMPTS => None,
                Err(error) => Some(Err(error.into())),
            };
            // It stays where a record is still in it.
            let _ = self.root().remove_directory(&eviction);
            if let Some(result) = result {
                return result;
            }
            attempt += 1;
        }
        Ok(false)
    }
}
