//! Administers a cache that this process works on itself.

use super::entries::{Entries, EntryPage, Inspection};
use crate::cache::{LocalCache, warn_unusable};
use crate::key::{Key, Prefix};
use crate::manifest::Manifest;
use crate::storage::delete::{Deleted, delete};
use crate::storage::record_lookup::{self, Entry, EntryFault, read_manifest};
use btdt_ports::client::Error;
use btdt_ports::{Digest, IoError, IoErrorKind, ObjectKind, Objects, Records};
use std::collections::BTreeSet;

/// Records that are read with one call.
const BATCH: u32 = 1024;

impl<O: Objects, R: Records> Entries for LocalCache<'_, O, R> {
    fn list(&self, prefix: &Prefix, after: Option<&str>) -> Result<EntryPage, Error> {
        let listed = self.records.list(&prefix.record_name_prefix(), after, BATCH);
        let names = listed.map_err(Error::reading)?;
        let mut page = EntryPage { next: names.last().cloned(), ..EntryPage::default() };
        for stored in self.records.get(&names) {
            let Some(stored) = stored.transpose() else { continue };
            match stored.ok().and_then(|stored| Entry::decode(&stored).ok()) {
                None => page.unusable += 1,
                Some(entry) if prefix.matches(&entry.record.key) => page.entries.push(entry),
                Some(_) => {}
            }
        }
        Ok(page)
    }

    /// Changes nothing, not even the last access.
    fn inspect(&self, key: &Key) -> Result<Option<Inspection>, Error> {
        let mut last = None;
        loop {
            let entry = match record_lookup::find(self.records, key) {
                Ok(entry) => entry,
                Err(EntryFault::Absent) => return Ok(None),
                Err(EntryFault::Unreadable(error)) => return Err(Error::reading(error)),
                Err(fault) => {
                    warn_unusable(self.environment, key, &fault);
                    return Ok(None);
                }
            };
            let digest = entry.record.manifest;
            match read_manifest(self.objects, digest) {
                Ok(manifest) => {
                    let missing_chunks = missing_chunks(self.objects, &manifest)?;
                    return Ok(Some(Inspection {
                        entry,
                        manifest: Some(manifest),
                        missing_chunks,
                    }));
                }
                // Look again only if the entry was replaced while its manifest was read.
                Err(fault) if last == Some(digest) => {
                    warn_unusable(self.environment, key, &fault);
                    return Ok(Some(Inspection { entry, manifest: None, missing_chunks: 0 }));
                }
                Err(_) => last = Some(digest),
            }
        }
    }

    fn delete(&self, key: &Key) -> Result<bool, Error> {
        match delete(self.records, key).map_err(Error::deleting)? {
            Deleted::Done => Ok(true),
            Deleted::Absent => Ok(false),
            // Another process keeps storing under this key.
            Deleted::Replaced => Err(Error::deleting(IoError::new(IoErrorKind::AlreadyExists))),
        }
    }
}

fn missing_chunks<O: Objects>(objects: &O, manifest: &Manifest) -> Result<u64, Error> {
    let kind = ObjectKind::Chunk;
    let chunks: Vec<Digest> = manifest.chunks().iter().map(|chunk| chunk.digest).collect();
    let missing = objects.missing(kind, &chunks).map_err(Error::reading)?;
    if missing.is_empty() {
        return Ok(0);
    }
    let aside = objects.list_aside().map_err(Error::reading)?;
    let aside = aside.iter().filter(|object| object.kind == kind).map(|object| object.digest);
    let aside: BTreeSet<Digest> = aside.collect();
    let missing: Vec<Digest> =
        missing.into_iter().filter(|digest| !aside.contains(digest)).collect();
    // One of them may have been recalled while the objects set aside were listed.
    let missing = objects.missing(kind, &missing).map_err(Error::reading)?;
    Ok(missing.len() as u64)
}
