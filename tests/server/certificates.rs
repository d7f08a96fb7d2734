//! A certificate authority, and certificates in all the forms in which people have them.

use crate::support::Setup;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The password of all keystores.
pub(crate) const PASSWORD: &str = "0123 pass";

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.issuer.der()
    }

    /// A new certificate for this machine with its chain, its key, and the certificate alone.
    fn issue(&self) -> (String, String, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem() + &self.pem(), key.serialize_pem(), certificate.der().to_vec())
    }

    /// Puts a new certificate into a directory as cert-manager's secrets are mounted, in place of
    /// what was there; gives the certificate.
    pub(crate) fn mount(&self, place: &Path, version: &str) -> Vec<u8> {
        let (chain, key, der) = self.issue();
        let data = place.join(format!("..{version}"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("tls.crt"), chain).unwrap();
        fs::write(data.join("tls.key"), key).unwrap();
        fs::write(data.join("ca.crt"), self.pem()).unwrap();
        // All at once: the link is replaced, not the files.
        let link = place.join("..data_tmp");
        symlink(format!("..{version}"), &link).unwrap();
        fs::rename(link, place.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            if fs::symlink_metadata(place.join(name)).is_err() {
                symlink(Path::new("..data").join(name), place.join(name)).unwrap();
            }
        }
        der
    }

    /// Writes a new certificate into a keystore.
    pub(crate) fn keystore(&self, setup: &Setup, name: &str) -> PathBuf {
        let (chain, key, _) = self.issue();
        let path = |extension: &str| setup.path(format!("{name}.{extension}"));
        fs::write(path("crt"), chain).unwrap();
        fs::write(path("key"), key).unwrap();
        let output = Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", &format!("pass:{PASSWORD}"), "-in"])
            .arg(path("crt"))
            .arg("-inkey")
            .arg(path("key"))
            .arg("-out")
            .arg(path("p12"))
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl: {output:?}");
        path("p12")
    }
}
