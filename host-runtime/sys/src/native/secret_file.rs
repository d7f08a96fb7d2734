//! Files of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The result of reading.
pub enum Read {
    /// The beginning of the file.
    Content(Vec<u8>),
    /// It is a directory.
    Directory,
    /// Its mode has forbidden bits.
    Refused {
        /// The mode.
        mode: u32,
    },
}

/// Reads up to `limit` bytes of a file whose mode has none of the bits `refused`.
pub fn read(path: &Path, refused: u32, limit: u64) -> io::Result<Read> {
    let file = File::open(path)?;
    // That of the open file, so that it cannot change in between.
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Read::Directory);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & refused != 0 {
        return Ok(Read::Refused { mode });
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Read::Content(bytes))
}

/// Creates a file and waits until it is on the disk.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Gives a file its final name unless that exists.
pub fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(aside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // Some volumes have no hard links.
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            renameat_with(CWD, aside, CWD, path, RenameFlags::NOREPLACE).map_err(|_| error)
        }
        done => done,
    }
}

/// Removes a file.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
