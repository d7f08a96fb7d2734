//! Files of a WASI runtime, which have no modes to restrict who may read them.

use super::errno::Errno;
use super::preopens::find;
use btdt_ports::EntryKind;
use std::io;
use std::path::Path;

/// The result of reading.
pub enum Read {
    /// The beginning of the file.
    Content(Vec<u8>),
    /// It is a directory.
    Directory,
    /// Its mode has forbidden bits: never here.
    #[allow(dead_code, reason = "other systems have modes")]
    Refused {
        /// The mode.
        mode: u32,
    },
}

/// Reads up to `limit` bytes of a file.
pub fn read(path: &Path, _refused: u32, limit: u64) -> io::Result<Read> {
    let file = match find(path)?.open_file() {
        Err(Errno::ISDIR) => return Ok(Read::Directory),
        file => file?,
    };
    if file.status()?.kind == EntryKind::Directory {
        return Ok(Read::Directory);
    }
    let mut bytes = Vec::new();
    file.read_to(&mut bytes, 0, usize::try_from(limit).unwrap_or(usize::MAX))?;
    Ok(Read::Content(bytes))
}

/// Creates a file and waits until it is on the disk.
pub fn write_new(path: &Path, content: &[u8], _mode: u32) -> io::Result<()> {
    let place = find(path)?;
    let file = place.directory.create_file(place.name(), 0)?;
    file.write_all(content)?;
    Ok(file.sync()?)
}

/// Gives a file its final name unless that exists.
pub fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    let (from, to) = (find(aside)?, find(path)?);
    match from.directory.make_hard_link(from.name(), to.directory, to.name()) {
        Err(error) if error != Errno::EXIST => {
            Ok(from.directory.rename_to_absent(from.name(), to.directory, to.name())?)
        }
        done => Ok(done?),
    }
}

/// Removes a file.
pub fn remove(path: &Path) -> io::Result<()> {
    let place = find(path)?;
    Ok(place.directory.remove(place.name())?)
}
