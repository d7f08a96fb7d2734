//! Whom a client trusts.

use super::failures::Failure;
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
use std::sync::Arc;

/// All certificates of some bundles in PEM.
pub(super) fn certificates(bundles: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, Failure> {
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

fn refusal(why: &str) -> Failure {
    let detail = format!("a file that was given with --root-cert cannot be used: {why}");
    Failure::lasting(HttpErrorKind::Tls, detail)
}

/// TLS that trusts the system's roots, those that browsers have, and `own`.
pub(super) fn configuration(own: &[CertificateDer<'static>]) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // A machine without any, such as a small container, is common, and so is one that has some
    // that nothing can read.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(own.iter().cloned());
    configure(roots, own)
}

/// TLS that trusts nobody, for connections that have none: making it takes no time.
pub(super) fn unused() -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().take(1).cloned());
    configure(roots, &[])
}

fn configure(
    roots: RootCertStore,
    own: &[CertificateDer<'static>],
) -> Result<ClientConfig, Failure> {
    let failed = |error: String| {
        Failure::lasting(HttpErrorKind::Tls, format!("TLS cannot be used: {error}"))
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

/// The usual verification, and one case more: a server that shows the very certificate which the
/// user named as trusted. `openssl req -x509` makes such certificates, marked as an authority's,
/// and those are not accepted from a server otherwise.
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
            // The library looks at the time before it finds that out.
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
    // The library has no case of its own for it.
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other))
        if other.to_string().contains("CaUsedAsEndEntity"))
}
