//! Open files and directories.

use super::{Errno, Place};
use btdt_ports::{EntryKind, Timestamp};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, NewTimestamp, OpenFlags, PathFlags,
};

/// Bytes of one read or write at most: a runtime makes a copy of them.
const MAX_TRANSFER: usize = 4 << 20;

/// Whether symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Also the last one.
    Yes,
    /// Not the last one.
    No,
}

impl From<Follow> for PathFlags {
    fn from(follow: Follow) -> Self {
        match follow {
            Follow::Yes => PathFlags::SYMLINK_FOLLOW,
            Follow::No => PathFlags::empty(),
        }
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) kind: EntryKind,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    /// Time of the last change of content or metadata, where the runtime tells.
    pub(crate) changed: Option<Timestamp>,
    pub(crate) links: u64,
}

impl From<DescriptorStat> for Stat {
    fn from(stat: DescriptorStat) -> Self {
        let kind = match stat.type_ {
            DescriptorType::Directory => EntryKind::Directory,
            DescriptorType::RegularFile => EntryKind::File,
            DescriptorType::SymbolicLink => EntryKind::Symlink,
            _ => EntryKind::Special,
        };
        let modified = stat.data_modification_timestamp.map(timestamp);
        Stat {
            kind,
            size: stat.size,
            modified: modified.unwrap_or(Timestamp { seconds: 0, nanoseconds: 0 }),
            changed: stat.status_change_timestamp.map(timestamp),
            links: stat.link_count,
        }
    }
}

// The seconds are unsigned in the interface: a time before 1970 cannot be told. jco hands on what
// is below zero as very large numbers.
fn timestamp(time: Datetime) -> Timestamp {
    match i64::try_from(time.seconds) {
        Ok(seconds) if time.nanoseconds < 1_000_000_000 => {
            Timestamp { seconds, nanoseconds: time.nanoseconds }
        }
        _ => Timestamp { seconds: 0, nanoseconds: 0 },
    }
}

/// A file or directory that is open, and how far it was read or written.
pub(crate) struct Handle {
    descriptor: Descriptor,
    position: AtomicU64,
}

impl Handle {
    pub(super) fn new(descriptor: Descriptor) -> Self {
        Handle { descriptor, position: AtomicU64::new(0) }
    }

    /// Opens what a path of the user stands for, symbolic links followed.
    pub(crate) fn open_place(place: &Place, directory: bool) -> Result<Self, Errno> {
        place.directory.open_as(place.path(), Follow::Yes, directory)
    }

    /// Opens a file below this directory for reading.
    pub(crate) fn open_file(&self, path: &str, follow: Follow) -> Result<Self, Errno> {
        self.open_as(path, follow, false)
    }

    /// Opens a directory below this one.
    pub(crate) fn open_directory(&self, path: &str, follow: Follow) -> Result<Self, Errno> {
        self.open_as(path, follow, true)
    }

    fn open_as(&self, path: &str, follow: Follow, directory: bool) -> Result<Self, Errno> {
        let open = if directory { OpenFlags::DIRECTORY } else { OpenFlags::empty() };
        let opened = self.descriptor.open_at(follow.into(), path, open, DescriptorFlags::READ)?;
        Ok(Handle::new(opened))
    }

    /// Creates a file that must not be there yet, for writing.
    pub(crate) fn create_file(&self, path: &str) -> Result<Self, Errno> {
        let open = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let flags = DescriptorFlags::WRITE;
        let opened = self.descriptor.open_at(PathFlags::empty(), path, open, flags)?;
        Ok(Handle::new(opened))
    }

    /// What this is.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        Ok(self.descriptor.stat()?.into())
    }

    /// What a path below this directory stands for.
    pub(crate) fn stat_at(&self, path: &str, follow: Follow) -> Result<Stat, Errno> {
        Ok(self.descriptor.stat_at(follow.into(), path)?.into())
    }

    /// A number that is the same for all names of a file.
    pub(crate) fn hash_at(&self, path: &str, follow: Follow) -> Result<(u64, u64), Errno> {
        let hash = self.descriptor.metadata_hash_at(follow.into(), path)?;
        Ok((hash.upper, hash.lower))
    }

    /// Calls `visit` with each name in this directory.
    pub(crate) fn for_each_name(
        &self,
        mut visit: impl FnMut(String) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let entries = self.descriptor.read_directory()?;
        while let Some(entry) = entries.read_directory_entry()? {
            if !matches!(&*entry.name, "." | "..") {
                visit(entry.name)?;
            }
        }
        Ok(())
    }

    /// Where a symbolic link points.
    pub(crate) fn read_link(&self, path: &str) -> Result<String, Errno> {
        Ok(self.descriptor.readlink_at(path)?)
    }

    /// Appends what one call reads from the current position, at most `limit` bytes; nothing only
    /// at the end.
    pub(crate) fn read_some(&self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize, Errno> {
        let position = self.position.load(Ordering::Relaxed);
        let (count, _) = self.read_once(buffer, position, limit)?;
        self.position.store(position + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Appends up to `limit` bytes from the current position; fewer only at the end of the file.
    pub(crate) fn read_to(&self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize, Errno> {
        let position = self.position.load(Ordering::Relaxed);
        let count = self.read_at(buffer, position, limit)?;
        self.position.store(position + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Appends up to `limit` bytes from `offset` on; fewer only at the end of the file.
    pub(crate) fn read_at(
        &self,
        buffer: &mut Vec<u8>,
        offset: u64,
        limit: usize,
    ) -> Result<usize, Errno> {
        let mut total = 0;
        while total < limit {
            let (count, end) = self.read_once(buffer, offset + total as u64, limit - total)?;
            total += count;
            if end || count == 0 {
                break;
            }
        }
        Ok(total)
    }

    /// One call; also whether the end was seen.
    fn read_once(
        &self,
        buffer: &mut Vec<u8>,
        offset: u64,
        limit: usize,
    ) -> Result<(usize, bool), Errno> {
        let limit = limit.min(MAX_TRANSFER);
        loop {
            match self.descriptor.read(limit as u64, offset).map_err(Errno::from) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
                Ok((bytes, end)) => {
                    // A runtime that gives more than it was asked for must not make a file
                    // longer than it was said to be.
                    let count = bytes.len().min(limit);
                    buffer.extend_from_slice(&bytes[..count]);
                    return Ok((count, end));
                }
            }
        }
    }

    /// Writes all of `bytes` at the current position.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> Result<(), Errno> {
        let position = self.position.load(Ordering::Relaxed);
        self.write_all_at(bytes, position)?;
        self.position.store(position + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let part = &bytes[..bytes.len().min(MAX_TRANSFER)];
            match self.descriptor.write(part, offset).map_err(Errno::from) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
                Ok(written) => {
                    let count = usize::try_from(written).unwrap_or(usize::MAX);
                    if count == 0 {
                        return Err(Errno::IO);
                    }
                    bytes = bytes.get(count..).ok_or(Errno::IO)?;
                    offset += written;
                }
            }
        }
        Ok(())
    }

    /// Waits until what was written is on the disk: only keys and tokens are worth that.
    #[cfg(feature = "auth")]
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        match self.descriptor.sync().map_err(Errno::from) {
            // A runtime that cannot do that has done what it can.
            Err(Errno::NOTSUP | Errno::NOSYS) => Ok(()),
            result => result,
        }
    }

    /// Sets the time of the last change of a file or directory. That of the last access becomes
    /// the same: not every runtime can leave it alone.
    pub(crate) fn set_time_at(&self, name: &str, modified: Timestamp) -> Result<(), Errno> {
        // The interface has no times before 1970: what is older becomes as old as it can be.
        let seconds = u64::try_from(modified.seconds).unwrap_or(0);
        let time = NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: modified.nanoseconds });
        Ok(self.descriptor.set_times_at(PathFlags::empty(), name, time, time)?)
    }

    /// Sets the time of the last change of a symbolic link, where the runtime can do that.
    pub(crate) fn set_link_time_at(&self, name: &str, modified: Timestamp) -> Result<(), Errno> {
        if self.times_follow_links() { Ok(()) } else { self.set_time_at(name, modified) }
    }

    /// Whether the runtime sets the time of what a link leads to when it is asked for that of the
    /// link itself: then it may lead anywhere. Looked at once, with a link that leads nowhere.
    fn times_follow_links(&self) -> bool {
        static FOLLOWED: OnceLock<bool> = OnceLock::new();
        *FOLLOWED.get_or_init(|| {
            let name = format!(".btdt-probe-{:016x}", crate::random::random());
            if self.make_symlink(&name[1..], &name).is_err() {
                return true;
            }
            let time = Timestamp { seconds: 1, nanoseconds: 0 };
            let followed = self.set_time_at(&name, time).is_err();
            // What cannot be removed is a link that leads nowhere.
            let _ = self.descriptor.unlink_file_at(&name);
            followed
        })
    }

    /// Sets both times of a file to now: said by us, because not every runtime knows what that is.
    pub(crate) fn touch_at(&self, path: &str) -> Result<(), Errno> {
        self.set_time_at(path, crate::clock::now())
    }

    /// Whether the runtime takes a backslash for a separator: then a name with one in it stands
    /// for something else than the tree says.
    pub(super) fn splits_at_backslashes(&self) -> bool {
        self.stat_at(".\\.", Follow::No).is_ok()
    }

    /// Makes a directory.
    pub(crate) fn make_directory(&self, path: &str) -> Result<(), Errno> {
        Ok(self.descriptor.create_directory_at(path)?)
    }

    /// Makes a symbolic link.
    pub(crate) fn make_symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        Ok(self.descriptor.symlink_at(target, path)?)
    }

    /// Makes the further name `path` in `to` for the file `from`.
    pub(crate) fn link(&self, from: &str, to: &Handle, path: &str) -> Result<(), Errno> {
        Ok(self.descriptor.link_at(PathFlags::empty(), from, &to.descriptor, path)?)
    }

    /// Renames; what is there of the new name is replaced.
    pub(crate) fn rename(&self, from: &str, to: &Handle, path: &str) -> Result<(), Errno> {
        Ok(self.descriptor.rename_at(from, &to.descriptor, path)?)
    }

    /// Renames to a name that must not be there: as far as two calls can tell.
    pub(crate) fn rename_to_absent(
        &self,
        from: &str,
        to: &Handle,
        path: &str,
    ) -> Result<(), Errno> {
        match to.stat_at(path, Follow::No) {
            Err(Errno::NOENT) => self.rename(from, to, path),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        }
    }

    /// Removes a name that is not a directory.
    pub(crate) fn remove(&self, path: &str) -> Result<(), Errno> {
        let result = self.descriptor.unlink_file_at(path).map_err(Errno::from);
        // What the error for a directory is depends on the system below the runtime.
        match result {
            Ok(()) | Err(Errno::NOENT) => result,
            Err(error) => match self.stat_at(path, Follow::No) {
                Ok(stat) if stat.kind == EntryKind::Directory => Err(Errno::ISDIR),
                _ => Err(error),
            },
        }
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, path: &str) -> Result<(), Errno> {
        Ok(self.descriptor.remove_directory_at(path)?)
    }
}
