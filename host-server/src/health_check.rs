//! `btdt-server health-check`: asks a server whether it is healthy.

use http::uri::Scheme;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A server that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are shown at most.
const MAX_BODY: usize = 4096;

/// Why a server is not known to be healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// The address is not one.
    #[error("{url:?} is not the address of a server: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file of certificates cannot be used.
    #[error("{} cannot be used as root certificate: {reason}", path.display())]
    RootCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection to the server, or no answer.
    #[error("The server at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The server does not answer in time.
    #[error("The server at {0} did not answer within 10 seconds")]
    Timeout(String),
    /// The answer is not a success.
    #[error("Server health check failed with status: {status}\n{body}")]
    Status {
        /// The status of its answer.
        status: u16,
        /// The body of its answer.
        body: String,
    },
}

/// Where to ask.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// For the header `Host`.
    authority: String,
}

/// Asks the server at `url` for `/api/health`; trusts the certificates of these files, or those
/// of the system if there are none.
///
/// # Errors
/// See [`Unhealthy`].
pub fn run(url: &str, root_certificates: &[PathBuf]) -> Result<(), Unhealthy> {
    let target = target(url)?;
    let tls = if target.tls { Some(client_config(root_certificates)?) } else { None };
    let address = format!("{}:{}", target.host, target.port);
    let unreachable = |error: &dyn std::fmt::Display| Unhealthy::Unreachable {
        address: address.clone(),
        reason: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(&error))?;
    let answer = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(&target, tls)).await });
    // A name lookup may still be running; it is not waited for.
    runtime.shutdown_background();
    match answer {
        Err(_) => Err(Unhealthy::Timeout(address)),
        Ok(Err(reason)) => Err(unreachable(&reason)),
        Ok(Ok((status, _))) if status.is_success() => Ok(()),
        Ok(Ok((status, body))) => Err(Unhealthy::Status { status: status.as_u16(), body }),
    }
}

fn target(url: &str) -> Result<Target, Unhealthy> {
    let fail = |reason| Unhealthy::Address { url: without_user(url), reason };
    let uri: Uri = url.parse().map_err(|_| fail("it is not a URL"))?;
    let tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => return Err(fail("it has to begin with http:// or https://")),
    };
    let authority = uri.authority().ok_or_else(|| fail("the name of the host is missing"))?;
    if authority.as_str().contains('@') {
        return Err(fail("user names and passwords are not supported"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(fail("the name of the host is missing"));
    }
    let port = match (authority.port_u16(), authority.as_str().ends_with(authority.host())) {
        (Some(port), _) => port,
        (None, true) => {
            if tls {
                443
            } else {
                80
            }
        }
        (None, false) => return Err(fail("the port is not a number up to 65535")),
    };
    Ok(Target { tls, host, port, authority: authority.to_string() })
}

/// Messages do not repeat passwords.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

fn client_config(root_certificates: &[PathBuf]) -> Result<Arc<ClientConfig>, Unhealthy> {
    let mut roots = RootCertStore::empty();
    for path in root_certificates {
        add_roots(&mut roots, path)?;
    }
    if root_certificates.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // An image from scratch has none.
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Unhealthy::Unreachable {
            address: String::new(),
            reason: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Adds all certificates of a file, which must have one at least.
fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), Unhealthy> {
    let fail = |reason: String| Unhealthy::RootCertificate { path: path.to_owned(), reason };
    let content = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let certificate = certificate.map_err(|_| fail("it is not valid PEM".to_owned()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
        found = true;
    }
    if found { Ok(()) } else { Err(fail("it has no certificate in PEM form".to_owned())) }
}

async fn ask(
    target: &Target,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(StatusCode, String), String> {
    let stream = TcpStream::connect((target.host.as_str(), target.port))
        .await
        .map_err(|error| error.to_string())?;
    let Some(config) = tls else { return exchange(stream, &target.authority).await };
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    exchange(stream, &target.authority).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    authority: &str,
) -> Result<(StatusCode, String), String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let request = Request::get("/api/health")
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, concat!("btdt-server/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The connection only moves while it is polled; it ends with the runtime.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(text)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    Ok((status, body.unwrap_or_default()))
}
