//! Files as a WASI runtime has them: without modes, so that nobody is kept from reading by one.

use crate::wasi::{Errno, Handle, find};
use btdt_ports::EntryKind;
use std::io;
use std::path::Path;

/// What was found on reading.
pub(super) enum Read {
    /// The beginning of the file.
    Content(Vec<u8>),
    /// It is a directory.
    Directory,
    /// Its mode has bits that it must not have: never here.
    #[allow(dead_code, reason = "other systems have modes")]
    Refused {
        /// The mode.
        mode: u32,
    },
}

/// Reads a file, up to `limit` bytes.
pub(super) fn read(path: &Path, _refused: u32, limit: u64) -> io::Result<Read> {
    let file = match Handle::open_place(&find(path)?, false) {
        Err(Errno::ISDIR) => return Ok(Read::Directory),
        file => file?,
    };
    if file.stat()?.kind == EntryKind::Directory {
        return Ok(Read::Directory);
    }
    let mut bytes = Vec::new();
    file.read_to(&mut bytes, usize::try_from(limit).unwrap_or(usize::MAX))?;
    Ok(Read::Content(bytes))
}

/// Writes a file that must not be there yet, so that it is on the disk.
pub(super) fn write_new(path: &Path, content: &[u8], _mode: u32) -> io::Result<()> {
    let place = find(path)?;
    let file = place.directory.create_file(place.path())?;
    file.write_all(content)?;
    Ok(file.sync()?)
}

/// Gives a file its name unless the name is taken.
pub(super) fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    let (from, to) = (find(aside)?, find(path)?);
    match from.directory.link(from.path(), to.directory, to.path()) {
        Err(error) if error != Errno::EXIST => {
            Ok(from.directory.rename_to_absent(from.path(), to.directory, to.path())?)
        }
        done => Ok(done?),
    }
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let place = find(path)?;
    Ok(place.directory.remove(place.path())?)
}
