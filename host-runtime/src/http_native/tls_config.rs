//! The configuration of TLS: which certificates the client trusts.

use crate::http_client::RequestError;
use btdt_ports::HttpErrorKind;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::sync::{Arc, OnceLock};

/// All certificates of some bundles in PEM.
fn certificates(bundles: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, RequestError> {
    let mut all = Vec::new();
    let mut empty = RootCertStore::empty();
    for bundle in bundles {
        let before = all.len();
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            let certificate = certificate.map_err(|error| refusal(&error.to_string()))?;
            empty.add(certificate.clone()).map_err(|error| refusal(&error.to_string()))?;
            all.push(certificate);
        }
        if all.len() == before {
            return Err(refusal("it contains no certificate in PEM"));
        }
    }
    Ok(all)
}

fn refusal(why: &str) -> RequestError {
    let detail = format!("a file that was given with --root-cert cannot be used: {why}");
    RequestError::permanent(HttpErrorKind::Tls, detail)
}

/// The configuration of TLS, made when it is first needed: reading the system's certificates takes
/// longer than many requests.
pub(super) struct LazyTls {
    own: Vec<CertificateDer<'static>>,
    config: OnceLock<Result<Arc<ClientConfig>, RequestError>>,
}

impl LazyTls {
    /// TLS that trusts the system's roots, those of browsers, and the certificates of some bundles
    /// in PEM.
    pub(super) fn new(bundles: &[Vec<u8>]) -> Result<Self, RequestError> {
        Ok(LazyTls { own: certificates(bundles)?, config: OnceLock::new() })
    }

    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, RequestError> {
        self.config.get_or_init(|| Ok(Arc::new(configure(&self.own)?))).clone()
    }
}

fn configure(own: &[CertificateDer<'static>]) -> Result<ClientConfig, RequestError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // Some machines, such as small containers, have none, and some have unreadable ones.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(own.iter().cloned());
    let failed = |error: String| {
        RequestError::permanent(HttpErrorKind::Tls, format!("TLS cannot be used: {error}"))
    };
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let verifier = Verifier { verifier, own: own.to_vec(), provider: Arc::clone(&provider) };
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// The usual verification, with one exception: a server may present the very certificate that the
/// user named as trusted. `openssl req -x509` marks such a certificate as an authority's, which is
/// not accepted from a server otherwise.
#[derive(Debug)]
struct Verifier {
    verifier: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The library has checked the time before.
            Err(error) if is_authority(&error) && self.own.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused only because it is marked as an authority's.
fn is_authority(error: &Error) -> bool {
    // The library has no error case of its own for it.
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other))
        if other.to_string().contains("CaUsedAsEndEntity"))
}
