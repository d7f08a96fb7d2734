//! Build artifacts: written atomically, with checksums beside them.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a file by renaming, so that a concurrent reader never sees half of it. A file that
/// already has this content keeps its time.
pub(crate) fn write_if_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() == Some(bytes) {
        return Ok(());
    }
    let aside = with_ending(path, ".partial");
    fs::write(&aside, bytes)
        .and_then(|()| fs::rename(&aside, path))
        .with_context(|| format!("could not write {}", path.display()))
}

/// Writes the checksum of a file beside it, in the format of `sha256sum`.
pub(crate) fn add_checksum(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{}  {name}\n", hex_digest(&bytes));
    write_if_new(&with_ending(path, ".sha256"), line.as_bytes())
}

/// Appends to the file name of a path.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The SHA-256 digest in hexadecimal.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_checksum_is_one_that_sha256sum_takes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wasm");
        fs::write(&path, "abc").unwrap();
        add_checksum(&path).unwrap();
        assert_eq!(
            fs::read_to_string(directory.path().join("a.wasm.sha256")).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.wasm\n"
        );
        assert!(add_checksum(&directory.path().join("missing")).is_err());
    }

    #[test]
    fn what_is_right_already_keeps_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write_if_new(&path, b"first").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        fs::File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        write_if_new(&path, b"first").unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), long_ago);
        write_if_new(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
    }
}
