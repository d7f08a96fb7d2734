//! The calls of `wasi:filesystem`.

use super::errno::Errno;
use super::handle::{Follow, Handle, Status};
use super::preopens;
use btdt_ports::EntryKind;
use std::path::Path;

/// The error of a call.
pub type Error = Errno;

/// Whether the error says that the name does not exist.
#[must_use]
pub fn is_not_found(error: &Error) -> bool {
    *error == Errno::NOENT
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// An open file.
pub type File = Handle;

/// Reads at an offset of an open file, up to the length of the buffer.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut read = Vec::new();
    let count = file.read_at(&mut read, offset, buffer.len())?;
    buffer[..count].copy_from_slice(&read);
    Ok(count)
}

/// The directory of a cache.
pub struct CacheDirectory(Handle);

impl CacheDirectory {
    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(CacheDirectory(preopens::find(path)?.open_directory()?))
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, path: &str) -> Result<(File, Status)> {
        let file = self.0.open(path, Follow::No, false)?;
        let info = file.status()?;
        if info.kind == EntryKind::Directory {
            return Err(Errno::ISDIR);
        }
        if info.kind != EntryKind::File {
            return Err(Errno::NOTSUP);
        }
        Ok((file, info))
    }

    /// Appends a regular file to `buffer`: all of it if it has at most `limit` bytes, else only
    /// its first `head` bytes.
    pub fn read(
        &self,
        path: &str,
        limit: u64,
        head: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<Status> {
        let (file, info) = self.open_file(path)?;
        let wanted = if info.size <= limit { info.size } else { info.size.min(head as u64) };
        let wanted = usize::try_from(wanted).map_err(|_| Errno::FBIG)?;
        file.read_at(buffer, 0, wanted)?;
        Ok(info)
    }

    /// Creates a file; an error if the name exists.
    pub fn write_new(&self, path: &str, content: &[u8]) -> Result<()> {
        self.0.create_file(path.as_bytes(), 0)?.write_all(content)
    }

    /// The metadata of a name; a symbolic link is not followed.
    pub fn stat(&self, path: &str) -> Result<Status> {
        self.0.stat(path, Follow::No)
    }

    /// Sets both times to now, told by this program: not every runtime knows what that is.
    pub fn touch(&self, path: &str) -> Result<()> {
        self.0.set_time_at(path.as_bytes(), EntryKind::File, crate::clock::now())
    }

    /// Creates a directory; an error if the name exists.
    pub fn make_new_directory(&self, path: &str) -> Result<()> {
        self.0.make_directory(path.as_bytes(), 0)
    }

    /// Creates a directory unless it exists.
    pub fn make_directory(&self, path: &str) -> Result<()> {
        match self.make_new_directory(path) {
            Err(Errno::EXIST) => Ok(()),
            result => result,
        }
    }

    /// Renames, replacing an existing file.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(from.as_bytes(), &self.0, to.as_bytes())
    }

    /// Renames a file if the new name is free: atomically if there are hard links.
    pub fn rename_to_free_name(&self, from: &str, to: &str) -> Result<()> {
        match self.0.make_hard_link(from.as_bytes(), &self.0, to.as_bytes()) {
            Ok(()) => self.remove_file(from),
            Err(error @ (Errno::EXIST | Errno::NOENT)) => Err(error),
            // A file that appears between the two calls is replaced.
            Err(_) => self.0.rename_to_absent(from.as_bytes(), &self.0, to.as_bytes()),
        }
    }

    /// Removes a file.
    pub fn remove_file(&self, path: &str) -> Result<()> {
        self.0.remove(path.as_bytes())
    }

    /// Removes a directory if it is empty.
    pub fn remove_directory(&self, path: &str) -> Result<()> {
        self.0.remove_directory(path.as_bytes())
    }

    /// The names in a directory; empty if it does not exist.
    pub fn names(&self, path: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let listed = self.0.open(path, Follow::No, true).and_then(|directory| {
            directory.for_each_name(&mut Vec::new(), |name| {
                names.extend(name.to_str().map(str::to_owned));
                Ok(())
            })
        });
        match listed {
            // It may have been removed after it was opened.
            Ok(()) | Err(Errno::NOENT) => Ok(names),
            Err(error) => Err(error),
        }
    }

    /// There are no locks here.
    pub fn lock(&self, _path: &str, _exclusive: bool) -> Result<File> {
        Err(Errno::NOTSUP)
    }
}
