//! Hashes files and directories, for use in keys.
//!
//! SHA-256 is the default. One file: the digest of its content, as `sha256sum` prints it. A
//! directory: SHA-256 over `btdt tree 1\n` and, for each name in byte order, one byte for the kind
//! (`d` directory, `f` file, `x` executable file, `l` symbolic link), the length of the name as
//! 8 bytes in little-endian order, the name, and a digest of 32 bytes: of a subdirectory by the same
//! rule, of a file's content, or of a link's target. Several paths: SHA-256 over `btdt paths 1\n`
//! and, in the given order, the kind and digest of each. Times, owners, other permission bits and
//! the names of the given paths do not count.
//!
//! BLAKE3 is compatible with keys of btdt 0.4, and follows symbolic links. One file: the digest of
//! its content. Several paths: the digest of the concatenated digests. A directory: the digest over,
//! for each name in byte order, BLAKE3 of the name and the digest of the entry.

use crate::digest::Hasher;
use crate::tree::walk::join;
use btdt_ports::client::Error;
use btdt_ports::{
    Algorithm, Digest, Entry, EntryKind, Environment, FollowLinks, IoError, IoErrorKind, Severity,
    Tree,
};
use std::cell::Cell;

/// Limit for the nesting of directories. Each level takes space on the core's stack, and a loop of
/// symbolic links would only end when the path is too long for the system.
const MAX_DEPTH: usize = 1024;

/// Files to digest per call.
const BATCH: usize = 4096;

/// The digest of all `trees` together.
///
/// # Errors
/// [`Error::Source`] or [`Error::SourceKind`], with the index of the tree.
pub fn hash<T: Tree>(
    trees: &[&T],
    algorithm: Algorithm,
    environment: &dyn Environment,
) -> Result<Digest, (usize, Error)> {
    let mut digests = Vec::new();
    let guessed = Cell::new(false);
    for (index, tree) in trees.iter().enumerate() {
        let walker = Walker { tree: *tree, algorithm, environment, guessed: &guessed };
        digests.push(walker.root().map_err(|error| (index, error))?);
    }
    if let [(kind, digest)] = digests[..] {
        // The kind of a single path does not count, so guessing that of a file does no harm.
        if kind == b'd' {
            warn_of_guesses(&guessed, environment);
        }
        return Ok(digest);
    }
    warn_of_guesses(&guessed, environment);
    let mut hasher = Hasher::new(algorithm);
    if algorithm == Algorithm::Sha256 {
        hasher.update(b"btdt paths 1\n");
    }
    for (kind, digest) in digests {
        if algorithm == Algorithm::Sha256 {
            hasher.update(&[kind]);
        }
        hasher.update(&digest.to_bytes());
    }
    Ok(hasher.finish())
}

/// Warns that a host which knows the modes of files may get another result.
fn warn_of_guesses(guessed: &Cell<bool>, environment: &dyn Environment) {
    if guessed.get() {
        let message = "This runtime does not tell which files are executable: the hash is that of \
                       the same files without any executable one (docs/wasi.md)";
        environment.log(Severity::Warning, message);
    }
}

struct Walker<'walk, T> {
    tree: &'walk T,
    algorithm: Algorithm,
    environment: &'walk dyn Environment,
    /// Whether a file of unknown mode was assumed not to be executable.
    guessed: &'walk Cell<bool>,
}

impl<T: Tree> Walker<'_, T> {
    fn follow(&self) -> FollowLinks {
        match self.algorithm {
            Algorithm::Sha256 => FollowLinks::Never,
            Algorithm::Blake3 => FollowLinks::Always,
        }
    }

    fn root(&self) -> Result<(u8, Digest), Error> {
        let root = self.tree.root().map_err(|error| failed(&[], error))?;
        let root = root.ok_or_else(|| failed(&[], IoError::NOT_FOUND))?;
        match root.kind {
            EntryKind::Directory => Ok((b'd', self.directory(&[], 0)?)),
            EntryKind::File => {
                let digest = self.files(&[Vec::new()])?.pop();
                let digest = digest.ok_or(Error::SourceKind)?;
                Ok((self.kind_byte(&root), digest))
            }
            EntryKind::Symlink | EntryKind::Special => Err(Error::SourceKind),
        }
    }

    fn directory(&self, path: &[u8], depth: usize) -> Result<Digest, Error> {
        if depth > MAX_DEPTH {
            let kind = match self.follow() {
                FollowLinks::Always => IoErrorKind::SymlinkLoop,
                FollowLinks::Never => IoErrorKind::NameTooLong,
            };
            return Err(failed(path, IoError::new(kind)));
        }
        let listed = self.tree.read_directories(&[path.to_vec()], self.follow()).pop();
        let entries = listed.unwrap_or_else(|| Err(IoError::new(IoErrorKind::Other)));
        let mut entries = entries.map_err(|error| failed(path, error))?;
        entries.retain(|entry| entry.kind != EntryKind::Special || self.skip(path, entry));
        let paths: Vec<Vec<u8>> = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::File)
            .map(|entry| join(path, &entry.name))
            .collect();
        let mut files = self.files(&paths)?.into_iter();
        let mut hasher = Hasher::new(self.algorithm);
        if self.algorithm == Algorithm::Sha256 {
            hasher.update(b"btdt tree 1\n");
        }
        for entry in &entries {
            let digest = match entry.kind {
                EntryKind::Directory => self.directory(&join(path, &entry.name), depth + 1)?,
                EntryKind::File => files.next().ok_or(Error::SourceKind)?,
                EntryKind::Symlink | EntryKind::Special => {
                    let target = entry.target.as_deref();
                    self.of_bytes(target.ok_or_else(|| self.hidden(&join(path, &entry.name)))?)
                }
            };
            match self.algorithm {
                Algorithm::Sha256 => {
                    hasher.update(&[self.kind_byte(entry)]);
                    hasher.update(&(entry.name.len() as u64).to_le_bytes());
                    hasher.update(&entry.name);
                }
                Algorithm::Blake3 => hasher.update(&self.of_bytes(&entry.name).to_bytes()),
            }
            hasher.update(&digest.to_bytes());
        }
        Ok(hasher.finish())
    }

    fn files(&self, paths: &[Vec<u8>]) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::with_capacity(paths.len());
        for batch in paths.chunks(BATCH) {
            let digested = self.tree.digest_files(batch, self.algorithm, self.follow());
            for (path, digest) in batch.iter().zip(digested) {
                digests.push(digest.map_err(|error| failed(path, error))?);
            }
        }
        Ok(digests)
    }

    /// Fails because the target of a symbolic link is unknown: a hash without it would be wrong.
    fn hidden(&self, path: &[u8]) -> Error {
        let name = String::from_utf8_lossy(path);
        let message = format!("This runtime does not tell where {name} points (docs/wasi.md)");
        self.environment.log(Severity::Warning, &message);
        failed(path, IoError::new(IoErrorKind::Unsupported))
    }

    /// Warns that an entry does not count. Returns false, for `retain`.
    fn skip(&self, path: &[u8], entry: &Entry) -> bool {
        let path = join(path, &entry.name);
        let name = String::from_utf8_lossy(&path);
        let message = format!("skipped {name}: sockets, FIFOs and devices have no hash");
        self.environment.log(Severity::Warning, &message);
        false
    }

    fn kind_byte(&self, entry: &Entry) -> u8 {
        match (entry.kind, entry.mode) {
            (EntryKind::Directory, _) => b'd',
            (EntryKind::File, Some(mode)) if mode & 0o111 != 0 => b'x',
            (EntryKind::File, mode) => {
                let counts = self.algorithm == Algorithm::Sha256;
                self.guessed.set(self.guessed.get() || (mode.is_none() && counts));
                b'f'
            }
            (EntryKind::Symlink | EntryKind::Special, _) => b'l',
        }
    }

    fn of_bytes(&self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(bytes);
        hasher.finish()
    }
}

fn failed(path: &[u8], error: IoError) -> Error {
    Error::source(path, error)
}
