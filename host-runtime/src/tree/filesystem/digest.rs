//! Reads whole files: small ones into memory, any into a digest.

use super::os::{self, Handle};
use crate::workers::map_all;
use btdt_ports::{Algorithm, Digest, EntryKind, FollowLinks, IoError, IoErrorKind};
use sha2::Digest as _;
use std::path::Path;

/// Bytes of one read: larger ones leave the processor's cache, smaller ones cost calls.
const READ_SIZE: usize = 1 << 20;

/// Files that a thread takes at least.
const AT_ONCE: usize = 4;

/// The content of a file of at most `limit` bytes below `root`; the empty path is the root.
pub(super) fn read_file(root: &Path, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
    let file = open(root, path)?;
    let status = os::status_of(&file).map_err(os::io_error)?;
    refuse_other_than_file(status.kind)?;
    let too_large = IoError::new(IoErrorKind::TooLarge);
    if status.size > limit {
        return Err(too_large);
    }
    let size = usize::try_from(status.size).map_err(|_| too_large)?;
    let mut content = Vec::new();
    os::read_to(&file, &mut content, size, size + 1).map_err(os::io_error)?;
    while content.len() > size && content.len() as u64 <= limit {
        // It grew meanwhile.
        let more = usize::try_from(limit - content.len() as u64 + 1).unwrap_or(READ_SIZE);
        let more = more.min(READ_SIZE);
        if os::read_to(&file, &mut content, more, more).map_err(os::io_error)? == 0 {
            break;
        }
    }
    if content.len() as u64 > limit { Err(too_large) } else { Ok(content) }
}

fn open(root: &Path, path: &[u8]) -> Result<Handle, IoError> {
    if path.is_empty() {
        return os::open_root_file(root).map_err(os::io_error);
    }
    let root = os::open_root(root).map_err(os::io_error)?;
    os::open_file_beneath(&root, path).map_err(os::io_error)
}

fn refuse_other_than_file(kind: EntryKind) -> Result<(), IoError> {
    match kind {
        EntryKind::File => Ok(()),
        EntryKind::Directory => Err(IoError::new(IoErrorKind::IsADirectory)),
        EntryKind::Symlink => Err(IoError::new(IoErrorKind::SymlinkLoop)),
        EntryKind::Special => Err(IoError::new(IoErrorKind::Unsupported)),
    }
}

/// The digest of the content of each of these files below `root`; the empty path is the root.
pub(super) fn digest_files(
    root: &Path,
    paths: &[Vec<u8>],
    algorithm: Algorithm,
    follow: FollowLinks,
) -> Vec<Result<Digest, IoError>> {
    // Not needed, and not there, where the root is the file.
    let directory = os::open_root(root);
    let digest = |buffer: &mut Vec<u8>, path: &Vec<u8>| {
        if path.is_empty() {
            // Anything that can be read may be named by itself, a pipe for example.
            let file = os::open_root_file(root).map_err(os::io_error)?;
            return digest_file(&file, algorithm, buffer).map_err(os::io_error);
        }
        let directory = directory.as_ref().map_err(|error| os::io_error(*error))?;
        let file = match follow {
            FollowLinks::Never => os::open_file_beneath(directory, path),
            FollowLinks::Always => os::open_file_followed(directory, path),
        };
        let file = file.map_err(os::io_error)?;
        refuse_other_than_file(os::status_of(&file).map_err(os::io_error)?.kind)?;
        digest_file(&file, algorithm, buffer).map_err(os::io_error)
    };
    map_all(paths, AT_ONCE, Vec::new, digest)
}

fn digest_file(
    file: &Handle,
    algorithm: Algorithm,
    buffer: &mut Vec<u8>,
) -> Result<Digest, os::Error> {
    match algorithm {
        Algorithm::Sha256 => {
            let mut hasher = sha2::Sha256::new();
            read_through(file, buffer, |bytes| hasher.update(bytes))?;
            Ok(Digest::new(hasher.finalize().into()))
        }
        Algorithm::Blake3 => {
            let mut hasher = blake3::Hasher::new();
            read_through(file, buffer, |bytes| {
                hasher.update(bytes);
            })?;
            Ok(Digest::new(*hasher.finalize().as_bytes()))
        }
    }
}

fn read_through(
    file: &Handle,
    buffer: &mut Vec<u8>,
    mut consume: impl FnMut(&[u8]),
) -> Result<(), os::Error> {
    loop {
        buffer.clear();
        // A pipe gives what it has; only nothing at all is its end.
        if os::read_some(file, buffer, READ_SIZE)? == 0 {
            return Ok(());
        }
        consume(buffer);
    }
}
