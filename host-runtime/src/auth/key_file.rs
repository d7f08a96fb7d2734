//! Files with keys.

use super::keys::{KeyFault, PrivateKey, PublicKey};
use super::secret_file::{self, Readers, SecretFileError};
use std::path::{Path, PathBuf};

/// Why a key cannot be had from its file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file itself is the trouble.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// What is in the file is.
    #[error("{path} has no usable key in it: {fault}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: KeyFault,
    },
}

/// Where a private key has come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The file was there.
    Loaded,
    /// The file was not there and has been made.
    Created,
}

impl PrivateKey {
    /// Reads a key from a file that nobody but its owner has access to.
    ///
    /// # Errors
    /// When the file cannot be read, is accessible to others, or has no key in it.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let pem = secret_file::read(path, Readers::Owner)?;
        PrivateKey::from_pem(&pem).map_err(|fault| KeyFileError::Key { path: path.into(), fault })
    }

    fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let pem = self
            .to_pem()
            .ok_or_else(|| KeyFileError::Key { path: path.into(), fault: KeyFault::NotPrivate })?;
        Ok(secret_file::create(path, &pem, 0o600, &self.public().short_name())?)
    }
}

/// Reads the private key of a server; if there is no such file, makes one with a new key, mode 0600,
/// in a directory that has to exist.
///
/// # Errors
/// When the file is there and cannot be used, or is not there and cannot be made.
pub fn load_or_create(path: &Path) -> Result<(PrivateKey, KeyOrigin), KeyFileError> {
    match PrivateKey::read(path) {
        Err(KeyFileError::File(error)) if error.is_missing() => {}
        read => return read.map(|key| (key, KeyOrigin::Loaded)),
    }
    let key = PrivateKey::generate();
    match key.write(path) {
        Ok(()) => Ok((key, KeyOrigin::Created)),
        // Another server was quicker; both have to use the same key.
        Err(error) => match PrivateKey::read(path) {
            Ok(key) => Ok((key, KeyOrigin::Loaded)),
            Err(KeyFileError::File(missing)) if missing.is_missing() => Err(error),
            Err(unusable) => Err(unusable),
        },
    }
}

/// Makes a new key and writes it to `private` with mode 0600 and, if asked to, its public key to
/// `public`. Existing files are never replaced.
///
/// # Errors
/// When a file exists or cannot be made.
pub fn create_key_files(
    private: Option<&Path>,
    public: Option<&Path>,
) -> Result<PrivateKey, KeyFileError> {
    let key = PrivateKey::generate();
    // The public key first: without its private key it does no harm, the other way round there is a
    // private key that the user believes not to have been made.
    if let Some(path) = public {
        let pem = key
            .public()
            .to_pem()
            .ok_or_else(|| KeyFileError::Key { path: path.into(), fault: KeyFault::NotPublic })?;
        secret_file::create(path, &pem, 0o644, &key.public().short_name())?;
    }
    if let Some(path) = private
        && let Err(error) = key.write(path)
    {
        if let Some(path) = public {
            // Useless without the private key.
            let _ = std::fs::remove_file(path);
        }
        return Err(error);
    }
    Ok(key)
}

/// Reads the public keys in a file, PEM or `ed25519/…`, one or more.
///
/// # Errors
/// When the file cannot be read or has anything else in it.
pub fn read_public_keys(path: &Path) -> Result<Vec<PublicKey>, KeyFileError> {
    let text = secret_file::read(path, Readers::Everybody)?;
    PublicKey::parse_all(&text).map_err(|fault| KeyFileError::Key { path: path.into(), fault })
}
