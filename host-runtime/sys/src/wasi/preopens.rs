//! Resolves host paths to the directories that the runtime has opened.

use super::errno::Errno;
use super::handle::{Follow, Handle, Status};
use super::names::text;
use btdt_ports::EntryKind;
use std::path::Path;
use std::sync::OnceLock;
use wasip2::cli::environment::initial_cwd;
use wasip2::filesystem::preopens::get_directories;

/// A path below a preopened directory.
pub(super) struct PreopenedPath {
    /// The directory.
    pub(super) directory: &'static Handle,
    /// The path from there, without `.`, `..` and slashes at the ends; empty for the directory
    /// itself.
    pub(super) rest: String,
}

impl PreopenedPath {
    /// The path as the runtime takes it.
    pub(super) fn path(&self) -> &str {
        if self.rest.is_empty() { "." } else { &self.rest }
    }

    /// The path as the methods of a [`Handle`] take it.
    pub(super) fn name(&self) -> &[u8] {
        self.path().as_bytes()
    }

    /// The metadata, symbolic links followed.
    pub(super) fn status(&self) -> Result<Status, Errno> {
        self.directory.stat(self.path(), Follow::Yes)
    }

    /// Opens the file for reading, symbolic links followed.
    pub(super) fn open_file(&self) -> Result<Handle, Errno> {
        self.directory.open(self.path(), Follow::Yes, false)
    }

    /// Opens the directory, symbolic links followed.
    pub(super) fn open_directory(&self) -> Result<Handle, Errno> {
        self.directory.open(self.path(), Follow::Yes, true)
    }
}

/// A preopened directory.
struct Preopen {
    /// The names of its path, from the root or from the current directory.
    names: Vec<String>,
    absolute: bool,
    handle: Handle,
}

/// Resolves a path. The innermost directory that contains it wins. `..` removes the name before it;
/// links on the way are ignored. A path that ends in a slash must be a directory if it exists.
pub(super) fn find(path: &Path) -> Result<PreopenedPath, Errno> {
    let path = text(path.as_os_str().as_encoded_bytes())?;
    let place = place_of(path)?;
    if path.ends_with('/') || path.ends_with("/.") {
        match place.status() {
            Ok(stat) if stat.kind != EntryKind::Directory => return Err(Errno::NOTDIR),
            // The caller meets the same error, or creates the directory.
            _ => {}
        }
    }
    Ok(place)
}

fn place_of(path: &str) -> Result<PreopenedPath, Errno> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let preopens = preopens();
    let place = |preopen: &'static Preopen, names: &[String]| PreopenedPath {
        directory: &preopen.handle,
        rest: names[preopen.names.len()..].join("/"),
    };
    let innermost = |names: &[String], absolute: bool| {
        let holds =
            |preopen: &&Preopen| preopen.absolute == absolute && names.starts_with(&preopen.names);
        preopens.iter().filter(holds).max_by_key(|preopen| preopen.names.len())
    };
    if !path.starts_with('/') {
        // A relative name is the runtime's own name for a directory, and wins.
        if let Some(names) = normal_names(path)
            && let Some(preopen) = innermost(&names, false)
        {
            return Ok(place(preopen, &names));
        }
        let absolute = format!("{}/{path}", initial_cwd().ok_or(Errno::OUT_OF_REACH)?);
        return match absolute.starts_with('/') {
            true => place_of(&absolute),
            false => Err(Errno::OUT_OF_REACH),
        };
    }
    let names = normal_names(path).ok_or(Errno::OUT_OF_REACH)?;
    match innermost(&names, true) {
        Some(preopen) => Ok(place(preopen, &names)),
        None => below_current(&names).ok_or(Errno::OUT_OF_REACH),
    }
}

/// Resolves an absolute path below the current directory, if the runtime has opened that as `.`.
fn below_current(names: &[String]) -> Option<PreopenedPath> {
    let current = normal_names(&initial_cwd()?)?;
    let rest = names.strip_prefix(&*current)?;
    let dot = preopens().iter().find(|preopen| !preopen.absolute && preopen.names.is_empty())?;
    Some(PreopenedPath { directory: &dot.handle, rest: rest.join("/") })
}

/// The names of a path, without `.` and `..`; `None` if it leads above its start. The root is its
/// own parent.
fn normal_names(path: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if path.starts_with('/') => {
                names.pop();
            }
            ".." => {
                names.pop()?;
            }
            name => names.push(name.to_owned()),
        }
    }
    Some(names)
}

fn preopens() -> &'static [Preopen] {
    static PREOPENS: OnceLock<Vec<Preopen>> = OnceLock::new();
    PREOPENS.get_or_init(|| {
        let directories = get_directories().into_iter();
        let preopen = |(descriptor, path): (_, String)| {
            Some(Preopen {
                names: normal_names(&path)?,
                absolute: path.starts_with('/'),
                handle: Handle::new(descriptor),
            })
        };
        directories.filter_map(preopen).collect()
    })
}
