//! Files as a WASI runtime has them: without modes, so that nobody is kept from reading by one.

use super::errno::Errno;
use super::preopens::find;
use btdt_ports::EntryKind;
use std::io;
use std::path::Path;

/// What was found on reading.
pub enum Read {
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

/// Writes a file that must not be there yet, so that it is on the disk.
pub fn write_new(path: &Path, content: &[u8], _mode: u32) -> io::Result<()> {
    let place = find(path)?;
    let file = place.directory.create_file(place.name(), 0)?;
    file.write_all(content)?;
    Ok(file.sync()?)
}

/// Gives a file its name unless the name is taken.
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
