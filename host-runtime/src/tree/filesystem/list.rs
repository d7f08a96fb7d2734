//! Lists directories, many at a time.

use super::os::{self, Handle, Status};
use crate::workers::map_all;
use btdt_ports::{Entry, EntryKind, FollowLinks, IoError, IoErrorKind, LinkId};
use std::path::Path;

/// Directories that a thread takes at least: below that, handing over costs more than listing.
const AT_ONCE: usize = 16;

/// The entry for a name of that status.
pub(super) fn entry(status: &Status, name: Vec<u8>, target: Option<Vec<u8>>) -> Entry {
    let is_file = status.kind == EntryKind::File;
    Entry {
        name,
        kind: status.kind,
        mode: os::KEEPS_MODES.then(|| status.mode()),
        modified: status.modified,
        size: if is_file { status.size } else { 0 },
        link: (is_file && status.links > 1)
            .then_some(LinkId { device: status.device, inode: status.inode }),
        target,
    }
}

/// The entries of each of these directories below `root`, sorted by name.
pub(super) fn read_directories(
    root: &Path,
    paths: &[Vec<u8>],
    follow: FollowLinks,
) -> Vec<Result<Vec<Entry>, IoError>> {
    let root = match os::open_root(root) {
        Ok(root) => root,
        Err(error) => return vec![Err(os::io_error(error)); paths.len()],
    };
    let list = |buffer: &mut Vec<u8>, path: &Vec<u8>| {
        read_directory(&root, path, follow, buffer).map_err(os::io_error)
    };
    map_all(paths, AT_ONCE, Vec::new, list)
}

fn read_directory(
    root: &Handle,
    path: &[u8],
    follow: FollowLinks,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Entry>, os::Error> {
    let directory = match follow {
        FollowLinks::Never => os::open_listable(root, path)?,
        FollowLinks::Always => os::open_listable_followed(root, path)?,
    };
    let mut entries = Vec::new();
    os::for_each_name(&directory, buffer, |name| {
        let status = match follow {
            FollowLinks::Never => os::status_at(&directory, name),
            FollowLinks::Always => os::status_followed(&directory, name),
        };
        let target = match &status {
            Ok(status) if status.kind == EntryKind::Symlink => os::read_link(&directory, name),
            _ => Ok(None),
        };
        match status.and_then(|status| Ok((status, target?))) {
            Ok((status, target)) => {
                entries.push(entry(&status, name.to_bytes().to_vec(), target));
                Ok(())
            }
            // It went away since its name was read: then it is not there, unless it is a link
            // that points to nothing.
            Err(error) if is_missing(error) => match os::status_at(&directory, name) {
                Err(gone) if is_missing(gone) => os::gone_since(name),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    })?;
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn is_missing(error: os::Error) -> bool {
    os::io_error(error).kind == IoErrorKind::NotFound
}
