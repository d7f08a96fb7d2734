//! The server with certificates in the forms in which people have them, and clients that trust the
//! right ones only.

use crate::certificates::{Authority, PASSWORD};
use crate::shared::{ERROR, Outcome, SUCCESS, TreeBuilder, btdt, clean_command};
use crate::support::{Server, Setup, server_path};
use btdt_host_runtime::clock;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes, in seconds: who waits longer has found a hang.
const HANG: u64 = 120;

/// A setup with a tree, a directory for certificates with the first one in it, and a file with the
/// certificate of the authority.
fn setup(authority: &Authority) -> Setup {
    let setup = Setup::new("tls_certificate = 'tls/tls.crt'\ntls_private_key = 'tls/tls.key'");
    TreeBuilder::new(setup.path("tree")).sample(3);
    authority.mount(&setup.path("tls"), "first");
    fs::write(setup.path("root.pem"), authority.pem()).unwrap();
    setup
}

/// Stores and restores, trusting the certificates in some files.
fn round_trip(setup: &Setup, server: &Server, roots: &[&str]) -> [Outcome; 2] {
    let cache = server.cache("default");
    [("store", "tree"), ("restore", "restored")].map(|(command, path)| {
        let mut arguments = vec![command, "-c", &cache, "-a", "token", "-k", "key"];
        for root in roots {
            arguments.extend(["--root-cert", root]);
        }
        arguments.push(path);
        btdt(setup, &arguments)
    })
}

#[track_caller]
fn succeeds(setup: &Setup, server: &Server, roots: &[&str]) {
    for outcome in round_trip(setup, server, roots) {
        assert_eq!(outcome.code, Some(SUCCESS), "{outcome}");
    }
}

#[track_caller]
fn fails(setup: &Setup, server: &Server, roots: &[&str], reasons: &[&str]) {
    for outcome in round_trip(setup, server, roots) {
        assert_eq!(outcome.code, Some(ERROR), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
        for reason in reasons {
            assert!(outcome.stderr.contains(reason), "no {reason:?}:\n{outcome}");
        }
    }
}

#[test]
fn certificates_as_cert_manager_mounts_them() {
    let authority = Authority::new("authority");
    let setup = setup(&authority);
    let server = setup.start();
    assert!(server.url().starts_with("https://"), "{}", server.url());
    succeeds(&setup, &server, &["root.pem"]);
    // The secret has the authority's certificate too.
    succeeds(&setup, &server, &["tls/ca.crt"]);
}

#[test]
fn a_keystore() {
    let authority = Authority::new("authority");
    let setup = Setup::new("tls_keystore = 'keystore.p12'");
    TreeBuilder::new(setup.path("tree")).sample(3);
    authority.keystore(&setup, "keystore");
    fs::write(setup.path("root.pem"), authority.pem()).unwrap();
    let setup = setup.with_variable("BTDT_TLS_KEYSTORE_PASSWORD", PASSWORD);
    let server = setup.start();
    assert!(server.url().starts_with("https://"), "{}", server.url());
    succeeds(&setup, &server, &["root.pem"]);
    assert!(!server.log().contains(PASSWORD), "{}", server.log());
}

#[test]
fn all_certificates_of_a_bundle_and_of_all_files_count() {
    let authority = Authority::new("authority");
    let setup = setup(&authority);
    let others = ["one", "two", "three"].map(|name| Authority::new(name).pem());
    let bundle = |at: usize| {
        let mut all = others.to_vec();
        all.insert(at, format!("# the one that counts\n{}", authority.pem()));
        all.join("\n")
    };
    fs::write(setup.path("first.pem"), bundle(0)).unwrap();
    fs::write(setup.path("last.pem"), bundle(3)).unwrap();
    fs::write(setup.path("others.pem"), others.join("")).unwrap();
    let server = setup.start();
    succeeds(&setup, &server, &["first.pem"]);
    succeeds(&setup, &server, &["last.pem"]);
    succeeds(&setup, &server, &["others.pem", "root.pem"]);
    fails(&setup, &server, &["others.pem"], &["certificate"]);

    let health = |root: &str| {
        let mut command = clean_command(server_path(), &setup.path(""));
        command.args(["health-check", server.url(), "--root-cert", root]);
        command.output().unwrap()
    };
    assert_eq!(health("last.pem").status.code(), Some(SUCCESS));
    assert_eq!(health("others.pem").status.code(), Some(ERROR));
}

#[test]
fn who_trusts_another_authority_is_told_so() {
    let authority = Authority::new("authority");
    let setup = setup(&authority);
    // Of the same name: what counts is the key.
    fs::write(setup.path("wrong.pem"), Authority::new("authority").pem()).unwrap();
    let server = setup.start();
    let url = server.cache("default");
    let reasons = ["Could not access cache: ", &url, "certificate", "--root-cert"];
    fails(&setup, &server, &["wrong.pem"], &reasons);
    // The system knows nothing of this authority.
    fails(&setup, &server, &[], &reasons);
    let stored = setup.path("cache/entries");
    assert!(!stored.exists() || fs::read_dir(stored).unwrap().next().is_none());
}

#[test]
fn files_without_usable_certificates_are_named() {
    let authority = Authority::new("authority");
    let setup = setup(&authority);
    fs::write(setup.path("empty.pem"), "").unwrap();
    fs::write(setup.path("key.crt"), fs::read(setup.path("tls/tls.key")).unwrap()).unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(setup.path("damaged.pem"), damaged).unwrap();
    let server = setup.start();
    for name in ["empty.pem", "key.crt", "damaged.pem", "missing.pem"] {
        fails(&setup, &server, &[name], &[name]);
        // One that is right does not make up for one that is not.
        fails(&setup, &server, &["root.pem", name], &[name]);
    }
}

#[test]
fn plain_http_to_an_encrypted_port_and_the_other_way_round() {
    let authority = Authority::new("authority");
    let encrypted = setup(&authority);
    let server = encrypted.start();
    let cache = server.cache("default").replace("https://", "http://");
    let arguments = ["store", "-c", &cache, "-a", "token", "-k", "key", "tree"];
    let outcome = btdt(&encrypted, &arguments);
    assert_eq!(outcome.code, Some(ERROR), "{outcome}");
    assert!(outcome.stderr.contains(&cache), "{outcome}");

    let plain = Setup::new("");
    TreeBuilder::new(plain.path("tree")).file("f", "x");
    let server = plain.start();
    let cache = server.cache("default").replace("http://", "https://");
    let arguments = ["store", "-c", &cache, "-a", "token", "-k", "key", "tree"];
    let outcome = btdt(&plain, &arguments);
    assert_eq!(outcome.code, Some(ERROR), "{outcome}");
    assert!(outcome.stderr.contains(&cache), "{outcome}");
}

/// A connection with TLS.
struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Connection {
    /// Connects and shakes hands; the chain has to lead to the authority.
    fn open(authority: &Authority, server: &Server) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.der().to_vec())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(HANG))).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut socket).unwrap();
        }
        Connection { stream: BufReader::new(StreamOwned::new(client, socket)) }
    }

    /// The certificate that the server has shown.
    fn certificate(&self) -> Vec<u8> {
        self.stream.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Asks for the server's health on this connection.
    #[track_caller]
    fn is_alive(&mut self) {
        let request = b"GET /api/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        self.stream.get_mut().write_all(request).unwrap();
        let mut length = 0;
        let mut first = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "the connection was closed");
            if first.is_empty() {
                first.clone_from(&line);
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        assert_eq!(body, b"OK");
    }
}

fn now() -> u64 {
    u64::try_from(clock::now().seconds).unwrap()
}

#[test]
fn a_certificate_is_replaced_while_a_connection_goes_on() {
    let authority = Authority::new("authority");
    let setup = setup(&authority);
    let server = setup.start();
    let mut open = Connection::open(&authority, &server);
    let first = open.certificate();
    open.is_alive();
    let second = authority.mount(&setup.path("tls"), "second");
    assert_ne!(first, second);
    // The server looks at the files every few seconds.
    let deadline = now() + HANG;
    loop {
        open.is_alive();
        let mut new = Connection::open(&authority, &server);
        new.is_alive();
        if new.certificate() == second {
            break;
        }
        assert_eq!(new.certificate(), first);
        assert!(now() < deadline, "the certificate was not replaced:\n{}", server.log());
    }
    open.is_alive();
    assert_eq!(open.certificate(), first);
    succeeds(&setup, &server, &["root.pem"]);
    assert!(server.log().contains("Took over a new certificate"), "{}", server.log());
}

#[test]
fn a_new_certificate_that_cannot_be_used_changes_nothing() {
    let authority = Authority::new("authority");
    let setup = setup(&authority);
    let server = setup.start();
    let mut open = Connection::open(&authority, &server);
    let first = open.certificate();
    // Half of a replacement: the key belongs to another certificate.
    let stray = setup.path("stray");
    authority.mount(&stray, "stray");
    let place = setup.path("tls/..first/tls.key");
    fs::rename(stray.join("..stray/tls.key"), place).unwrap();
    let deadline = now() + HANG;
    while !server.log().contains("The old certificate stays in use") {
        open.is_alive();
        assert!(now() < deadline, "nothing was said:\n{}", server.log());
    }
    assert_eq!(Connection::open(&authority, &server).certificate(), first);
    succeeds(&setup, &server, &["root.pem"]);
}
