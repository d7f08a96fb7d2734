//! The list of tokens that are no longer valid.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// Length in bytes of an Ed25519 signature, which identifies a block of a token.
const ID_LENGTH: usize = 64;

/// More than 100,000 ids.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

type Id = [u8; ID_LENGTH];

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// The file cannot be read.
    #[error("cannot read the revocation list {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any sensible list.
    #[error("the revocation list {path} is larger than {} MiB", MAX_SIZE >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not an id. Skipping it could leave a token valid that was meant to be revoked.
    #[error(
        "line {line} of the revocation list {path} is not a revocation id: 128 hexadecimal digits, \
         as `btdt token inspect` prints them, are needed"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
}

/// Revoked tokens, by the revocation ids of their blocks.
///
/// The file has one hexadecimal id per line; empty lines and comments after `#` are ignored.
#[derive(Debug, Default)]
pub struct RevocationList {
    path: Option<PathBuf>,
    ids: RwLock<HashSet<Id>>,
}

impl RevocationList {
    /// A list without entries and without a file.
    #[must_use]
    pub fn empty() -> Self {
        RevocationList::default()
    }

    /// Reads a list.
    pub fn load(path: &Path) -> Result<Self, RevocationError> {
        let ids = RwLock::new(read(path)?);
        Ok(RevocationList { path: Some(path.to_owned()), ids })
    }

    /// Reads the file again and returns the number of ids now in force.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed; the old list stays in force.
    pub fn reload(&self) -> Result<usize, RevocationError> {
        let Some(path) = &self.path else {
            return Ok(0);
        };
        let ids = read(path)?;
        let count = ids.len();
        *self.ids.write().unwrap_or_else(PoisonError::into_inner) = ids;
        Ok(count)
    }

    /// Whether one of these is in the list.
    pub(super) fn has_any(&self, ids: &[Vec<u8>]) -> bool {
        let revoked = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        !revoked.is_empty()
            && ids
                .iter()
                .any(|id| Id::try_from(id.as_slice()).is_ok_and(|id| revoked.contains(&id)))
    }
}

fn read(path: &Path) -> Result<HashSet<Id>, RevocationError> {
    let unreadable = |source| RevocationError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(RevocationError::TooLarge { path: path.to_owned() });
    }
    let mut ids = HashSet::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let text = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if !text.is_empty() {
            let malformed = || RevocationError::Line { path: path.to_owned(), line: index + 1 };
            ids.insert(parse(text).ok_or_else(malformed)?);
        }
    }
    Ok(ids)
}

fn parse(text: &[u8]) -> Option<Id> {
    let mut id = [0; ID_LENGTH];
    if text.len() != 2 * ID_LENGTH {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |index: usize| char::from(pair[index]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_either_case() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        let (lower, upper) = ("ab".repeat(64), "CD".repeat(64));
        fs::write(&path, format!("# a list\n\n{lower} # Bob's laptop\r\n  {upper}\n")).unwrap();
        let list = RevocationList::load(&path).unwrap();
        assert!(list.has_any(&[vec![0xab; 64]]));
        assert!(list.has_any(&[vec![0; 64], vec![0xcd; 64]]));
        assert!(!list.has_any(&[vec![0; 64], vec![0xcd; 63]]));
    }

    #[test]
    fn a_bad_line_is_named_and_the_old_list_stays_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        fs::write(&path, "ab".repeat(64)).unwrap();
        let list = RevocationList::load(&path).unwrap();
        for bad in ["ab".repeat(63), "ab".repeat(65), "zz".repeat(64), "ä".repeat(64)] {
            fs::write(&path, format!("# fine\n{bad}\n")).unwrap();
            let message = list.reload().unwrap_err().to_string();
            assert!(message.contains("line 2"), "{message}");
            assert!(list.has_any(&[vec![0xab; 64]]));
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(list.reload(), Err(RevocationError::Unreadable { .. })));
        assert!(list.has_any(&[vec![0xab; 64]]));
        fs::write(&path, "").unwrap();
        assert_eq!(list.reload().unwrap(), 0);
        assert!(!list.has_any(&[vec![0xab; 64]]));
    }
}
