//! Reads whole files: small ones into memory, others into a digest.

use crate::workers::map_all;
use btdt_ports::{Algorithm, Digest, EntryKind, FollowLinks, IoError, IoErrorKind};
use btdt_sys::handle::{self as os, Handle};
use btdt_sys::host_paths;
use sha2::Digest as _;
use std::path::Path;

/// Bytes per read: larger ones exceed the CPU cache, smaller ones cost calls.
const READ_SIZE: usize = 1 << 20;

/// Minimum of files per thread.
const AT_ONCE: usize = 4;

/// The content of a file of at most `limit` bytes below `root`; the empty path is the root.
pub(super) fn read_file(root: &Path, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError> {
    let file = open(root, path)?;
    let status = file.status().map_err(os::io_error)?;
    refuse_other_than_file(status.kind)?;
    let too_large = IoError::new(IoErrorKind::TooLarge);
    if status.size > limit {
        return Err(too_large);
    }
    let size = usize::try_from(status.size).map_err(|_| too_large)?;
    let mut content = Vec::new();
    file.read_to(&mut content, size, size + 1).map_err(os::io_error)?;
    while content.len() > size && content.len() as u64 <= limit {
        // It has grown since.
        let more = usize::try_from(limit - content.len() as u64 + 1).unwrap_or(READ_SIZE);
        let more = more.min(READ_SIZE);
        if file.read_to(&mut content, more, more).map_err(os::io_error)? == 0 {
            break;
        }
    }
    if content.len() as u64 > limit { Err(too_large) } else { Ok(content) }
}

fn open(root: &Path, path: &[u8]) -> Result<Handle, IoError> {
    if path.is_empty() {
        return host_paths::open_file(root).map_err(os::io_error);
    }
    let root = host_paths::open_directory(root).map_err(os::io_error)?;
    root.open_file_beneath(path).map_err(os::io_error)
}

fn refuse_other_than_file(kind: EntryKind) -> Result<(), IoError> {
    match kind {
        EntryKind::File => Ok(()),
        EntryKind::Directory => Err(IoError::new(IoErrorKind::IsADirectory)),
        EntryKind::Symlink => Err(IoError::new(IoErrorKind::SymlinkLoop)),
        EntryKind::Special => Err(IoError::new(IoErrorKind::Unsupported)),
    }
}

/// The digests of these files below `root`; the empty path is the root.
pub(super) fn digest_files(
    root: &Path,
    paths: &[Vec<u8>],
    algorithm: Algorithm,
    follow: FollowLinks,
) -> Vec<Result<Digest, IoError>> {
    // Neither needed nor possible if the root is a file.
    let directory = host_paths::open_directory(root);
    let digest = |buffer: &mut Vec<u8>, path: &Vec<u8>| {
        if path.is_empty() {
            // A root may be anything that can be read, such as a pipe.
            let file = host_paths::open_file(root).map_err(os::io_error)?;
            return digest_file(&file, algorithm, buffer).map_err(os::io_error);
        }
        let directory = directory.as_ref().map_err(|error| os::io_error(*error))?;
        let file = match follow {
            FollowLinks::Never => directory.open_file_beneath(path),
            FollowLinks::Always => directory.open_file_followed(path),
        };
        let file = file.map_err(os::io_error)?;
        refuse_other_than_file(file.status().map_err(os::io_error)?.kind)?;
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
        // A pipe may return less; only an empty read is its end.
        if file.read_some(buffer, READ_SIZE)? == 0 {
            return Ok(());
        }
        consume(buffer);
    }
}
