//! The calls of `wasi:filesystem`.

use super::{FileInfo, Result};
use crate::wasi::{self, Errno, Follow, Handle};
use btdt_ports::EntryKind;
use std::path::Path;

/// The error of a call.
pub(in crate::storage::filesystem) type Error = Errno;

/// An open file.
pub(in crate::storage::filesystem) type File = Handle;

impl From<wasi::Stat> for FileInfo {
    fn from(stat: wasi::Stat) -> Self {
        FileInfo {
            is_file: stat.kind == EntryKind::File,
            is_directory: stat.kind == EntryKind::Directory,
            size: stat.size,
            modified: stat.modified,
        }
    }
}

/// Reads from an open file what there is at an offset, up to the length of the buffer.
pub(in crate::storage::filesystem) fn read_at(
    file: &File,
    buffer: &mut [u8],
    offset: u64,
) -> Result<usize> {
    let mut read = Vec::new();
    let count = file.read_at(&mut read, offset, buffer.len())?;
    buffer[..count].copy_from_slice(&read);
    Ok(count)
}

/// The directory of a cache.
pub(in crate::storage::filesystem) struct Root(Handle);

impl Root {
    pub(in crate::storage::filesystem) fn open(path: &Path) -> Result<Self> {
        Ok(Root(Handle::open_place(&wasi::find(path)?, true)?))
    }

    /// Opens a regular file for reading.
    pub(in crate::storage::filesystem) fn open_file(&self, path: &str) -> Result<(File, FileInfo)> {
        let file = self.0.open_file(path, Follow::No)?;
        let info = FileInfo::from(file.stat()?);
        if info.is_directory {
            return Err(Errno::ISDIR);
        }
        if !info.is_file {
            return Err(Errno::NOTSUP);
        }
        Ok((file, info))
    }

    /// Appends a regular file to `buffer`: all of it if it has at most `limit` bytes, else only
    /// its first `head` bytes.
    pub(in crate::storage::filesystem) fn read(
        &self,
        path: &str,
        limit: u64,
        head: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<FileInfo> {
        let (file, info) = self.open_file(path)?;
        let wanted = if info.size <= limit { info.size } else { info.size.min(head as u64) };
        let wanted = usize::try_from(wanted).map_err(|_| Errno::FBIG)?;
        file.read_at(buffer, 0, wanted)?;
        Ok(info)
    }

    /// Creates a file that must not be there yet.
    pub(in crate::storage::filesystem) fn write_new(
        &self,
        path: &str,
        content: &[u8],
    ) -> Result<()> {
        self.0.create_file(path)?.write_all(content)
    }

    pub(in crate::storage::filesystem) fn stat(&self, path: &str) -> Result<FileInfo> {
        Ok(self.0.stat_at(path, Follow::No)?.into())
    }

    /// Sets the time of the last change to now.
    pub(in crate::storage::filesystem) fn touch(&self, path: &str) -> Result<()> {
        self.0.touch_at(path)
    }

    /// Makes a directory that must not be there yet.
    pub(in crate::storage::filesystem) fn make_new_directory(&self, path: &str) -> Result<()> {
        self.0.make_directory(path)
    }

    /// Makes a directory where it is not there.
    pub(in crate::storage::filesystem) fn make_directory(&self, path: &str) -> Result<()> {
        match self.make_new_directory(path) {
            Err(Errno::EXIST) => Ok(()),
            result => result,
        }
    }

    pub(in crate::storage::filesystem) fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(from, &self.0, to)
    }

    /// Renames a file if the new name is free: in one step where a file can have two names.
    pub(in crate::storage::filesystem) fn rename_to_free_name(
        &self,
        from: &str,
        to: &str,
    ) -> Result<()> {
        match self.0.link(from, &self.0, to) {
            Ok(()) => self.remove_file(from),
            Err(error @ (Errno::EXIST | Errno::NOENT)) => Err(error),
            // A file that appears between the two calls is replaced.
            Err(_) => self.0.rename_to_absent(from, &self.0, to),
        }
    }

    pub(in crate::storage::filesystem) fn remove_file(&self, path: &str) -> Result<()> {
        self.0.remove(path)
    }

    /// Removes a directory if it is empty.
    pub(in crate::storage::filesystem) fn remove_directory(&self, path: &str) -> Result<()> {
        self.0.remove_directory(path)
    }

    /// The names in a directory. Empty where there is no such directory.
    pub(in crate::storage::filesystem) fn names(&self, path: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let listed = self.0.open_directory(path, Follow::No).and_then(|directory| {
            directory.for_each_name(|name| {
                names.push(name);
                Ok(())
            })
        });
        match listed {
            // It may have been removed after it had been opened.
            Ok(()) | Err(Errno::NOENT) => Ok(names),
            Err(error) => Err(error),
        }
    }

    /// There are no locks here.
    pub(in crate::storage::filesystem) fn lock(
        &self,
        _path: &str,
        _exclusive: bool,
    ) -> Result<File> {
        Err(Errno::NOTSUP)
    }
}
