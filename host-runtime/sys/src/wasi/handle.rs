//! Open files and directories: the calls of `wasi:filesystem`, and how paths are resolved.
//!
//! Everything below the root of a tree is opened *beneath* it, component by component: no
//! symbolic link is followed and no name leads out, whatever another process does to the tree
//! meanwhile.
//!
//! The interface has no modes, owners, locks, devices, names that are not UTF-8, or renames that
//! never replace. Requests to set a mode are ignored.

pub use crate::status::{PERMISSIONS, Status};

use super::errno::Errno;
use super::names::Name;
use btdt_ports::{EntryKind, IoError, Timestamp};
use std::ffi::{CStr, CString};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, NewTimestamp, OpenFlags, PathFlags,
};

/// The error of a call.
pub type Error = Errno;

type Result<T> = std::result::Result<T, Error>;

/// Whether files have modes that can be read and set.
pub const KEEPS_MODES: bool = false;

/// The largest read or write in bytes: the runtime copies them.
const MAX_TRANSFER: usize = 4 << 20;

/// The error as the core sees it.
pub fn io_error(error: Error) -> IoError {
    error.into()
}

impl Status {
    /// Ignores a refusal to set the time of another user's file. The interface does not tell
    /// whose it is.
    #[allow(clippy::unused_self, reason = "other systems know the owner")]
    pub fn unless_foreign(&self, result: Result<()>) -> Result<()> {
        match result {
            Err(Errno::PERM) => Ok(()),
            result => result,
        }
    }
}

impl From<DescriptorStat> for Status {
    fn from(stat: DescriptorStat) -> Self {
        let kind = match stat.type_ {
            DescriptorType::Directory => EntryKind::Directory,
            DescriptorType::RegularFile => EntryKind::File,
            DescriptorType::SymbolicLink => EntryKind::Symlink,
            _ => EntryKind::Special,
        };
        let modified = stat.data_modification_timestamp.map(timestamp);
        let modified = modified.unwrap_or(Timestamp { seconds: 0, nanoseconds: 0 });
        Status {
            kind,
            full_mode: PERMISSIONS,
            size: stat.size,
            modified,
            changed: stat.status_change_timestamp.map_or(modified, timestamp),
            links: stat.link_count,
            owner: 0,
            device: 0,
            inode: 0,
        }
    }
}

// The seconds are unsigned in the interface: it cannot express a time before 1970, and jco passes
// negative ones on as very large numbers.
fn timestamp(time: Datetime) -> Timestamp {
    match i64::try_from(time.seconds) {
        Ok(seconds) if time.nanoseconds < 1_000_000_000 => {
            Timestamp { seconds, nanoseconds: time.nanoseconds }
        }
        _ => Timestamp { seconds: 0, nanoseconds: 0 },
    }
}

/// What it means that a listed name does not exist: it has been removed since, unless it is what
/// a runtime makes of a name that is not UTF-8.
pub fn gone_since(name: &CStr) -> Result<()> {
    let is_made_up = name.to_str().is_ok_and(|name| name.contains(char::REPLACEMENT_CHARACTER));
    if is_made_up { Err(Errno::ILSEQ) } else { Ok(()) }
}

/// What tells the staging directories of this process from those of others: not digits, so that a
/// process with locks does not take a directory without a lock for a leftover.
pub fn staging_owner() -> String {
    "wasi".to_owned()
}

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Yes,
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

/// An open file or directory, and the position of the next read or write.
pub struct Handle {
    descriptor: Descriptor,
    position: AtomicU64,
}

/// Opening, below a directory.
impl Handle {
    pub(super) fn new(descriptor: Descriptor) -> Self {
        Handle { descriptor, position: AtomicU64::new(0) }
    }

    /// Opens a directory beneath this one; the empty path is this one.
    pub fn open_directory(&self, path: &[u8]) -> Result<Handle> {
        self.open_beneath(path.text()?, true)
    }

    /// Opens a directory beneath this one, to list it.
    pub fn open_listable(&self, path: &[u8]) -> Result<Handle> {
        self.open_beneath(path.text()?, true)
    }

    /// Opens a file beneath this directory for reading.
    pub fn open_file_beneath(&self, path: &[u8]) -> Result<Handle> {
        self.open_beneath(path.text()?, false)
    }

    /// Opens a directory below this one to list it, symbolic links followed.
    pub fn open_listable_followed(&self, path: &[u8]) -> Result<Handle> {
        let path = if path.is_empty() { "." } else { path.text()? };
        self.open(path, Follow::Yes, true)
    }

    /// Opens a file below this directory for reading, symbolic links followed.
    pub fn open_file_followed(&self, path: &[u8]) -> Result<Handle> {
        self.open(path.text()?, Follow::Yes, false)
    }

    /// Opens a file in this directory for reading. The interface cannot keep the access time.
    pub fn open_file(&self, name: &[u8], _keep_access_time: &mut bool) -> Result<Handle> {
        self.open(name.text()?, Follow::No, false)
    }

    /// Creates a file for writing; an error if the name exists.
    pub fn create_file(&self, name: &[u8], _mode: u32) -> Result<Handle> {
        let open = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let flags = DescriptorFlags::WRITE;
        let opened = self.descriptor.open_at(PathFlags::empty(), name.text()?, open, flags)?;
        Ok(Handle::new(opened))
    }

    pub(super) fn open(&self, path: &str, follow: Follow, directory: bool) -> Result<Handle> {
        let open = if directory { OpenFlags::DIRECTORY } else { OpenFlags::empty() };
        let opened = self.descriptor.open_at(follow.into(), path, open, DescriptorFlags::READ)?;
        Ok(Handle::new(opened))
    }

    fn open_beneath(&self, path: &str, directory: bool) -> Result<Handle> {
        if path.is_empty() {
            // It was opened through symbolic links, and jco names it by the path that leads to it.
            return self.open(".", Follow::Yes, directory);
        }
        let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
        let mut current: Option<Handle> = None;
        for name in above.split('/').filter(|_| !above.is_empty()) {
            let next = current.as_ref().unwrap_or(self).open(usual(name)?, Follow::No, true)?;
            current = Some(next);
        }
        current.as_ref().unwrap_or(self).open(usual(last)?, Follow::No, directory)
    }
}

/// A name that stands for something in its directory.
fn usual(name: &str) -> Result<&str> {
    if matches!(name, "" | "." | "..") { Err(Errno::INVAL) } else { Ok(name) }
}

/// Metadata.
impl Handle {
    /// The metadata of the open file or directory.
    pub fn status(&self) -> Result<Status> {
        Ok(self.descriptor.stat()?.into())
    }

    /// The metadata of a name in this directory; a symbolic link is not followed.
    pub fn status_at(&self, name: impl Name) -> Result<Status> {
        self.identified(name.text()?, Follow::No)
    }

    /// The metadata of a path below this directory, symbolic links followed.
    pub fn status_followed(&self, path: impl Name) -> Result<Status> {
        self.identified(path.text()?, Follow::Yes)
    }

    /// The metadata of a path, without what identifies a file with several names.
    pub(super) fn stat(&self, path: &str, follow: Follow) -> Result<Status> {
        Ok(self.descriptor.stat_at(follow.into(), path)?.into())
    }

    fn identified(&self, path: &str, follow: Follow) -> Result<Status> {
        let mut status = self.stat(path, follow)?;
        if status.kind == EntryKind::File && status.links > 1 {
            // A runtime without such numbers has no files with several names either.
            match self.descriptor.metadata_hash_at(follow.into(), path) {
                // Both halves as they are: wasmtime's differ by the same bits for every file.
                Ok(hash) => (status.device, status.inode) = (hash.upper, hash.lower),
                Err(_) => status.links = 1,
            }
        }
        Ok(status)
    }

    /// Sets the time of the last change of this open file, `name` in `directory`: by name, as not
    /// every runtime sets the right time by the open file.
    pub fn set_file_time(
        &self,
        directory: &Handle,
        name: &[u8],
        modified: Timestamp,
    ) -> Result<()> {
        directory.set_time(name.text()?, modified)
    }

    /// Sets the time of the last change of a name; of a symbolic link only where the runtime can.
    pub fn set_time_at(&self, name: &[u8], kind: EntryKind, modified: Timestamp) -> Result<()> {
        if kind == EntryKind::Symlink && self.times_follow_links() {
            return Ok(());
        }
        self.set_time(name.text()?, modified)
    }

    /// Sets the times of the last change and of the last access: not every runtime can leave the
    /// latter alone.
    fn set_time(&self, name: &str, modified: Timestamp) -> Result<()> {
        // The interface has no times before 1970: older ones become as old as possible.
        let seconds = u64::try_from(modified.seconds).unwrap_or(0);
        let time = NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: modified.nanoseconds });
        Ok(self.descriptor.set_times_at(PathFlags::empty(), name, time, time)?)
    }

    /// Whether the runtime follows a symbolic link when it is asked to set the time of the link
    /// itself: then it may lead anywhere. Tried once, with a link that leads nowhere.
    fn times_follow_links(&self) -> bool {
        static FOLLOWED: OnceLock<bool> = OnceLock::new();
        *FOLLOWED.get_or_init(|| {
            let name = format!(".btdt-probe-{:016x}", crate::random::random());
            if self.make_symlink(name.as_bytes(), &name.as_bytes()[1..]).is_err() {
                return true;
            }
            let time = Timestamp { seconds: 1, nanoseconds: 0 };
            let followed = self.set_time(&name, time).is_err();
            // If it cannot be removed, a link remains that leads nowhere.
            let _ = self.descriptor.unlink_file_at(&name);
            followed
        })
    }

    /// Does nothing: there are no modes.
    pub fn set_mode(&self, _mode: u32) -> Result<()> {
        Ok(())
    }

    /// Does nothing: there are no modes.
    pub fn set_mode_of_path(&self, _mode: u32) -> Result<()> {
        Ok(())
    }

    /// Does nothing: there are no modes.
    pub fn set_mode_at(&self, _name: &[u8], _kind: EntryKind, _mode: u32) -> Result<()> {
        Ok(())
    }
}

/// Content.
impl Handle {
    /// Appends what one call reads, at most `limit` bytes; nothing only at the end.
    pub fn read_some(&self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize> {
        let position = self.position.load(Ordering::Relaxed);
        let (count, _) = self.read_once(buffer, position, limit)?;
        self.position.store(position + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Appends up to `limit` bytes from the current position; fewer only at the end of the file.
    pub fn read_to(&self, buffer: &mut Vec<u8>, _expected: usize, limit: usize) -> Result<usize> {
        let position = self.position.load(Ordering::Relaxed);
        let count = self.read_at(buffer, position, limit)?;
        self.position.store(position + count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Appends up to `limit` bytes from `offset` on; fewer only at the end of the file.
    pub fn read_at(&self, buffer: &mut Vec<u8>, offset: u64, limit: usize) -> Result<usize> {
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

    /// One call; also whether it reached the end.
    fn read_once(&self, buffer: &mut Vec<u8>, offset: u64, limit: usize) -> Result<(usize, bool)> {
        let limit = limit.min(MAX_TRANSFER);
        loop {
            match self.descriptor.read(limit as u64, offset).map_err(Errno::from) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
                Ok((bytes, end)) => {
                    // A runtime that gives more than was asked for must not make a file longer
                    // than expected.
                    let count = bytes.len().min(limit);
                    buffer.extend_from_slice(&bytes[..count]);
                    return Ok((count, end));
                }
            }
        }
    }

    /// Writes all of `bytes` at the current position.
    pub fn write_all(&self, bytes: &[u8]) -> Result<()> {
        let position = self.position.load(Ordering::Relaxed);
        self.write_all_at(bytes, position)?;
        self.position.store(position + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
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

    /// Waits until the content is on the disk: only keys and tokens are worth that.
    pub(super) fn sync(&self) -> Result<()> {
        match self.descriptor.sync().map_err(Errno::from) {
            // A runtime that cannot do that has done what it can.
            Err(Errno::NOTSUP | Errno::NOSYS) => Ok(()),
            result => result,
        }
    }
}

/// Names in a directory.
impl Handle {
    /// Calls `visit` with each name in this directory.
    pub fn for_each_name(
        &self,
        _buffer: &mut Vec<u8>,
        mut visit: impl FnMut(&CStr) -> Result<()>,
    ) -> Result<()> {
        let entries = self.descriptor.read_directory()?;
        while let Some(entry) = entries.read_directory_entry()? {
            if !matches!(&*entry.name, "." | "..") {
                visit(&CString::new(entry.name).map_err(|_| Errno::ILSEQ)?)?;
            }
        }
        Ok(())
    }

    /// The target of a symbolic link; `None` where the runtime does not tell, as some do not for
    /// absolute targets.
    pub fn read_link(&self, name: impl Name) -> Result<Option<Vec<u8>>> {
        match self.descriptor.readlink_at(name.text()?).map_err(Errno::from) {
            // An absolute target, or one that is not UTF-8.
            Err(Errno::PERM | Errno::ACCESS | Errno::ILSEQ) => Ok(None),
            // This may stand for bytes that are not UTF-8: another target, if it were stored.
            Ok(target) if target.contains(char::REPLACEMENT_CHARACTER) => Ok(None),
            result => result.map(|target| Some(target.into_bytes())),
        }
    }

    /// Creates a directory.
    pub fn make_directory(&self, name: &[u8], _mode: u32) -> Result<()> {
        Ok(self.descriptor.create_directory_at(name.text()?)?)
    }

    /// Creates a symbolic link. Runtimes refuse absolute targets, so plans leave those out.
    pub fn make_symlink(&self, name: &[u8], target: &[u8]) -> Result<()> {
        Ok(self.descriptor.symlink_at(target.text()?, name.text()?)?)
    }

    /// Creates the name `new_name` in `to` for the file `name` in this directory.
    pub fn make_hard_link(&self, name: &[u8], to: &Handle, new_name: &[u8]) -> Result<()> {
        let (name, new_name) = (name.text()?, new_name.text()?);
        Ok(self.descriptor.link_at(PathFlags::empty(), name, &to.descriptor, new_name)?)
    }

    /// Removes a name that is not a directory.
    pub fn remove(&self, name: &[u8]) -> Result<()> {
        let name = name.text()?;
        let result = self.descriptor.unlink_file_at(name).map_err(Errno::from);
        // The error for a directory depends on the system below the runtime.
        match result {
            Ok(()) | Err(Errno::NOENT) => result,
            Err(error) => match self.stat(name, Follow::No) {
                Ok(status) if status.kind == EntryKind::Directory => Err(Errno::ISDIR),
                _ => Err(error),
            },
        }
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &[u8]) -> Result<()> {
        Ok(self.descriptor.remove_directory_at(name.text()?)?)
    }

    /// Renames to `new_name` in `to`, replacing an existing file.
    pub fn rename(&self, name: &[u8], to: &Handle, new_name: &[u8]) -> Result<()> {
        Ok(self.descriptor.rename_at(name.text()?, &to.descriptor, new_name.text()?)?)
    }

    /// Renames to a name that must not exist, as far as two calls can tell.
    pub fn rename_to_absent(&self, name: &[u8], to: &Handle, new_name: &[u8]) -> Result<()> {
        match to.stat(new_name.text()?, Follow::No) {
            Err(Errno::NOENT) => self.rename(name, to, new_name),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        }
    }

    /// Always fails: there are no locks.
    pub fn lock(&self) -> Result<()> {
        Err(Errno::NOTSUP)
    }
}
