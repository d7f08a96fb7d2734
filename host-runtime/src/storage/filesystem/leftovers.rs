//! What processes leave behind that die: files in `tmp/`, records on their way out, and the
//! directories of sweeps of which nothing is left.

use super::{FilesystemStorage, layout};
use btdt_ports::{EntryKind, IoError, Leftovers, Timestamp};
use btdt_sys::Status;

impl FilesystemStorage {
    /// Removes what was last changed before `before`. Something that cannot be removed does not
    /// keep the rest: the next clean tries again.
    pub(super) fn remove_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        let names = self.root().names(layout::TMP)?;
        // Records first: if this stops half-way, what has been committed is back.
        for name in names.iter().filter(|name| name.starts_with(layout::EVICTION_PREFIX)) {
            self.restore_records(&format!("{}/{name}", layout::TMP))?;
        }
        let abandoned = names.iter().filter_map(|name| {
            let path = format!("{}/{name}", layout::TMP);
            let info = self.root().stat(&path).ok()?;
            (info.modified < before).then_some((path, info))
        });
        let abandoned: Vec<_> = abandoned.collect();
        let mut leftovers = Leftovers::default();
        for (path, info) in &abandoned {
            if info.kind == EntryKind::Directory {
                let _ = self.root().remove_directory(path);
            } else {
                leftovers = self.remove_leftover(path, info, leftovers);
            }
        }
        self.remove_empty_sweeps(&self.sweeps()?);
        Ok(leftovers)
    }

    /// Puts the record back that a deletion took away and did not come to look at.
    fn restore_records(&self, eviction: &str) -> Result<(), IoError> {
        for unique in self.root().names(eviction)? {
            let directory = format!("{eviction}/{unique}");
            for name in self.root().names(&directory)? {
                self.put_back(&format!("{directory}/{name}"), &name)?;
            }
            let _ = self.root().remove_directory(&directory);
        }
        let _ = self.root().remove_directory(eviction);
        Ok(())
    }

    fn remove_leftover(&self, path: &str, info: &Status, removed: Leftovers) -> Leftovers {
        match self.root().remove_file(path) {
            Ok(()) => Leftovers { files: removed.files + 1, bytes: removed.bytes + info.size },
            Err(_) => removed,
        }
    }
}
