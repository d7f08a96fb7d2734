//! Files that only their owner may read.

use btdt_sys::secret_file as os;
use std::io;
use std::path::{Path, PathBuf};

/// Far larger than any key or token.
const MAX_SIZE: u64 = 128 * 1024;

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;
/// The permission bit that lets the group read.
const GROUP_READ: u32 = 0o040;

/// Why a secret cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not only its owner can access it.
    #[error(
        "{path} must not be accessible to anybody but its owner, but its mode is {mode:04o}; \
         run: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a directory.
    #[error("{path} is a directory, and a file is needed")]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than any key or token.
    #[error("{path} is too large: a key or token never has more than {} KiB", MAX_SIZE / 1024)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{path} has no text in it")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot create {path}: {source}")]
    Uncreatable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SecretFileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Who may read a secret besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Only the owner.
    Owner,
    /// The group, as with the mounts of Kubernetes that `fsGroup` applies to.
    OwnerAndGroup,
    /// Everybody: it is not secret.
    Everybody,
}

/// Reads the text of a file, following symbolic links.
pub(super) fn read(path: &Path, readers: Readers) -> Result<String, SecretFileError> {
    let unreadable = |source| SecretFileError::Unreadable { path: path.to_owned(), source };
    let refused = match readers {
        Readers::Owner => OTHERS,
        Readers::OwnerAndGroup => OTHERS & !GROUP_READ,
        Readers::Everybody => 0,
    };
    let bytes = match os::read(path, refused, MAX_SIZE + 1).map_err(unreadable)? {
        os::Read::Content(bytes) => bytes,
        os::Read::Directory => return Err(SecretFileError::Directory { path: path.to_owned() }),
        os::Read::Refused { mode } => {
            return Err(SecretFileError::Exposed { path: path.to_owned(), mode });
        }
    };
    if bytes.len() as u64 > MAX_SIZE {
        return Err(SecretFileError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| SecretFileError::NotText { path: path.to_owned() })
}

/// Atomically creates a file; fails if the name exists. `unique` becomes part of a temporary name,
/// since several pods may do this in one directory.
pub(super) fn create(
    path: &Path,
    text: &str,
    mode: u32,
    unique: &str,
) -> Result<(), SecretFileError> {
    let uncreatable = |source| SecretFileError::Uncreatable { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| uncreatable(io::ErrorKind::InvalidInput.into()))?;
    let mut aside_name = std::ffi::OsString::from(".");
    aside_name.push(name);
    aside_name.push(format!(".{unique}.new"));
    let aside = path.with_file_name(aside_name);
    let written =
        os::write_new(&aside, text.as_bytes(), mode).and_then(|()| os::publish(&aside, path));
    // Already gone if it was renamed. Nothing can be done if it cannot be removed.
    let _ = os::remove(&aside);
    written.map_err(uncreatable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn modes_that_are_accepted_and_refused() {
        // mode, for the owner only, with the group
        for (mode, owner, group) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o700, true, true),
            (0o640, false, true),
            (0o440, false, true),
            (0o620, false, false),
            (0o660, false, false),
            (0o610, false, false),
            (0o604, false, false),
            (0o644, false, false),
            (0o602, false, false),
            (0o601, false, false),
        ] {
            let (_directory, path) = file(mode);
            assert_eq!(read(&path, Readers::Owner).is_ok(), owner, "{mode:o}");
            assert_eq!(read(&path, Readers::OwnerAndGroup).is_ok(), group, "{mode:o}");
            assert!(read(&path, Readers::Everybody).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_refusal_names_the_file_its_mode_and_the_remedy() {
        let (_directory, path) = file(0o644);
        let message = read(&path, Readers::Owner).unwrap_err().to_string();
        assert!(message.contains("its mode is 0644"), "{message}");
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
    }

    #[test]
    fn what_counts_is_where_links_lead() {
        let (directory, path) = file(0o600);
        let link = directory.path().join("link");
        symlink("secret", &link).unwrap();
        assert_eq!(read(&link, Readers::Owner).unwrap(), "text");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(matches!(read(&link, Readers::Owner), Err(SecretFileError::Exposed { .. })));
    }

    #[test]
    fn things_that_are_no_secret_files() {
        let (directory, path) = file(0o600);
        assert!(matches!(
            read(directory.path(), Readers::Owner),
            Err(SecretFileError::Directory { .. })
        ));
        assert!(read(&directory.path().join("none"), Readers::Owner).unwrap_err().is_missing());
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&path, Readers::Owner), Err(SecretFileError::NotText { .. })));
        fs::write(&path, vec![b'a'; MAX_SIZE as usize + 1]).unwrap();
        assert!(matches!(read(&path, Readers::Owner), Err(SecretFileError::TooLarge { .. })));
    }

    #[test]
    fn a_new_file_is_private_and_never_replaces_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        create(&path, "first", 0o600, "1").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let again = create(&path, "second", 0o600, "1").unwrap_err();
        assert!(again.to_string().contains("exists"), "{again}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn the_directory_of_a_new_file_has_to_exist() {
        let directory = tempfile::tempdir().unwrap();
        let error = create(&directory.path().join("none/new"), "", 0o600, "1").unwrap_err();
        assert!(error.to_string().contains("cannot create"), "{error}");
    }
}
