//! Whom TLS trusts.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::BufReader;

use super::server::{Server, answer, read_request};

pub(super) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with that certificate, which counts nothing and answers "secure".
fn server(certificate: CertificateDer<'static>, key: &KeyPair) -> Server {
    server_at("127.0.0.1:0", certificate, key)
}

fn server_at(address: &str, certificate: CertificateDer<'static>, key: &KeyPair) -> Server {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let configuration = Arc::new(configuration);
    Server::at(address, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&configuration)).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        while read_request(&mut stream).is_some() {
            use std::io::Write;
            stream.get_mut().write_all(&answer(200, "", b"secure")).unwrap();
        }
    })
}

pub(super) fn issued(by: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Server {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    server(params.signed_by(&key, by).unwrap().der().clone(), &key)
}

fn trusting(bundles: &[String]) -> HttpRemote {
    let root_certificates = bundles.iter().map(|bundle| bundle.clone().into_bytes()).collect();
    HttpRemote::new(Options { root_certificates, ..options() }).unwrap()
}

fn ask(remote: &HttpRemote, server: &Server) -> Result<HttpResponse<HttpBody>, HttpError> {
    remote.send(&get(&format!("https://127.0.0.1:{}/", server.address.port())))
}

fn upload(remote: &HttpRemote, server: &Server) -> Result<HttpResponse<HttpBody>, HttpError> {
    let url = format!("https://127.0.0.1:{}/", server.address.port());
    remote.upload_from(&request(Method::Put, &url), &b"archive"[..])
}

#[test]
fn all_certificates_of_a_bundle_are_trusted() {
    let (first, second) = (authority("first"), authority("second"));
    let bundle = format!("# two\n{}\n{}", first.pem(), second.pem());
    let trusting_both = trusting(&[bundle]);
    for authority in [&first, &second] {
        let server = issued(authority, "127.0.0.1");
        assert_eq!(text(ask(&trusting_both, &server).unwrap()), "secure");
        assert_eq!(text(ask(&trusting_both, &server).unwrap()), "secure");
    }
    let server = issued(&second, "127.0.0.1");
    for bundles in [vec![], vec![first.pem()]] {
        let error = failure(ask(&trusting(&bundles), &server));
        assert_eq!(error.kind, HttpErrorKind::Tls);
        assert_eq!(failure(upload(&trusting(&bundles), &server)), error);
        assert!(error.detail.contains("issuer is unknown"), "{}", error.detail);
        assert!(error.detail.contains("--root-cert"), "{}", error.detail);
    }
    assert_eq!(text(upload(&trusting_both, &server).unwrap()), "secure");
    let two_files = trusting(&[first.pem(), second.pem()]);
    assert_eq!(text(ask(&two_files, &server).unwrap()), "secure");
}

#[test]
fn an_ipv6_literal_with_tls() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let (authority, key) = (authority("ours"), KeyPair::generate().unwrap());
    let params = CertificateParams::new(["::1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
    let server = server_at("[::1]:0", certificate, &key);
    let (remote, url) = (trusting(&[authority.pem()]), format!("https://{}/", server.address));
    assert_eq!(text(remote.send(&get(&url)).unwrap()), "secure");
    let answer = remote.upload_from(&request(Method::Put, &url), &b"archive"[..]);
    assert_eq!(text(answer.unwrap()), "secure");
}

#[test]
fn a_certificate_for_another_host_or_of_another_time() {
    let authority = authority("ours");
    let error = failure(ask(&trusting(&[authority.pem()]), &issued(&authority, "other.invalid")));
    assert_eq!(error.kind, HttpErrorKind::Tls);
    assert!(error.detail.contains("other.invalid"), "{}", error.detail);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let expired = server(params.signed_by(&key, &authority).unwrap().der().clone(), &key);
    let error = failure(ask(&trusting(&[authority.pem()]), &expired));
    assert_eq!(error.kind, HttpErrorKind::Tls);
    assert!(error.detail.contains("expired"), "{}", error.detail);
}

#[test]
fn a_self_signed_certificate_that_is_named() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let make = |name: &str| {
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.is_ca = is_ca;
            params.self_signed(&key).unwrap()
        };
        let certificate = make("127.0.0.1");
        let server_of_it = server(certificate.der().clone(), &key);
        let remote = trusting(&[certificate.pem()]);
        assert_eq!(text(ask(&remote, &server_of_it).unwrap()), "secure", "{is_ca:?}");
        assert_eq!(failure(ask(&trusting(&[]), &server_of_it)).kind, HttpErrorKind::Tls);
        let wrong = make("other.invalid");
        let server_of_wrong = server(wrong.der().clone(), &key);
        let error = failure(ask(&trusting(&[wrong.pem()]), &server_of_wrong));
        assert_eq!(error.kind, HttpErrorKind::Tls, "{error:?}");
    }
}

#[test]
fn bundles_that_cannot_be_used() {
    let good = authority("good").pem();
    let cut = good.replacen("M", "", 1);
    for bundle in ["", "no certificate", &cut] {
        let root_certificates = vec![good.clone().into_bytes(), bundle.as_bytes().to_vec()];
        let result = HttpRemote::new(Options { root_certificates, ..options() });
        let error = result.map(drop).unwrap_err();
        assert_eq!(error.kind, HttpErrorKind::Tls, "{bundle}");
    }
}

#[test]
fn tls_with_a_server_that_does_not_speak_it() {
    let plain = super::server::Server::raw(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(&answer(400, "", b"what?"));
    });
    let error = failure(ask(&remote(), &plain));
    assert_eq!(error.kind, HttpErrorKind::Tls, "{error:?}");
}
