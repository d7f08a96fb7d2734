//! PEM files, as cert-manager and others write them.

use super::certificate_error::CertificateError;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// All certificates of a file; at least one.
pub(super) fn certificates(
    content: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let certificates = CertificateDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| damaged(&error, path))?;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

/// The first private key of a file.
pub(super) fn private_key(
    content: &[u8],
    path: &Path,
) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(content).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::NoPrivateKey(path.to_owned()),
        error => damaged(&error, path),
    })
}

/// The library's messages quote lines of the file, which may be those of a key.
fn damaged(error: &pem::Error, path: &Path) -> CertificateError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a section is wrong",
        pem::Error::Base64Decode(_) => "a section is not valid base64",
        _ => "it is not valid PEM",
    };
    CertificateError::Damaged { path: path.to_owned(), reason: reason.to_owned() }
}
