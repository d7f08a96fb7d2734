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
//! Only one deletion of a name can be under way: a directory whose name is derived from that of
//! the record can only be made once. Otherwise, of two deletions that have taken two records and
//! mean to put both back, the one with the older record might come first. So what is found in the
//! place of a record that goes back was put later, always.
//!
//! Between the two renames the record is in `tmp/`, perhaps for long, since a process can die
//! there. It still counts: readers and listings look there too, or a collector would delete what
//! a record refers to that is about to go back. Clearing the leftovers puts it back, however
//! young it is. A deletion that was too slow for that finds its own directory, which has a unique
//! name, empty or gone, and never sees the one of somebody else.

use super::{ATTEMPTS, FilesystemStorage, layout};
use crate::codec::sha256;
use crate::storage::record_name;
use btdt_ports::{IoError, IoErrorKind, RecordVersion, Records, StoredRecord, Timestamp};
use btdt_sys::cache_directory::{self as os, is_not_found};
use std::io;

const MAX_SIZE: u64 = btdt_ports::MAX_RECORD_SIZE as u64;

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

    /// A record, in its place or on its way out.
    fn find_record(&self, name: &str) -> Result<Option<(Vec<u8>, Timestamp)>, IoError> {
        let place = layout::record(name);
        if let Some(record) = self.read_record(&place)? {
            return Ok(Some(record));
        }
        let eviction = layout::eviction(name);
        for unique in self.root().names(&eviction)? {
            if let Some(record) = self.read_record(&format!("{eviction}/{unique}/{name}"))? {
                return Ok(Some(record));
            }
        }
        // It may have gone back while we were looking.
        self.read_record(&place)
    }

    /// The names of all records that are on their way out.
    fn evicted(&self) -> os::Result<Vec<String>> {
        let mut found = Vec::new();
        for name in self.root().names(layout::TMP)? {
            if !name.starts_with(layout::EVICTION_PREFIX) {
                continue;
            }
            let eviction = format!("{}/{name}", layout::TMP);
            for unique in self.root().names(&eviction)? {
                found.extend(self.root().names(&format!("{eviction}/{unique}"))?);
            }
        }
        Ok(found)
    }

    fn has_version(&self, path: &str, version: &RecordVersion) -> Result<bool, IoError> {
        let record = self.read_record(path)?;
        Ok(record.is_some_and(|(value, _)| sha256(&value) == *version))
    }

    /// Deletes a record from its place or finds out that it is another one. `None` where a
    /// directory has been removed as a leftover, or the record.
    fn try_to_delete(&self, name: &str, version: &RecordVersion) -> Option<Result<bool, IoError>> {
        let place = layout::eviction(name);
        match self.root().make_new_directory(&place) {
            Ok(()) => {}
            // Somebody else is deleting it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Some(Ok(false)),
            Err(error) => return Some(Err(error.into())),
        }
        // Looked at once more, now that nobody else can take it away: a record that is another one
        // already should not be moved even for a moment.
        match self.has_version(&layout::record(name), version) {
            Ok(true) => {}
            other => {
                let _ = self.root().remove_directory(&place);
                return Some(other);
            }
        }
        let eviction = layout::unique_in(&place);
        let taken = format!("{eviction}/{name}");
        let result = self.root().make_directory(&eviction);
        let result = result.and_then(|()| self.root().rename(&layout::record(name), &taken));
        let result = match result {
            Ok(()) => Some(self.finish_eviction(&taken, name, version)),
            Err(error) if is_not_found(&error) => None,
            Err(error) => Some(Err(error.into())),
        };
        // They stay where a record is still in them.
        let _ = self.root().remove_directory(&eviction);
        let _ = self.root().remove_directory(&place);
        result
    }

    /// Second half of a deletion: what was in the place of the record is now `taken`.
    fn finish_eviction(
        &self,
        taken: &str,
        name: &str,
        version: &RecordVersion,
    ) -> Result<bool, IoError> {
        // One that cannot be read is not the one that was to be deleted.
        if !self.has_version(taken, version).unwrap_or(false) {
            self.put_back(taken, name)?;
            return Ok(false);
        }
        match self.root().remove_file(taken) {
            Ok(()) => Ok(true),
            // We were so slow that it was taken for a leftover and put back.
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => {
                self.put_back(taken, name)?;
                Err(error.into())
            }
        }
    }

    /// Moves a record back to its place, unless there is a newer one.
    pub(super) fn put_back(&self, taken: &str, name: &str) -> os::Result<()> {
        let result = match self.root().rename_to_free_name(taken, &layout::record(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.root().remove_file(taken)
            }
            result => result,
        };
        // Two can be at it at once: the deletion itself, and a collector that found it.
        match result {
            Err(error) if is_not_found(&error) => Ok(()),
            result => result,
        }
    }
}

impl Records for FilesystemStorage {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let get = |name: &String| {
            record_name::check(name)?;
            let record = self.find_record(name)?;
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
        if value.len() > btdt_ports::MAX_RECORD_SIZE {
            return Err(IoError::new(IoErrorKind::TooLarge));
        }
        self.write(layout::KEYS, &layout::record(name), value)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        let mut names = self.root().names(layout::KEYS)?;
        let evicted = self.evicted()?;
        if !evicted.is_empty() {
            names.extend(evicted);
            // One of them may have gone back before we looked where it was.
            names.extend(self.root().names(layout::KEYS)?);
        }
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
        for _ in 0..ATTEMPTS {
            if !self.has_version(&layout::record(name), version)? {
                return Ok(false);
            }
            self.prepare()?;
            if let Some(result) = self.try_to_delete(name, version) {
                return result;
            }
        }
        // Others clear leftovers all the time. The next clean deletes it.
        Ok(false)
    }
}
