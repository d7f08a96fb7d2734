//! Where the paths of a user lead: into the directories that the runtime has opened.

use super::{Errno, Follow, Handle};
use btdt_ports::EntryKind;
use std::path::Path;
use std::sync::OnceLock;
use wasip2::cli::environment::initial_cwd;
use wasip2::filesystem::preopens::get_directories;

/// A place below a directory that the runtime has opened.
pub(crate) struct Place {
    /// The directory.
    pub(crate) directory: &'static Handle,
    /// The path from there, without `.`, `..` and slashes at its ends; empty for the directory
    /// itself.
    pub(crate) rest: String,
}

impl Place {
    /// The path as the runtime takes it.
    pub(crate) fn path(&self) -> &str {
        if self.rest.is_empty() { "." } else { &self.rest }
    }
}

/// A directory that the runtime has opened.
struct Preopen {
    /// The names of its path, from the root or from the current directory.
    names: Vec<String>,
    absolute: bool,
    handle: Handle,
}

/// Finds where a path leads. Of several directories that hold it, the innermost one is taken.
/// A `..` is what remains of the names before it: links on the way are not looked at. What a path
/// stands for that ends in a slash is a directory, if it is there.
pub(crate) fn find(path: &Path) -> Result<Place, Errno> {
    let path = text(path.as_os_str().as_encoded_bytes())?;
    let place = place_of(path)?;
    if path.ends_with('/') || path.ends_with("/.") {
        match place.directory.stat_at(place.path(), Follow::Yes) {
            Ok(stat) if stat.kind != EntryKind::Directory => return Err(Errno::NOTDIR),
            // Whoever goes on with it meets the same error, or makes the directory.
            _ => {}
        }
    }
    Ok(place)
}

fn place_of(path: &str) -> Result<Place, Errno> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let preopens = preopens();
    let place = |preopen: &'static Preopen, names: &[String]| Place {
        directory: &preopen.handle,
        rest: names[preopen.names.len()..].join("/"),
    };
    let innermost = |names: &[String], absolute: bool| {
        let holds =
            |preopen: &&Preopen| preopen.absolute == absolute && names.starts_with(&preopen.names);
        preopens.iter().filter(holds).max_by_key(|preopen| preopen.names.len())
    };
    if !path.starts_with('/') {
        // A relative name of a directory is the runtime's own word for it, and goes first.
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

/// A name or path as the interface takes it; an error where it would stand for something else.
pub(crate) fn text(name: &[u8]) -> Result<&str, Errno> {
    static BACKSLASHES_SPLIT: OnceLock<bool> = OnceLock::new();
    let split = || preopens().iter().any(|preopen| preopen.handle.splits_at_backslashes());
    let text = std::str::from_utf8(name).map_err(|_| Errno::ILSEQ)?;
    if text.contains('\\') && *BACKSLASHES_SPLIT.get_or_init(split) {
        return Err(Errno::NOTSUP);
    }
    Ok(text)
}

/// Where an absolute path leads that is below the current directory, if the runtime has opened
/// that as `.`.
fn below_current(names: &[String]) -> Option<Place> {
    let current = normal_names(&initial_cwd()?)?;
    let rest = names.strip_prefix(&*current)?;
    let dot = preopens().iter().find(|preopen| !preopen.absolute && preopen.names.is_empty())?;
    Some(Place { directory: &dot.handle, rest: rest.join("/") })
}

/// The names of a path, without `.` and `..`; `None` where it leads out of where it begins. The
/// root is above itself.
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

/// Makes a directory and those above it, where they are not there.
pub(crate) fn create_directories(path: &Path) -> Result<(), Errno> {
    let place = find(path)?;
    let is_there = |path: &str| {
        let stat = place.directory.stat_at(path, Follow::Yes);
        stat.is_ok_and(|stat| stat.kind == EntryKind::Directory)
    };
    if is_there(place.path()) {
        return Ok(());
    }
    let ends = place.rest.match_indices('/').map(|(end, _)| end).chain([place.rest.len()]);
    for path in ends.map(|end| &place.rest[..end]) {
        match place.directory.make_directory(path) {
            Ok(()) => {}
            // Some runtimes say first that it may not be made.
            Err(_) if is_there(path) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
