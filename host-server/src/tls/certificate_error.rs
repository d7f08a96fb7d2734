//! What can be wrong with certificates and keys.

use std::path::PathBuf;

/// Why files give no certificate. Messages name the paths and show nothing of the contents.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A file has no certificate in it.
    #[error("{} has no certificate in PEM form (\"-----BEGIN CERTIFICATE-----\")", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no private key in it.
    #[error(
        "{} has no private key in PEM form (PKCS#8, PKCS#1 or SEC1, not encrypted)",
        .0.display()
    )]
    NoPrivateKey(PathBuf),
    /// A file is not what it should be.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The password of a keystore is wrong, or its checksum is.
    #[error(
        "{} cannot be opened with this password (tls_keystore_password); or it is damaged",
        .0.display()
    )]
    WrongPassword(PathBuf),
    /// A keystore does not have exactly one key with a certificate.
    #[error("{} has {found}; exactly one private key and its certificate are needed", path.display())]
    WrongContent {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// Certificate and key do not belong together.
    #[error("the private key does not belong to the certificate ({})", .0.display())]
    Mismatch(PathBuf),
    /// The kind of key is not supported.
    #[error("the private key in {} cannot be used: {reason}", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}
