//! The system calls.

use crate::status::Status;
use btdt_ports::EntryKind;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timestamps};
use rustix::io::Errno;
use std::io::{self, Write};
use std::path::Path;

/// The umask restricts these; nothing here is secret by itself.
const FILE_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o777;

/// Attempts at a shared lock: a collector holds the exclusive one for microseconds.
const SHARED_LOCK_ATTEMPTS: u32 = 1000;

/// The error of a call.
pub type Error = io::Error;

/// Whether the error says that the name does not exist.
#[must_use]
pub fn is_not_found(error: &Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// The result of a call.
pub type Result<T> = io::Result<T>;

/// An open file.
pub type File = OwnedFd;

/// Reads at an offset of an open file, up to the length of the buffer.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match rustix::io::pread(file, &mut *buffer, offset) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// The directory of a cache.
pub struct CacheDirectory(OwnedFd);

impl CacheDirectory {
    /// Opens the directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(CacheDirectory(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, path: &str) -> io::Result<(File, Status)> {
        // Without NONBLOCK, opening a FIFO instead of the file would block forever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.0, path, flags, Mode::empty())?;
        let info = Status::from(rustix::fs::fstat(&file)?);
        if info.kind == EntryKind::Directory {
            return Err(Errno::ISDIR.into());
        }
        if info.kind != EntryKind::File {
            return Err(Errno::NOTSUP.into());
        }
        Ok((file, info))
    }

    /// Appends a regular file to `buffer`: all of it if it has at most `limit` bytes, else only
    /// its first `head` bytes. One `open`, `fstat`, `read` and `close`.
    pub fn read(
        &self,
        path: &str,
        limit: u64,
        head: usize,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Status> {
        let (file, info) = self.open_file(path)?;
        let wanted = if info.size <= limit { info.size } else { info.size.min(head as u64) };
        let wanted = usize::try_from(wanted).map_err(|_| Errno::FBIG)?;
        buffer.reserve_exact(wanted);
        let end = buffer.len() + wanted;
        while buffer.len() < end {
            match rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The buffer may have more capacity, and the file more content.
        buffer.truncate(end);
        Ok(info)
    }

    /// Creates a file; an error if the name exists.
    pub fn write_new(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(FILE_MODE);
        let mut file = std::fs::File::from(rustix::fs::openat(&self.0, path, flags, mode)?);
        file.write_all(content)
    }

    /// The metadata of a name; a symbolic link is not followed.
    pub fn stat(&self, path: &str) -> io::Result<Status> {
        Ok(rustix::fs::statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW)?.into())
    }

    /// Sets the time of the last change to now. Sets both times, because that only needs write
    /// permission, also for another user's file.
    pub fn touch(&self, path: &str) -> io::Result<()> {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        Ok(rustix::fs::utimensat(&self.0, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Creates a directory; an error if the name exists.
    pub fn make_new_directory(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, path, Mode::from_raw_mode(DIRECTORY_MODE))?)
    }

    /// Creates a directory unless it exists.
    pub fn make_directory(&self, path: &str) -> io::Result<()> {
        match self.make_new_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// Renames, replacing an existing file.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Creates a hard link; an error if the name exists.
    fn link(&self, from: &str, to: &str) -> rustix::io::Result<()> {
        rustix::fs::linkat(&self.0, from, &self.0, to, AtFlags::empty())
    }

    /// Renames a file if the new name is free, atomically if the file system can.
    pub fn rename_to_free_name(&self, from: &str, to: &str) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&self.0, from, &self.0, to, flags) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                result => return Ok(result?),
            }
        }
        match self.link(from, to) {
            Ok(()) => self.remove_file(from),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {
                self.rename_unless_seen(from, to)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The last resort, for file systems with neither `RENAME_NOREPLACE` nor hard links: a file
    /// that appears between the two calls is replaced.
    fn rename_unless_seen(&self, from: &str, to: &str) -> io::Result<()> {
        match self.stat(to) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(error) if is_not_found(&error) => self.rename(from, to),
            Err(error) => Err(error),
        }
    }

    /// Removes a file.
    pub fn remove_file(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, path, AtFlags::empty())?)
    }

    /// Removes a directory if it is empty.
    pub fn remove_directory(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, path, AtFlags::REMOVEDIR)?)
    }

    /// The names in a directory, without those that are not UTF-8, which btdt never creates. Empty
    /// if the directory does not exist.
    pub fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match rustix::fs::openat(&self.0, path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            result => result?,
        };
        let mut names = Vec::new();
        let entries = match Dir::new(directory) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            result => result?,
        };
        for entry in entries {
            let entry = match entry {
                // The directory was removed after it was opened.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Locks a file, creating it if possible, until the result is dropped. Waits no longer than a
    /// collector holds the exclusive lock.
    pub fn lock(&self, path: &str, exclusive: bool) -> io::Result<File> {
        use rustix::fs::FlockOperation::{NonBlockingLockExclusive, NonBlockingLockShared};
        let open = |flags| {
            let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            rustix::fs::openat(&self.0, path, flags, Mode::from_raw_mode(FILE_MODE))
        };
        // On network file systems, an exclusive lock needs a file that is open for writing.
        let file = open(OFlags::RDWR | OFlags::CREATE).or_else(|_| open(OFlags::RDONLY))?;
        let operation = if exclusive { NonBlockingLockExclusive } else { NonBlockingLockShared };
        let mut attempts = if exclusive { 1 } else { SHARED_LOCK_ATTEMPTS };
        loop {
            match rustix::fs::flock(&file, operation) {
                Err(Errno::WOULDBLOCK) if attempts > 1 => attempts -= 1,
                result => break result?,
            }
            std::thread::yield_now();
        }
        Ok(file)
    }
}
