//! Certificates: from files to what rustls serves with, and again when the files change.
//!
//! Connections that are open keep what they began with; new ones get the new certificate.

mod pem;
mod pkcs12;

use crate::config::TlsConfig;
use crate::watched::{Change, WatchError, Watched};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Certificates and keys are smaller by far.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// Why files give no certificate. The paths are in the message, nothing of their content is.
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

/// Why there is no TLS.
pub type TlsError = WatchError<CertificateError>;

/// TLS for a server, with a certificate that can be replaced while it runs.
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<WatchedCertificate>,
}

struct WatchedCertificate(Watched<CertifiedKey, CertificateError>);

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificate = Arc::new(WatchedCertificate(watch(config, Arc::clone(&provider))?));
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                WatchError::Invalid(CertificateError::UnusableKey {
                    path: PathBuf::new(),
                    reason: error.to_string(),
                })
            })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(server), certificate })
    }

    /// What to accept connections with.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Looks whether the files have changed; to be called every few seconds.
    ///
    /// # Errors
    /// What is wrong with the new files. The old certificate stays in use.
    pub fn check(&self) -> Result<Change, TlsError> {
        self.certificate.0.check()
    }

    /// Whether the certificate in use is that of the files as they were at the last look.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.certificate.0.is_current()
    }
}

impl fmt::Debug for WatchedCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WatchedCertificate")
    }
}

impl ResolvesServerCert for WatchedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

fn watch(
    config: &TlsConfig,
    provider: Arc<CryptoProvider>,
) -> Result<Watched<CertifiedKey, CertificateError>, TlsError> {
    match config.clone() {
        TlsConfig::Pem { certificate, private_key } => {
            let paths = vec![certificate.clone(), private_key.clone()];
            Watched::load(paths, MAX_FILE_SIZE, move |contents| {
                let [chain, key] = contents else { return Err(missing(&certificate)) };
                let chain = pem::certificates(chain, &certificate)?;
                let key = pem::private_key(key, &private_key)?;
                certify(chain, key, &private_key, &provider)
            })
        }
        TlsConfig::Pkcs12 { keystore, password } => {
            let paths = vec![keystore.clone()];
            Watched::load(paths, MAX_FILE_SIZE, move |contents| {
                let [content] = contents else { return Err(missing(&keystore)) };
                let (chain, key) = pkcs12::open(content, password.expose(), &keystore)?;
                certify(chain, key, &keystore, &provider)
            })
        }
    }
}

fn missing(path: &std::path::Path) -> CertificateError {
    CertificateError::NoCertificate(path.to_owned())
}

/// Joins certificate and key, if they belong together.
fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &std::path::Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch(path.to_owned()),
        error => CertificateError::UnusableKey { path: path.to_owned(), reason: error.to_string() },
    })
}

#[cfg(test)]
mod tests;
