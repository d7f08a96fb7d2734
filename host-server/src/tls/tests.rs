//! Certificates in all their forms, and their replacement, with real handshakes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::config::Secret;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A certificate authority and its certificates, in a directory.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { directory: TempDir::new().unwrap(), issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a new certificate for `localhost` with its chain, and its key.
    fn issue(&self, name: &str) -> TlsConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (chain, private_key) = (self.path("tls.crt"), self.path("tls.key"));
        fs::write(&chain, certificate.pem() + &self.issuer.pem()).unwrap();
        fs::write(&private_key, key.serialize_pem()).unwrap();
        TlsConfig::Pem { certificate: chain, private_key }
    }

    fn client(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }

    /// Shakes hands, and gives the certificate that the client saw.
    fn handshake(&self, tls: &Tls) -> Vec<u8> {
        let (client, _) = self.connect(tls);
        client.peer_certificates().unwrap()[0].to_vec()
    }

    fn connect(&self, tls: &Tls) -> (ClientConnection, ServerConnection) {
        let mut client = self.client();
        let mut server = ServerConnection::new(tls.server_config()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            answer(&mut server, &mut client);
        }
        (client, server)
    }
}

/// Brings to the client all that the server has to say.
fn answer(server: &mut ServerConnection, client: &mut ClientConnection) {
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).unwrap();
    }
    let mut rest = wire.as_slice();
    while !rest.is_empty() {
        client.read_tls(&mut rest).unwrap();
        client.process_new_packets().unwrap();
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
}

fn keystore(authority: &Authority, password: &str, more: &[&str]) -> TlsConfig {
    let TlsConfig::Pem { certificate, private_key } = authority.issue("keystore") else { panic!() };
    let keystore = authority.path("keystore.p12");
    let show = |path: &Path| path.display().to_string();
    let password_argument = format!("pass:{password}");
    let (key, chain, out) = (show(&private_key), show(&certificate), show(&keystore));
    let mut arguments = vec!["pkcs12", "-export", "-inkey", &key, "-in", &chain, "-out", &out];
    arguments.extend(["-passout", &password_argument]);
    arguments.extend(more);
    openssl(&arguments);
    TlsConfig::Pkcs12 { keystore, password: Secret::new(password) }
}

fn invalid(config: &TlsConfig) -> CertificateError {
    match Tls::load(config) {
        Err(ReloadError::Invalid(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{config:?} was accepted"),
    }
}

#[test]
fn pem_files_are_served() {
    let authority = Authority::new();
    let tls = Tls::load(&authority.issue("one")).unwrap();
    authority.handshake(&tls);
    assert_eq!(tls.server_config().alpn_protocols, [b"http/1.1"]);
}

#[test]
fn all_forms_of_private_keys() {
    let authority = Authority::new();
    for (form, arguments) in [
        ("PRIVATE KEY", &["genpkey", "-algorithm", "ed25519"][..]),
        ("PRIVATE KEY", &["genpkey", "-algorithm", "RSA"]),
        ("RSA PRIVATE KEY", &["genrsa", "-traditional", "2048"]),
        ("EC PRIVATE KEY", &["ecparam", "-name", "prime256v1", "-genkey", "-noout"]),
    ] {
        let key = authority.path("tls.key");
        let certificate = authority.path("tls.crt");
        let (key_text, certificate_text) =
            (key.display().to_string(), certificate.display().to_string());
        let mut all = arguments.to_vec();
        let at = if arguments[0] == "genrsa" { all.len() - 1 } else { all.len() };
        all.splice(at..at, ["-out", &key_text]);
        openssl(&all);
        assert!(fs::read_to_string(&key).unwrap().contains(&format!("BEGIN {form}-----")));
        openssl(&[
            "req",
            "-x509",
            "-key",
            &key_text,
            "-out",
            &certificate_text,
            "-subj",
            "/CN=x",
            "-days",
            "1",
        ]);
        Tls::load(&TlsConfig::Pem { certificate, private_key: key }).unwrap();
    }
}

#[test]
fn pem_files_that_are_wrong() {
    let authority = Authority::new();
    let config = authority.issue("one");
    let TlsConfig::Pem { certificate, private_key } = config.clone() else { panic!() };
    let key = fs::read_to_string(&private_key).unwrap();
    fs::write(&private_key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert_eq!(invalid(&config), CertificateError::Mismatch(private_key.clone()));
    fs::write(&private_key, "").unwrap();
    assert_eq!(invalid(&config), CertificateError::NoPrivateKey(private_key.clone()));
    // Cut off in the middle: the message must not show what is there.
    let half = &key[..key.len() / 2];
    fs::write(&private_key, half).unwrap();
    let error = invalid(&config);
    assert!(matches!(error, CertificateError::Damaged { .. }));
    let secret = half.lines().nth(1).unwrap();
    assert!(!error.to_string().contains(&secret[..16]), "{error}");
    fs::write(&private_key, key.replace('M', "!")).unwrap();
    assert!(matches!(invalid(&config), CertificateError::Damaged { .. }));
    fs::write(&private_key, &key).unwrap();
    fs::write(&certificate, &key).unwrap();
    assert_eq!(invalid(&config), CertificateError::NoCertificate(certificate.clone()));
    fs::remove_file(&certificate).unwrap();
    assert!(
        matches!(Tls::load(&config), Err(ReloadError::Unreadable { path, .. }) if path == certificate)
    );
}

#[test]
fn keystores_old_and_new() {
    let authority = Authority::new();
    for password in ["hunter2", "", "0123", "pässwörd"] {
        for more in [&[][..], &["-legacy"], &["-keypbe", "aes-128-cbc", "-certpbe", "aes-256-cbc"]]
        {
            let config = keystore(&authority, password, more);
            let tls =
                Tls::load(&config).unwrap_or_else(|error| panic!("{password:?} {more:?} {error}"));
            authority.handshake(&tls);
        }
    }
}

#[test]
fn keystores_that_are_wrong() {
    let authority = Authority::new();
    for more in [&[][..], &["-legacy"]] {
        let TlsConfig::Pkcs12 { keystore, .. } = keystore(&authority, "right", more) else {
            panic!()
        };
        for password in ["wrong", "", "Right", "right "] {
            let config =
                TlsConfig::Pkcs12 { keystore: keystore.clone(), password: Secret::new(password) };
            let error = invalid(&config);
            assert_eq!(error, CertificateError::WrongPassword(keystore.clone()), "{password:?}");
            assert!(!error.to_string().contains("wrong"));
        }
        let content = fs::read(&keystore).unwrap();
        for length in (0..content.len()).step_by(97) {
            fs::write(&keystore, &content[..length]).unwrap();
            invalid(&TlsConfig::Pkcs12 {
                keystore: keystore.clone(),
                password: Secret::new("right"),
            });
        }
    }
    // Without a key, and without a certificate.
    for (option, found) in
        [("-nokeys", "0 private keys"), ("-nocerts", "0 certificates, none of them of its key")]
    {
        let config = keystore(&authority, "x", &[option]);
        let error = invalid(&config);
        assert!(
            matches!(&error, CertificateError::WrongContent { found: what, .. } if what == found),
            "{error}"
        );
    }
}

#[test]
fn a_new_certificate_is_used_without_a_break() {
    let authority = Authority::new();
    let config = authority.issue("one");
    let tls = Tls::load(&config).unwrap();
    let first = authority.handshake(&tls);
    assert_eq!(tls.check().unwrap(), Change::None);
    assert_eq!(authority.handshake(&tls), first);
    authority.issue("two");
    assert_eq!(tls.check().unwrap(), Change::Replaced);
    let second = authority.handshake(&tls);
    assert_ne!(first, second);

    // The key is replaced a moment before its certificate.
    let TlsConfig::Pem { private_key, certificate } = config else { panic!() };
    let old = fs::read(&certificate).unwrap();
    authority.issue("three");
    let new = fs::read(&certificate).unwrap();
    fs::write(&certificate, old).unwrap();
    let error = tls.check().unwrap_err();
    assert!(
        matches!(error, ReloadError::Invalid(CertificateError::Mismatch(path)) if path == private_key)
    );
    assert_eq!(authority.handshake(&tls), second, "the old one stays");
    fs::write(&certificate, new).unwrap();
    assert_eq!(tls.check().unwrap(), Change::Replaced);
    assert_ne!(authority.handshake(&tls), second);
}

#[test]
fn a_connection_outlives_its_certificate() {
    let authority = Authority::new();
    let tls = Tls::load(&authority.issue("one")).unwrap();
    let (mut client, mut server) = authority.connect(&tls);
    authority.issue("two");
    assert_eq!(tls.check().unwrap(), Change::Replaced);
    server.writer().write_all(b"still here").unwrap();
    answer(&mut server, &mut client);
    let mut received = [0; 10];
    client.reader().read_exact(&mut received).unwrap();
    assert_eq!(&received, b"still here");
}

#[test]
fn a_new_keystore_is_used() {
    let authority = Authority::new();
    let tls = Tls::load(&keystore(&authority, "x", &[])).unwrap();
    let first = authority.handshake(&tls);
    keystore(&authority, "x", &["-legacy"]);
    assert_eq!(tls.check().unwrap(), Change::Replaced);
    assert_ne!(authority.handshake(&tls), first);
}
