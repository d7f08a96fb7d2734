//! Values that are read from files, and read again when the files change.
//!
//! Kubernetes replaces a mounted secret by changing a symbolic link above it, so a file is looked
//! at through all links, and what counts is whether it is another one, has another size or time.

use btdt_host_runtime::clock;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A file system counts time in ticks, and two writes within one cannot be told apart. A file that
/// was written less than this before it was read, in seconds, is read once more the next time.
const RACY: i64 = 2;

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are as they were.
    None,
    /// They were replaced, and their value is in use now.
    Replaced,
}

/// Why the files give no value.
#[derive(Debug, thiserror::Error)]
pub enum WatchError<E: std::error::Error + 'static> {
    /// One of them cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// One of them is larger than is sensible.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is sensible.
        limit: u64,
    },
    /// They can be read, but not be used.
    #[error(transparent)]
    Invalid(E),
}

/// From the contents of the files, in their order, to the value.
type Parse<T, E> = dyn Fn(&[Vec<u8>]) -> Result<T, E> + Send + Sync;

/// A value that was made of the contents of files.
pub struct Watched<T, E> {
    paths: Vec<PathBuf>,
    limit: u64,
    parse: Box<Parse<T, E>>,
    current: RwLock<Arc<T>>,
    /// Of the files that were looked at last, whether they were of use or not.
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

impl<T, E: std::error::Error + 'static> Watched<T, E> {
    /// Reads the files, none of which may be larger than `limit` bytes.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub fn load(
        paths: Vec<PathBuf>,
        limit: u64,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, WatchError<E>> {
        let (mut seen, contents) = look(&paths, limit)?;
        let value = parse(&contents).map_err(WatchError::Invalid)?;
        seen.in_use = true;
        Ok(Watched {
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

    /// Looks whether the files have changed, and takes over what is in them now. Cheap as long as
    /// they have not: one `stat` for each.
    ///
    /// # Errors
    /// What is wrong with the files; the value stays as it was. Files that can be read and are of
    /// no use are reported once for each of their states.
    pub fn check(&self) -> Result<Change, WatchError<E>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.settled && stamps::<E>(&self.paths).is_ok_and(|stamps| stamps == seen.stamps) {
            return Ok(Change::None);
        }
        let (found, contents) = look(&self.paths, self.limit)?;
        let same = found.digest == seen.digest;
        let in_use = seen.in_use;
        *seen = found;
        if same {
            seen.in_use = in_use;
            return Ok(Change::None);
        }
        let value = (self.parse)(&contents).map_err(WatchError::Invalid)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        seen.in_use = true;
        Ok(Change::Replaced)
    }

    /// Whether the value in use is that of the files as they were at the last look.
    pub fn is_current(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).in_use
    }
}

/// The state of all files and their contents. The state is older than the contents, so that a
/// change in between is seen the next time.
fn look<E: std::error::Error>(
    paths: &[PathBuf],
    limit: u64,
) -> Result<(Seen, Vec<Vec<u8>>), WatchError<E>> {
    let stamps = stamps(paths)?;
    let now = clock::now().seconds;
    let settled = stamps.iter().all(|stamp| stamp.is_settled(now));
    let contents =
        paths.iter().map(|path| read(path, limit)).collect::<Result<Vec<_>, WatchError<E>>>()?;
    let mut hasher = Sha256::new();
    for content in &contents {
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    let digest = hasher.finalize().into();
    Ok((Seen { stamps, settled, digest, in_use: false }, contents))
}

fn stamps<E: std::error::Error>(paths: &[PathBuf]) -> Result<Vec<Stamp>, WatchError<E>> {
    let stamp = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(metadata) => Ok(Stamp::of(&metadata)),
        Err(error) => Err(WatchError::Unreadable { path: path.clone(), error }),
    };
    paths.iter().map(stamp).collect()
}

fn read<E: std::error::Error>(path: &Path, limit: u64) -> Result<Vec<u8>, WatchError<E>> {
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut content))
        .map_err(|error| WatchError::Unreadable { path: path.to_owned(), error })?;
    if content.len() as u64 > limit {
        return Err(WatchError::TooLarge { path: path.to_owned(), limit });
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

    fn watch(path: &Path) -> Watched<u64, ParseIntError> {
        Watched::load(vec![path.to_owned()], 8, number).unwrap()
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
        let watched = watch(&path);
        assert_eq!(watched.check().unwrap(), Change::None);
        // Of the same size, and at once: within a tick of the clock.
        fs::write(&path, "2").unwrap();
        assert_eq!(watched.check().unwrap(), Change::Replaced);
        assert_eq!(*watched.current(), 2);
        assert_eq!(watched.check().unwrap(), Change::None);
        fs::write(&path, "2").unwrap();
        assert_eq!(watched.check().unwrap(), Change::None, "the content is the same");
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
        let watched = watch(&path);
        assert!(!watched.seen.lock().unwrap().settled, "it was written a moment ago");
        // A change within the same tick: neither time nor size tell.
        watched.seen.lock().unwrap().stamps = {
            fs::write(&path, "2").unwrap();
            stamps::<ParseIntError>(&watched.paths).unwrap()
        };
        assert_eq!(watched.check().unwrap(), Change::Replaced);
    }

    #[test]
    fn many_quick_changes_are_all_seen() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let watched = watch(&path);
        for round in 0..200_u64 {
            fs::write(&path, format!("{}", round % 10)).unwrap();
            watched.check().unwrap();
            assert_eq!(*watched.current(), round % 10);
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
        let watched = watch(&data.join("file"));
        assert_eq!(*watched.current(), 1);
        let new = directory.path().join("..new");
        std::os::unix::fs::symlink("two", &new).unwrap();
        fs::rename(new, data).unwrap();
        assert_eq!(watched.check().unwrap(), Change::Replaced);
        assert_eq!(*watched.current(), 2);
    }

    #[test]
    fn what_is_of_no_use_is_reported_once_and_changes_nothing() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let watched = watch(&path);
        fs::write(&path, "x").unwrap();
        assert!(matches!(watched.check(), Err(WatchError::Invalid(_))));
        assert!(!watched.is_current());
        assert_eq!(watched.check().unwrap(), Change::None);
        assert!(!watched.is_current());
        fs::write(&path, "123456789").unwrap();
        assert!(matches!(watched.check(), Err(WatchError::TooLarge { .. })));
        fs::remove_file(&path).unwrap();
        for _ in 0..2 {
            assert!(matches!(watched.check(), Err(WatchError::Unreadable { .. })));
            assert_eq!(*watched.current(), 1);
        }
        fs::write(&path, "3").unwrap();
        assert_eq!(watched.check().unwrap(), Change::Replaced);
        assert!(watched.is_current());
        assert_eq!(*watched.current(), 3);
    }

    #[test]
    fn a_file_that_comes_back_as_it_was_is_current_again() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let watched = watch(&path);
        fs::write(&path, "x").unwrap();
        watched.check().unwrap_err();
        fs::write(&path, "1").unwrap();
        assert_eq!(watched.check().unwrap(), Change::Replaced);
        assert!(watched.is_current());
    }

    #[test]
    fn one_of_several_files_suffices() {
        let directory = TempDir::new().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name));
        for path in &paths {
            fs::write(path, "1").unwrap();
        }
        let watched = Watched::load(paths.to_vec(), 8, number).unwrap();
        fs::write(&paths[1], "5").unwrap();
        assert_eq!(watched.check().unwrap(), Change::Replaced);
        assert_eq!(*watched.current(), 6);
    }

    #[test]
    fn the_times_of_files_from_the_future_do_not_matter() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "1");
        let future = SystemTime::now() + Duration::from_secs(1_000_000);
        File::open(&path).unwrap().set_modified(future).unwrap();
        let watched = watch(&path);
        fs::write(&path, "2").unwrap();
        File::open(&path).unwrap().set_modified(future).unwrap();
        assert_eq!(watched.check().unwrap(), Change::Replaced);
    }
}
