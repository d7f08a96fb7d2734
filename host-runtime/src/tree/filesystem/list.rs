//! Lists directories in parallel.

use crate::workers::map_all;
use btdt_ports::{Entry, EntryKind, FollowLinks, IoError, IoErrorKind, LinkId};
use btdt_sys::handle::{self as os, Handle, Status};
use btdt_sys::host_paths;
use std::path::Path;

/// Minimum of directories per thread: below it, handing over costs more than listing.
const AT_ONCE: usize = 16;

/// The entry for a name with this status.
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

/// The entries of these directories below `root`, sorted by name.
pub(super) fn read_directories(
    root: &Path,
    paths: &[Vec<u8>],
    follow: FollowLinks,
) -> Vec<Result<Vec<Entry>, IoError>> {
    let root = match host_paths::open_directory(root) {
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
        FollowLinks::Never => root.open_listable(path)?,
        FollowLinks::Always => root.open_listable_followed(path)?,
    };
    let mut entries = Vec::new();
    directory.for_each_name(buffer, |name| {
        let status = match follow {
            FollowLinks::Never => directory.status_at(name),
            FollowLinks::Always => directory.status_followed(name),
        };
        let target = match &status {
            Ok(status) if status.kind == EntryKind::Symlink => directory.read_link(name),
            _ => Ok(None),
        };
        match status.and_then(|status| Ok((status, target?))) {
            Ok((status, target)) => {
                entries.push(entry(&status, name.to_bytes().to_vec(), target));
                Ok(())
            }
            // It was removed since its name was read, unless it is a link that points to nothing.
            Err(error) if is_missing(error) => match directory.status_at(name) {
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
