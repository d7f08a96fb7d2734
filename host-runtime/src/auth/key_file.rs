//! Files with keys.

use super::keys::{KeyFault, PrivateKey, PublicKey};
use super::secret_file::{self, Readers, SecretFileError};
use std::path::{Path, PathBuf};

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be accessed.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// Its content is invalid.
    #[error("{path} has no usable key in it: {fault}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: KeyFault,
    },
}

/// Where a private key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The file existed.
    Loaded,
    /// The file was created.
    Created,
}

impl PrivateKey {
    /// Reads a key from a file that only its owner can access.
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

/// Reads the private key of a server. If the file is missing, creates it with a new key and mode
/// 0600; the directory must exist.
pub fn load_or_create(path: &Path) -> Result<(PrivateKey, KeyOrigin), KeyFileError> {
    match PrivateKey::read(path) {
        Err(KeyFileError::File(error)) if error.is_missing() => {}
        read => return read.map(|key| (key, KeyOrigin::Loaded)),
    }
    let key = PrivateKey::generate();
    match key.write(path) {
        Ok(()) => Ok((key, KeyOrigin::Created)),
        // Another server was faster; both must use the same key.
        Err(error) => match PrivateKey::read(path) {
            Ok(key) => Ok((key, KeyOrigin::Loaded)),
            Err(KeyFileError::File(missing)) if missing.is_missing() => Err(error),
            Err(unusable) => Err(unusable),
        },
    }
}

/// Generates a key and writes it to `private` with mode 0600, and its public key to `public`.
/// Existing files are never replaced.
///
/// # Errors
/// When a file exists or cannot be created.
pub fn create_key_files(
    private: Option<&Path>,
    public: Option<&Path>,
) -> Result<PrivateKey, KeyFileError> {
    let key = PrivateKey::generate();
    // The public key first: on its own it is harmless, whereas a private key could be left behind
    // that the user does not know of.
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
pub fn read_public_keys(path: &Path) -> Result<Vec<PublicKey>, KeyFileError> {
    let text = secret_file::read(path, Readers::Everybody)?;
    PublicKey::parse_all(&text).map_err(|fault| KeyFileError::Key { path: path.into(), fault })
}
