//! Values that are read from files, and read again when the files change.
//!
//! Kubernetes replaces a mounted secret by changing a symbolic link above it. So links are followed,
//! and a file has changed if it is another one or has another size or time.

use btdt_host_runtime::clock;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A file system counts time in ticks, and two writes within one tick cannot be told apart. A file
/// that was written less than so many seconds before it was read is read again the next time.
const RACY: i64 = 2;

/// What a check of the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are as they were.
    None,
    /// They were replaced, and their value is in use now.
    Replaced,
}

/// Why no value can be made of the files.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError<E: std::error::Error + 'static> {
    /// One of them cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// One of them is unreasonably large.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size, in bytes.
        limit: u64,
    },
    /// They can be read, but not used.
    #[error(transparent)]
    Invalid(E),
}

/// From the contents of the files, in their order, to the value.
type Parse<T, E> = dyn Fn(&[Vec<u8>]) -> Result<T, E> + Send + Sync;

/// A value that was made of the contents of files.
pub struct Reloadable<T, E> {
    paths: Vec<PathBuf>,
    limit: u64,
    parse: Box<Parse<T, E>>,
    current: RwLock<Arc<T>>,
    /// The files at the last check, valid or not.
    seen: Mutex<Seen>,
}

struct Seen {
    stamps: Vec<Stamp>,
    /// Whether a later change would certainly change the stamps.
    settled: bool,
    digest: [u8; 32],
    /// Whether these contents are the current value.
    in_use: bool,
}

/// What tells one state of a file from another.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a write after the second `now` would certainly get another time.
    fn is_settled(&self, now: i64) -> bool {
        self.modified.0.max(self.changed.0).saturating_add(RACY) < now
    }
}

impl<T, E: std::error::Error + 'static> Reloadable<T, E> {
    /// Reads the files, none of which may be larger than `limit` bytes.
    ///
    /// # Errors
    /// See [`ReloadError`].
    pub fn load(
        paths: Vec<PathBuf>,
        limit: u64,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, ReloadError<E>> {
        let (mut seen, contents) = read_all(&paths, limit)?;
        let value = parse(&contents).map_err(ReloadError::Invalid)?;
        seen.in_use = true;
        Ok(Reloadable {
            paths,
            limit,
            parse: Box::new(parse),
            current: RwLock::new(Arc::new(value)),
            seen: Mutex::new(seen),
        })
    }

    /// The value that is in use.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what is in the files if they have changed. Cheap if not: one `stat` for each.
    ///
    /// # Errors
    /// What is wrong with the files; the value stays as it was. Files that can be read but not used
    /// are reported once for each of their states.
    pub fn check(&self) -> Result<Change, ReloadError<E>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.settled && stamps::<E>(&self.paths).is_ok_and(|stamps| stamps == seen.stamps) {
            return Ok(Change::None);
        }
        let (found, contents) = read_all(&self.paths, self.limit)?;
        let same = found.digest == seen.digest;
        let in_use = seen.in_use;
        *seen = found;
        if same {
            seen.in_use = in_use;
            return Ok(Change::None);
        }
        let value = (self.parse)(&contents).map_err(ReloadError::Invalid)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        seen.in_use = true;
        Ok(Change::Replaced)
    }

    /// Whether the value in use is that of the files at the last check.
    pub fn is_current(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).in_use
    }
}

/// The state of all files and their contents. The state is older than the contents, so that a
/// change in between is seen the next time.
fn read_all<E: std::error::Error>(
    paths: &[PathBuf],
    limit: u64,
) -> Result<(Seen, Vec<Vec<u8>>), ReloadError<E>> {
    let stamps = stamps(paths)?;
    let now = clock::now().seconds;
    let settled = stamps.iter().all(|stamp| stamp.is_settled(now));
    let contents =
        paths.iter().map(|path| read(path, limit)).collect::<Result<Vec<_>, ReloadError<E>>>()?;
    let mut hasher = Sha256::new();
    for content in &contents {
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    let digest = hasher.finalize().into();
    Ok((Seen { stamps, settled, digest, in_use: false }, contents))
}

fn stamps<E: std::error::Error>(paths: &[PathBuf]) -> Result<Vec<Stamp>, ReloadError<E>> {
    let stamp = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(metadata) => Ok(Stamp::of(&metadata)),
        Err(error) => Err(ReloadError::Unreadable { path: path.clone(), error }),
    };
    paths.iter().map(stamp).collect()
}

fn read<E: std::error::Error>(path: &Path, limit: u64) -> Result<Vec<u8>, ReloadError<E>> {
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut content))
        .map_err(|error| ReloadError::Unreadable { path: path.to_owned(), error })?;
    if content.len() as u64 > limit {
        return Err(ReloadError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::num::ParseIntError;
    use std::time::{Duration, SystemTime};
    use tempfile::TempDir;

    fn number(contents: &[Vec<u8>]) -> Result<u64, ParseIntError> {
        contents.iter().map(|content| String::from_utf8_lossy(content).parse::<u64>()).sum()
    }

    fn load(path: &Path) -> Reloadable<u64, ParseIntError> {
        Reloadable::load(vec![path.to_owned()], 8, number).unwrap()
    }

    fn file(directory: &TempDir, content: &str) -> PathBuf {
        let path = directory.path().join("file");
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_changed_file_is_taken_over_once() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let reloadable = load(&path);
        assert_eq!(reloadable.check().unwrap(), Change::None);
        // Of the same size, and at once: within a tick of the clock.
        fs::write(&path, "2").unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
        assert_eq!(*reloadable.current(), 2);
        assert_eq!(reloadable.check().unwrap(), Change::None);
        fs::write(&path, "2").unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::None, "the content is the same");
    }

    #[test]
    fn times_can_be_relied_on_when_they_are_past() {
        let stamp = |modified, changed| Stamp {
            device: 1,
            inode: 1,
            size: 1,
            modified: (modified, 0),
            changed: (changed, 0),
        };
        for (modified, changed, settled) in [
            (100, 100, true),
            (104, 100, false),
            (100, 104, false),
            (105, 105, false),
            (1_000, 100, false),
            (i64::MAX, 100, false),
        ] {
            assert_eq!(stamp(modified, changed).is_settled(105), settled, "{modified} {changed}");
        }
    }

    #[test]
    fn what_has_not_settled_is_read_again() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let reloadable = load(&path);
        assert!(!reloadable.seen.lock().unwrap().settled, "it was written a moment ago");
        // A change within the same tick: neither time nor size tell.
        reloadable.seen.lock().unwrap().stamps = {
            fs::write(&path, "2").unwrap();
            stamps::<ParseIntError>(&reloadable.paths).unwrap()
        };
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
    }

    #[test]
    fn many_quick_changes_are_all_seen() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let reloadable = load(&path);
        for round in 0..200_u64 {
            fs::write(&path, format!("{}", round % 10)).unwrap();
            reloadable.check().unwrap();
            assert_eq!(*reloadable.current(), round % 10);
        }
    }

    #[test]
    fn a_link_above_that_changes_counts() {
        let directory = TempDir::new().unwrap();
        for (name, content) in [("one", "1"), ("two", "2")] {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::write(directory.path().join(name).join("file"), content).unwrap();
        }
        let data = directory.path().join("..data");
        std::os::unix::fs::symlink("one", &data).unwrap();
        let reloadable = load(&data.join("file"));
        assert_eq!(*reloadable.current(), 1);
        let new = directory.path().join("..new");
        std::os::unix::fs::symlink("two", &new).unwrap();
        fs::rename(new, data).unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
        assert_eq!(*reloadable.current(), 2);
    }

    #[test]
    fn what_is_of_no_use_is_reported_once_and_changes_nothing() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let reloadable = load(&path);
        fs::write(&path, "x").unwrap();
        assert!(matches!(reloadable.check(), Err(ReloadError::Invalid(_))));
        assert!(!reloadable.is_current());
        assert_eq!(reloadable.check().unwrap(), Change::None);
        assert!(!reloadable.is_current());
        fs::write(&path, "123456789").unwrap();
        assert!(matches!(reloadable.check(), Err(ReloadError::TooLarge { .. })));
        fs::remove_file(&path).unwrap();
        for _ in 0..2 {
            assert!(matches!(reloadable.check(), Err(ReloadError::Unreadable { .. })));
            assert_eq!(*reloadable.current(), 1);
        }
        fs::write(&path, "3").unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
        assert!(reloadable.is_current());
        assert_eq!(*reloadable.current(), 3);
    }

    #[test]
    fn a_file_that_comes_back_as_it_was_is_current_again() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let reloadable = load(&path);
        fs::write(&path, "x").unwrap();
        reloadable.check().unwrap_err();
        fs::write(&path, "1").unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
        assert!(reloadable.is_current());
    }

    #[test]
    fn one_of_several_files_suffices() {
        let directory = TempDir::new().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name));
        for path in &paths {
            fs::write(path, "1").unwrap();
        }
        let reloadable = Reloadable::load(paths.to_vec(), 8, number).unwrap();
        fs::write(&paths[1], "5").unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
        assert_eq!(*reloadable.current(), 6);
    }

    #[test]
    fn the_times_of_files_from_the_future_do_not_matter() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let future = SystemTime::now() + Duration::from_secs(1_000_000);
        File::open(&path).unwrap().set_modified(future).unwrap();
        let reloadable = load(&path);
        fs::write(&path, "2").unwrap();
        File::open(&path).unwrap().set_modified(future).unwrap();
        assert_eq!(reloadable.check().unwrap(), Change::Replaced);
    }
}
