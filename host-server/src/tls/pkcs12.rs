//! PKCS#12 keystores, old (RC2, 3DES) and new (AES).

use super::certificate_error::CertificateError;
use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKeyBag};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;

/// Longest chain. No real one is longer, and it ends those that go round in circles.
const MAX_CHAIN: usize = 16;

/// The private key of a keystore, and the chain from its certificate to the root.
pub(super) fn open(
    content: &[u8],
    password: &str,
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let archive = Pkcs12Archive::from_pkcs12(content, password).map_err(|error| match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            CertificateError::WrongPassword(path.to_owned())
        }
        error => CertificateError::Damaged { path: path.to_owned(), reason: error.to_string() },
    })?;
    let [key] = archive.keys.as_slice() else {
        return Err(wrong_content(path, format!("{} private keys", archive.keys.len())));
    };
    let Some(own) = own_certificate(key, &archive.certs) else {
        let found = format!("{} certificates, none of them of its key", archive.certs.len());
        return Err(wrong_content(path, found));
    };
    let chain = chain(own, &archive.certs);
    let key = PrivatePkcs8KeyDer::from(key.key.as_der().to_vec());
    Ok((chain, PrivateKeyDer::Pkcs8(key)))
}

fn wrong_content(path: &Path, found: String) -> CertificateError {
    CertificateError::WrongContent { path: path.to_owned(), found }
}

/// The certificate with the id of the key, or the only one.
fn own_certificate<'a>(
    key: &PrivateKeyBag,
    certificates: &'a [CertificateBag],
) -> Option<&'a CertificateBag> {
    let same_id = certificates.iter().find(|certificate| {
        let (key, certificate) = (&key.local_key_id, &certificate.local_key_id);
        matches!((key, certificate), (Some(key), Some(id)) if key.as_ref() == id.as_slice())
    });
    same_id.or(match certificates {
        [only] => Some(only),
        _ => None,
    })
}

/// The certificate and those of its issuers, as far as the keystore has them.
fn chain(own: &CertificateBag, certificates: &[CertificateBag]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![&own.cert];
    while let Some(last) = chain.last().filter(|last| last.subject() != last.issuer()) {
        let issuer = certificates.iter().map(|bag| &bag.cert).find(|issuer| {
            issuer.subject() == last.issuer()
                && chain.iter().all(|known| known.as_der() != issuer.as_der())
        });
        match issuer.filter(|_| chain.len() < MAX_CHAIN) {
            Some(issuer) => chain.push(issuer),
            None => break,
        }
    }
    chain.into_iter().map(|cert| CertificateDer::from(cert.as_der().to_vec())).collect()
}
