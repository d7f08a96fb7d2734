//! A cache in a directory of a file system.
//!
//! ```text
//! CACHEDIR.TAG               tells tools that make backups to leave it out
//! format                     "btdt cache 1": the version of this layout
//! chunks/ab/<digest>         live objects in their stored form, named by the SHA-256 of their raw
//! manifests/ab/<digest>        content in hexadecimal; ab are its first two digits
//! keys/<record name>         records; the time of the last change is that of the last access
//! aside/<sweep>/chunks/<digest>      objects that a sweep has taken out of sight and that the
//! aside/<sweep>/manifests/<digest>     next one removes, unless somebody needs them
//! tmp/<unique>               files that are being written
//! tmp/evict-<digest>/<unique>/<record name>   a record that is being deleted
//! lock                       locked by those who use the cache
//! ```
//!
//! What is in there becomes visible whole or not at all: everything is written in `tmp/` and
//! renamed. Nothing is ever written by opening a cache; the directories are made when something
//! is put. So a cache can be used for reading from a volume that is mounted read-only.
//!
//! **No `fsync`.** A process that dies at any point loses nothing that it has committed. When
//! the machine loses power, the files of the last seconds may come back empty or short, whatever
//! the order in which they were renamed. Such an entry is a miss, never wrong, since each object
//! is verified against its digest when it is read; and the next store of the same content puts
//! it right, since an object without a payload counts as missing.
//!
//! The `blob/` and `meta/` of btdt 0.4 may be in the same directory. They are not touched.

mod layout;
mod leftovers;
mod objects;
mod records;
mod stored;

use super::codec_pool::CodecPool;
use btdt_ports::{IoError, IoErrorKind};
use btdt_sys::cache_directory::{self as os, CacheDirectory, is_not_found};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Attempts at something whose directory or file others remove at the same time, as many collectors
/// without a grace period do.
const ATTEMPTS: usize = 100;

/// A file as large as this is no `format`.
const MAX_FORMAT_SIZE: u64 = 64;

/// A cache in a directory. Clones are handles of the same cache.
#[derive(Clone)]
pub struct FilesystemStorage {
    shared: Arc<Shared>,
}

struct Shared {
    root: CacheDirectory,
    codecs: CodecPool,
    /// Whether the layout is known to be there.
    prepared: AtomicBool,
}

/// Why a directory cannot be used as a cache.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not there, no directory, or cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// It was made by another version of btdt.
    #[error("The cache has format {found}; this version of btdt supports format {supported} only")]
    UnsupportedFormat {
        /// The version of the layout that was found.
        found: u32,
        /// The version that is supported.
        supported: u32,
    },
    /// Its file `format` is not one of a cache.
    #[error("Its file \"format\" is not that of a btdt cache")]
    UnknownFormat,
}

impl FilesystemStorage {
    /// The cache in the directory `path`, which may be empty. Writes nothing.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let root = CacheDirectory::open(path.as_ref()).map_err(IoError::from)?;
        check_format(&root)?;
        let shared =
            Shared { root, codecs: CodecPool::default(), prepared: AtomicBool::new(false) };
        Ok(FilesystemStorage { shared: Arc::new(shared) })
    }

    fn root(&self) -> &CacheDirectory {
        &self.shared.root
    }

    /// Makes what belongs to every cache, before the first write.
    fn prepare(&self) -> Result<(), IoError> {
        if self.shared.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        self.make_layout()?;
        self.shared.prepared.store(true, Ordering::Release);
        Ok(())
    }

    fn make_layout(&self) -> Result<(), IoError> {
        let root = self.root();
        for kind in layout::KINDS {
            root.make_directory(layout::kind_name(kind))?;
        }
        for directory in [layout::KEYS, layout::ASIDE, layout::TMP] {
            root.make_directory(directory)?;
        }
        let format = format!("{}{}\n", layout::FORMAT_PREFIX, layout::FORMAT_VERSION);
        self.create_once(layout::CACHEDIR_TAG, layout::CACHEDIR_TAG_CONTENT.as_bytes())?;
        self.create_once(layout::FORMAT, format.as_bytes())?;
        // Another version of btdt may have been quicker.
        check_format(root).map_err(|error| match error {
            OpenError::Io(error) => error,
            _ => IoError::new(IoErrorKind::Unsupported),
        })
    }

    /// Creates a file with this content, unless there is one already. An empty one is what a
    /// power failure has left, and is replaced.
    fn create_once(&self, path: &str, content: &[u8]) -> os::Result<()> {
        let root = self.root();
        let empty = match root.stat(path) {
            Ok(info) if info.size > 0 => return Ok(()),
            Ok(_) => true,
            Err(error) if is_not_found(&error) => false,
            Err(error) => return Err(error),
        };
        let temporary = layout::temporary();
        let result = root.write_new(&temporary, content).and_then(|()| match empty {
            true => root.rename(&temporary, path),
            false => root.rename_to_free_name(&temporary, path),
        });
        if result.is_err() {
            let _ = root.remove_file(&temporary);
        }
        result.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })
    }

    /// Writes a file in `tmp/` and moves it to `path`, in the place of any that is there.
    /// `directory` is made where it is not there.
    fn write(&self, directory: &str, path: &str, content: &[u8]) -> Result<(), IoError> {
        let mut attempt = 1;
        loop {
            match self.try_to_write(directory, path, content) {
                // Somebody has removed the file or the directories, as a clean without any
                // grace period does.
                Err(error) if error.kind == IoErrorKind::NotFound && attempt < ATTEMPTS => {
                    self.shared.prepared.store(false, Ordering::Release);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn try_to_write(&self, directory: &str, path: &str, content: &[u8]) -> Result<(), IoError> {
        self.prepare()?;
        let temporary = layout::temporary();
        let result = self.root().write_new(&temporary, content);
        let result = result.and_then(|()| self.move_into(&temporary, directory, path));
        if result.is_err() {
            // Where that fails too, a later clean does it.
            let _ = self.root().remove_file(&temporary);
        }
        Ok(result?)
    }

    /// Renames a file, and makes the directory it moves to if that was not there.
    fn move_into(&self, from: &str, directory: &str, to: &str) -> os::Result<()> {
        match self.root().rename(from, to) {
            Err(error) if is_not_found(&error) => {
                self.root().make_directory(directory)?;
                self.root().rename(from, to)
            }
            // A directory is nothing of ours, and in the way for ever.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.root().rename(to, &layout::temporary())?;
                self.root().rename(from, to)
            }
            result => result,
        }
    }
}

fn check_format(root: &CacheDirectory) -> Result<(), OpenError> {
    let mut content = Vec::new();
    match root.read(layout::FORMAT, MAX_FORMAT_SIZE, 1, &mut content) {
        Ok(info) if info.size > 0 => {}
        // A new cache, or one whose first writer did not come so far.
        Ok(_) => return Ok(()),
        Err(error) if is_not_found(&error) => return Ok(()),
        Err(error) => return Err(OpenError::Io(error.into())),
    }
    let version = str::from_utf8(&content).ok();
    let version = version.and_then(|text| text.trim_end().strip_prefix(layout::FORMAT_PREFIX));
    match version.and_then(|version| version.parse().ok()) {
        Some(layout::FORMAT_VERSION) => Ok(()),
        Some(found) => {
            Err(OpenError::UnsupportedFormat { found, supported: layout::FORMAT_VERSION })
        }
        None => Err(OpenError::UnknownFormat),
    }
}
