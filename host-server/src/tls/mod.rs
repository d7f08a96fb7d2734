//! Certificates: read from files for rustls, and again when the files change.
//!
//! Open connections keep the certificate that they began with; new ones get the new one.

mod certificate_error;
mod pem;
mod pkcs12;

pub use certificate_error::CertificateError;

use crate::config::TlsConfig;
use crate::reloadable::{Change, ReloadError, Reloadable};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Certificates and keys are much smaller.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// Why there is no TLS.
pub type TlsError = ReloadError<CertificateError>;

/// TLS for a server, with a certificate that can be replaced while it runs.
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<ReloadableCertificate>,
}

struct ReloadableCertificate(Reloadable<CertifiedKey, CertificateError>);

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// See [`ReloadError`] and [`CertificateError`].
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificate =
            Arc::new(ReloadableCertificate(load_certificate(config, Arc::clone(&provider))?));
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                ReloadError::Invalid(CertificateError::UnusableKey {
                    path: PathBuf::new(),
                    reason: error.to_string(),
                })
            })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(server), certificate })
    }

    /// The configuration to accept connections with.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Takes over the certificate if the files have changed; to be called every few seconds.
    ///
    /// # Errors
    /// What is wrong with the new files. The old certificate stays in use.
    pub fn check(&self) -> Result<Change, TlsError> {
        self.certificate.0.check()
    }

    /// Whether the certificate in use is that of the files at the last check.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.certificate.0.is_current()
    }
}

impl fmt::Debug for ReloadableCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReloadableCertificate")
    }
}

impl ResolvesServerCert for ReloadableCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

fn load_certificate(
    config: &TlsConfig,
    provider: Arc<CryptoProvider>,
) -> Result<Reloadable<CertifiedKey, CertificateError>, TlsError> {
    match config.clone() {
        TlsConfig::Pem { certificate, private_key } => {
            let paths = vec![certificate.clone(), private_key.clone()];
            Reloadable::load(paths, MAX_FILE_SIZE, move |contents| {
                let [chain, key] = contents else { return Err(missing(&certificate)) };
                let chain = pem::certificates(chain, &certificate)?;
                let key = pem::private_key(key, &private_key)?;
                certify(chain, key, &private_key, &provider)
            })
        }
        TlsConfig::Pkcs12 { keystore, password } => {
            let paths = vec![keystore.clone()];
            Reloadable::load(paths, MAX_FILE_SIZE, move |contents| {
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
