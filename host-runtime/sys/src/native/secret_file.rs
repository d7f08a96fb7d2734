//! Files as the operating system has them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What was found on reading.
pub enum Read {
    /// The beginning of the file.
    Content(Vec<u8>),
    /// It is a directory.
    Directory,
    /// Its mode has bits that it must not have.
    Refused {
        /// The mode.
        mode: u32,
    },
}

/// Reads a file whose mode has none of the bits `refused`, up to `limit` bytes.
pub fn read(path: &Path, refused: u32, limit: u64) -> io::Result<Read> {
    let file = File::open(path)?;
    // Of the open file, so that nobody can change it in between.
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

/// Writes a file that must not be there yet, so that it is on the disk.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Gives a file its name unless the name is taken.
pub fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(aside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // Some volumes know no hard links.
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
