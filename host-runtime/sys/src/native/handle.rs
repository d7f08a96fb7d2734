//! Open files and directories: the system calls, and how paths are resolved.
//!
//! Everything below the root of a tree is opened *beneath* it: no symbolic link is followed and
//! no name leads out, whatever another process does to the tree meanwhile.

pub use crate::status::{PERMISSIONS, Status};

use btdt_ports::{EntryKind, IoError, IoErrorKind, Timestamp};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawDir, RenameFlags, ResolveFlags,
    Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The error number of a system call.
pub type Error = Errno;

type Result<T> = std::result::Result<T, Error>;

/// Whether files have modes that can be read and set.
pub const KEEPS_MODES: bool = true;

/// The largest read or write of one system call (Linux stops at 2 GiB less a page).
const MAX_TRANSFER: usize = 1 << 30;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// Without `NONBLOCK`, opening a FIFO that took the place of a file would block forever.
const FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// The error as the core sees it.
pub fn io_error(error: Error) -> IoError {
    match error {
        Errno::LOOP => {
            IoError { kind: IoErrorKind::SymlinkLoop, os_code: Some(error.raw_os_error()) }
        }
        _ => std::io::Error::from(error).into(),
    }
}

impl Status {
    /// Ignores a refusal to set the mode or time of another user's file: only the owner may do
    /// that, although anyone with write permission may change the content.
    pub fn unless_foreign(&self, result: Result<()>) -> Result<()> {
        match result {
            // The owner is refused for another reason, such as an immutable file.
            Err(Errno::PERM) if self.owner != rustix::process::geteuid().as_raw() => Ok(()),
            result => result,
        }
    }
}

impl From<rustix::fs::Stat> for Status {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the widths of these fields differ between architectures"
    )]
    fn from(stat: rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => EntryKind::File,
            FileType::Symlink => EntryKind::Symlink,
            _ => EntryKind::Special,
        };
        Status {
            kind,
            full_mode: stat.st_mode & 0o7777,
            size: stat.st_size as u64,
            modified: Timestamp {
                seconds: stat.st_mtime as i64,
                nanoseconds: stat.st_mtime_nsec as u32,
            },
            changed: Timestamp {
                seconds: stat.st_ctime as i64,
                nanoseconds: stat.st_ctime_nsec as u32,
            },
            links: stat.st_nlink as u64,
            owner: stat.st_uid,
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }
}

/// What it means that a listed name does not exist: it has been removed since.
pub fn gone_since(_name: &CStr) -> Result<()> {
    Ok(())
}

/// What tells the staging directories of this process from those of others: its id.
pub fn staging_owner() -> String {
    std::process::id().to_string()
}

/// An open file or directory.
#[derive(Debug)]
pub struct Handle(OwnedFd);

/// Opening, below a directory.
impl Handle {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Handle(descriptor)
    }

    /// Opens a directory beneath this one, to reach what is in it; the empty path is this one.
    pub fn open_directory(&self, path: &[u8]) -> Result<Handle> {
        self.open_beneath(path, OFlags::PATH | DIRECTORY)
    }

    /// Opens a directory beneath this one, to list it or to change its mode.
    pub fn open_listable(&self, path: &[u8]) -> Result<Handle> {
        self.open_beneath(path, OFlags::RDONLY | DIRECTORY)
    }

    /// Opens a file beneath this directory for reading.
    pub fn open_file_beneath(&self, path: &[u8]) -> Result<Handle> {
        self.open_beneath(path, OFlags::RDONLY | FILE)
    }

    /// Opens a directory below this one to list it, symbolic links followed.
    pub fn open_listable_followed(&self, path: &[u8]) -> Result<Handle> {
        self.open_at(path_or_dot(path), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    /// Opens a file below this directory for reading, symbolic links followed.
    pub fn open_file_followed(&self, path: &[u8]) -> Result<Handle> {
        self.open_at(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK)
    }

    /// Opens a file in this directory for reading. Clears `keep_access_time` where the system
    /// does not permit that.
    pub fn open_file(&self, name: &[u8], keep_access_time: &mut bool) -> Result<Handle> {
        let flags = OFlags::RDONLY | FILE;
        if *keep_access_time {
            match self.open_at(name, flags | OFlags::NOATIME) {
                Err(Errno::PERM) => *keep_access_time = false,
                result => return result,
            }
        }
        self.open_at(name, flags)
    }

    /// Creates a file for writing; an error if the name exists.
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<Handle> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(mode)).map(Handle)
    }

    fn open_at(&self, path: &[u8], flags: OFlags) -> Result<Handle> {
        rustix::fs::openat(&self.0, path, flags, Mode::empty()).map(Handle)
    }

    fn open_beneath(&self, path: &[u8], flags: OFlags) -> Result<Handle> {
        static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);
        let root = self.0.as_fd();
        if !WITHOUT_OPENAT2.load(Ordering::Relaxed) {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(root, path_or_dot(path), flags, Mode::empty(), resolve) {
                Err(Errno::NOSYS | Errno::PERM) => {
                    // PERM: how older sandboxes answer a call they do not know. A genuine one
                    // comes up again in the walk.
                    if matches!(probe_openat2(root), Err(Errno::NOSYS | Errno::PERM)) {
                        WITHOUT_OPENAT2.store(true, Ordering::Relaxed);
                    }
                }
                // AGAIN: something was renamed meanwhile. NAMETOOLONG: the walk has no such limit.
                Err(Errno::AGAIN | Errno::NAMETOOLONG) => {}
                result => return result.map(Handle),
            }
        }
        walk_beneath(root, path, flags).map(Handle)
    }
}

fn path_or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

fn probe_openat2(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    rustix::fs::openat2(root, ".", OFlags::PATH, Mode::empty(), ResolveFlags::BENEATH)
}

/// What [`Handle::open_beneath`] does, component by component.
fn walk_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    if path.is_empty() {
        return rustix::fs::openat(root, ".", flags, Mode::empty());
    }
    let mut current: Option<OwnedFd> = None;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::INVAL);
        }
        let flags = if names.peek().is_some() { OFlags::PATH | DIRECTORY } else { flags };
        let parent = current.as_ref().map_or(root, AsFd::as_fd);
        let next = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        current = Some(next);
    }
    current.ok_or(Errno::INVAL)
}

/// Metadata.
impl Handle {
    /// The metadata of the open file or directory.
    pub fn status(&self) -> Result<Status> {
        rustix::fs::fstat(&self.0).map(Status::from)
    }

    /// The metadata of a name in this directory; a symbolic link is not followed.
    pub fn status_at(&self, name: impl Arg) -> Result<Status> {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).map(Status::from)
    }

    /// The metadata of a path below this directory, symbolic links followed.
    pub fn status_followed(&self, path: impl Arg) -> Result<Status> {
        rustix::fs::statat(&self.0, path, AtFlags::empty()).map(Status::from)
    }

    /// Sets the time of the last change of this open file, `_name` in `_directory`.
    pub fn set_file_time(
        &self,
        _directory: &Handle,
        _name: &[u8],
        modified: Timestamp,
    ) -> Result<()> {
        rustix::fs::futimens(&self.0, &timestamps(modified))
    }

    /// Sets the time of the last change of a name; a symbolic link is not followed.
    pub fn set_time_at(&self, name: &[u8], _kind: EntryKind, modified: Timestamp) -> Result<()> {
        let times = timestamps(modified);
        rustix::fs::utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Sets the mode of a file or directory that is open for reading or writing.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(&self.0, Mode::from_raw_mode(mode))
    }

    /// Sets the mode of what was opened only as a path, which `fchmod` refuses.
    pub fn set_mode_of_path(&self, mode: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(mode);
        let link = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        match rustix::fs::chmodat(CWD, &*link, mode, AtFlags::empty()) {
            // No /proc: a directory that may be searched can still be named from within.
            Err(Errno::NOENT | Errno::NOTDIR) => {
                rustix::fs::chmodat(&self.0, ".", mode, AtFlags::empty())
            }
            result => result,
        }
    }

    /// Sets the mode of a file or directory; a symbolic link is an error.
    pub fn set_mode_at(&self, name: &[u8], kind: EntryKind, mode: u32) -> Result<()> {
        let handle = self.open_at(name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)?;
        // It may have been replaced since the caller looked at the name.
        if handle.status()?.kind != kind || kind == EntryKind::Symlink {
            return Err(Errno::LOOP);
        }
        match handle.set_mode_of_path(mode) {
            // No /proc, and a file cannot be named from within.
            Err(Errno::NOTDIR | Errno::NOENT) if kind == EntryKind::File => {
                self.set_mode_opened(name, mode)
            }
            result => result,
        }
    }

    /// Sets the mode of a file by opening it, which its present mode has to permit.
    fn set_mode_opened(&self, name: &[u8], mode: u32) -> Result<()> {
        let handle = match self.open_at(name, OFlags::RDONLY | FILE) {
            Err(Errno::ACCESS) => self.open_at(name, OFlags::WRONLY | FILE)?,
            result => result?,
        };
        // As above: it was opened by its name once more.
        if handle.status()?.kind != EntryKind::File {
            return Err(Errno::LOOP);
        }
        handle.set_mode(mode)
    }
}

#[allow(clippy::unnecessary_cast, reason = "the widths of these fields differ")]
fn timestamps(modified: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds as _,
        },
    }
}

/// Content.
impl Handle {
    /// Appends what one call reads, at most `limit` bytes; nothing only at the end.
    pub fn read_some(&self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize> {
        buffer.reserve(limit);
        let spare = &mut buffer.spare_capacity_mut()[..limit.min(MAX_TRANSFER)];
        let count = retry(|| rustix::io::read(&self.0, &mut *spare).map(|(read, _)| read.len()))?;
        // SAFETY: the system call has initialised that many bytes of the spare capacity.
        unsafe { buffer.set_len(buffer.len() + count) };
        Ok(count)
    }

    /// Appends up to `limit` bytes from the current position to `buffer`, with as few calls as
    /// possible: one where the file is as long as `expected` and `limit` is more, and a last one
    /// that finds the end otherwise. Nothing is zeroed and nothing is copied twice.
    pub fn read_to(&self, buffer: &mut Vec<u8>, expected: usize, limit: usize) -> Result<usize> {
        let mut total = 0;
        while total < limit {
            let wanted = (limit - total).min(MAX_TRANSFER);
            let count = self.read_some(buffer, wanted)?;
            total += count;
            if count == 0 || (total == expected && count < wanted) {
                break;
            }
        }
        Ok(total)
    }

    /// Appends up to `limit` bytes from `offset` on to `buffer`; fewer only at the end of the
    /// file.
    pub fn read_at(&self, buffer: &mut Vec<u8>, mut offset: u64, limit: usize) -> Result<usize> {
        buffer.reserve(limit);
        let mut total = 0;
        while total < limit {
            let wanted = (limit - total).min(MAX_TRANSFER);
            let spare = &mut buffer.spare_capacity_mut()[..wanted];
            let count = retry(|| {
                rustix::io::pread(&self.0, &mut *spare, offset).map(|(read, _)| read.len())
            })?;
            if count == 0 {
                break;
            }
            // SAFETY: the system call has initialised that many bytes of the spare capacity.
            unsafe { buffer.set_len(buffer.len() + count) };
            total += count;
            offset += count as u64;
        }
        Ok(total)
    }

    /// Writes all of `bytes` at the current position.
    pub fn write_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let part = &bytes[..bytes.len().min(MAX_TRANSFER)];
            match retry(|| rustix::io::write(&self.0, part))? {
                0 => return Err(Errno::IO),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            let part = &bytes[..bytes.len().min(MAX_TRANSFER)];
            match retry(|| rustix::io::pwrite(&self.0, part, offset))? {
                0 => return Err(Errno::IO),
                count => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Names in a directory.
impl Handle {
    /// Calls `visit` with each name in this directory, which was opened for listing.
    pub fn for_each_name(
        &self,
        buffer: &mut Vec<u8>,
        mut visit: impl FnMut(&CStr) -> Result<()>,
    ) -> Result<()> {
        /// Holds the names of almost every directory, and any single name.
        const BUFFER: usize = 64 << 10;
        buffer.clear();
        buffer.reserve(BUFFER);
        let mut entries = RawDir::new(&self.0, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                visit(name)?;
            }
        }
        Ok(())
    }

    /// The target of a symbolic link; always something.
    pub fn read_link(&self, name: impl Arg) -> Result<Option<Vec<u8>>> {
        let target = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(Some(target.into_bytes()))
    }

    /// Creates a directory.
    pub fn make_directory(&self, name: &[u8], mode: u32) -> Result<()> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode))
    }

    /// Creates a symbolic link.
    pub fn make_symlink(&self, name: &[u8], target: &[u8]) -> Result<()> {
        rustix::fs::symlinkat(target, &self.0, name)
    }

    /// Creates the name `new_name` in `to` for the file `name` in this directory.
    pub fn make_hard_link(&self, name: &[u8], to: &Handle, new_name: &[u8]) -> Result<()> {
        rustix::fs::linkat(&self.0, name, &to.0, new_name, AtFlags::empty())
    }

    /// Removes a name that is not a directory.
    pub fn remove(&self, name: &[u8]) -> Result<()> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::empty())
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &[u8]) -> Result<()> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)
    }

    /// Renames to `new_name` in `to`, replacing an existing file.
    pub fn rename(&self, name: &[u8], to: &Handle, new_name: &[u8]) -> Result<()> {
        rustix::fs::renameat(&self.0, name, &to.0, new_name)
    }

    /// Renames to a name that must not exist, as far as the file system can tell.
    pub fn rename_to_absent(&self, name: &[u8], to: &Handle, new_name: &[u8]) -> Result<()> {
        match rustix::fs::renameat_with(&self.0, name, &to.0, new_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => match to.status_at(new_name) {
                Err(Errno::NOENT) => self.rename(name, to, new_name),
                Ok(_) => Err(Errno::EXIST),
                Err(error) => Err(error),
            },
            result => result,
        }
    }

    /// Takes the exclusive lock of this directory, without waiting for it.
    pub fn lock(&self) -> Result<()> {
        rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive)
    }
}

#[cfg(test)]
mod tests {
    use super::super::host_paths::{open_directory, status_of};
    use super::*;

    #[test]
    fn the_mode_of_a_file_is_set_without_proc() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        std::fs::write(&path, "x").unwrap();
        std::os::unix::fs::symlink("f", scratch.path().join("link")).unwrap();
        let directory = open_directory(scratch.path()).unwrap();
        for mode in [0o640, 0o200, 0o755] {
            directory.set_mode_opened(b"f", mode).unwrap();
            assert_eq!(status_of(&path).unwrap().full_mode, mode);
        }
        assert_eq!(directory.set_mode_opened(b"link", 0o600), Err(Errno::LOOP));
        assert_eq!(directory.set_mode_opened(b".", 0o600), Err(Errno::LOOP));
        assert_eq!(status_of(&path).unwrap().full_mode, 0o755);
    }
}
