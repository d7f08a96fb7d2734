//! Damages objects of a cache the way disks, crashes and people do.

use std::fs;
use std::path::Path;

/// Inverts some bits of one byte; `place` is taken modulo the size.
#[track_caller]
pub(crate) fn flip(path: &Path, place: u64, mask: u8) {
    assert_ne!(mask, 0, "a mask of zero would change nothing");
    let mut bytes = fs::read(path).expect("read an object");
    assert!(!bytes.is_empty(), "{} is empty", path.display());
    let index = (place % bytes.len() as u64) as usize;
    bytes[index] ^= mask;
    replace(path, &bytes);
}

/// Keeps only the first `length` bytes, taken modulo the size: so it always gets shorter.
#[track_caller]
pub(crate) fn truncate(path: &Path, length: u64) {
    let mut bytes = fs::read(path).expect("read an object");
    assert!(!bytes.is_empty(), "{} is empty", path.display());
    bytes.truncate((length % bytes.len() as u64) as usize);
    replace(path, &bytes);
}

/// Puts other content in the place of an object, whatever its permissions.
#[track_caller]
pub(crate) fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).expect("remove an object");
    fs::write(path, bytes).expect("write an object");
}

#[track_caller]
pub(crate) fn remove(path: &Path) {
    fs::remove_file(path).expect("remove an object");
}
