//! What the errors of hyper, rustls and the system mean for a request.

use super::proxy_settings::ChosenProxy;
use crate::http_client::{RequestError, Url, host_and_port};
use btdt_ports::HttpErrorKind;
use hyper_util::client::legacy;
use std::error::Error;
use std::io;

/// What the standard library says before it says why a name was not found.
const LOOKUP: &str = "failed to lookup address information: ";

/// What a failed connection means. `proxy` is the one that was being connected to, if any.
pub(super) fn not_connected(
    error: &(dyn Error + 'static),
    url: &Url,
    proxy: Option<&ChosenProxy>,
) -> RequestError {
    let chain = chain(error);
    let reason = reason(&chain);
    if let Some(error) = find::<RequestError>(&chain) {
        return error.clone();
    }
    if let Some(error) = find::<rustls::Error>(&chain) {
        return tls_failed(error, url);
    }
    if let Some(proxy) = proxy {
        // The library does not export the type of these errors.
        return match error.to_string().as_str() {
            "tunnel error: proxy authorization required" => password_required(&proxy.name),
            "tunnel error: unsuccessful" => tunnel_refused(url, &proxy.name),
            _ => proxy_failed(url, &proxy.name, &reason),
        };
    }
    if chain.iter().any(|error| error.to_string() == "dns error") {
        return RequestError::unresolved(url, &reason);
    }
    match find::<io::Error>(&chain) {
        Some(io) if is_break(io) => RequestError::interrupted(url, &reason),
        Some(io) if io.kind() == io::ErrorKind::InvalidData => {
            RequestError::tls(url, &format!(": {reason}"))
        }
        _ => RequestError::unconnected(url, &reason),
    }
}

/// Whether a connection took too long, by the connector's own limit.
pub(super) fn is_time_out(error: &(dyn Error + 'static)) -> bool {
    let io = find::<io::Error>(&chain(error)).map(io::Error::kind);
    io == Some(io::ErrorKind::TimedOut)
}

/// What a request without a response means.
pub(super) fn unanswered(error: &legacy::Error, url: &Url) -> RequestError {
    let chain = chain(error);
    if let Some(error) = find::<RequestError>(&chain) {
        return error.clone();
    }
    let reason = reason(&chain);
    if find::<hyper::Error>(&chain).is_some_and(hyper::Error::is_parse) {
        return RequestError::not_http(url, &reason);
    }
    if find::<io::Error>(&chain).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        let detail = format!("{} did not answer: {reason}", host_and_port(url));
        return RequestError::transient(HttpErrorKind::TimedOut, detail);
    }
    RequestError::interrupted(url, &reason)
}

fn tls_failed(error: &rustls::Error, url: &Url) -> RequestError {
    use rustls::{CertificateError, Error as Tls};
    let reason = match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "is not trusted, its issuer is unknown".to_owned()
        }
        Tls::InvalidCertificate(_) => {
            let reason = error.to_string();
            format!("is not trusted: {}", reason.trim_start_matches("invalid peer certificate: "))
        }
        // The first bytes of a response in plain HTTP.
        Tls::InvalidMessage(_) => {
            return RequestError::tls(url, &format!(", which does not seem to speak it: {error}"));
        }
        _ => return RequestError::tls(url, &format!(": {error}")),
    };
    let detail = format!(
        "the certificate of {} {reason}; if it was issued by an authority of your own, name the \
         file with the certificate of that authority with --root-cert",
        host_and_port(url)
    );
    RequestError::permanent(HttpErrorKind::Tls, detail)
}

/// The server cannot be reached through the proxy.
pub(super) fn proxy_failed(url: &Url, proxy: &str, reason: &str) -> RequestError {
    let server = host_and_port(url);
    let detail = format!("could not connect to {server} through the proxy {proxy}: {reason}");
    RequestError::transient(HttpErrorKind::Proxy, detail)
}

/// The proxy does not connect to the server.
fn tunnel_refused(url: &Url, proxy: &str) -> RequestError {
    let detail = format!("the proxy {proxy} refuses connections to {}", host_and_port(url));
    RequestError::transient(HttpErrorKind::Proxy, detail)
}

/// The proxy answered 407.
pub(super) fn password_required(proxy: &str) -> RequestError {
    let detail = format!(
        "the proxy {proxy} asks for a name and a password; put them into its URL: \
         http://NAME:PASSWORD@HOST:PORT"
    );
    RequestError::permanent(HttpErrorKind::Proxy, detail)
}

/// What a body that did not arrive as announced means.
pub(super) fn cut_off(error: &hyper::Error, url: &Url) -> RequestError {
    RequestError::cut_off(url, &reason(&chain(error)))
}

/// An error and all its causes.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut chain: Vec<&'e (dyn Error + 'static)> = Vec::new();
    let mut next = Some(error);
    // A longer chain is a loop.
    while let Some(error) = next.filter(|_| chain.len() < 32) {
        chain.push(error);
        // The source of an I/O error is that of what it wraps, not what it wraps.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    chain
}

fn find<'e, E: Error + 'static>(chain: &[&'e (dyn Error + 'static)]) -> Option<&'e E> {
    chain.iter().rev().find_map(|error| error.downcast_ref())
}

/// The causes at the end of a chain, each once, without the layers of the library.
fn reason(chain: &[&(dyn Error + 'static)]) -> String {
    const LAYERS: [&str; 5] = [
        "client error (",
        "tcp connect error",
        "dns error",
        "tunnel error: failed to create underlying connection",
        "error reading a body from connection",
    ];
    let mut parts: Vec<String> = Vec::new();
    for error in chain {
        let io = error.downcast_ref::<io::Error>();
        let mut text = io.and_then(io_words).map_or_else(|| error.to_string(), str::to_owned);
        text = text.trim_start_matches(LOOKUP).to_owned();
        if LAYERS.iter().any(|layer| text.starts_with(layer)) {
            continue;
        }
        // Some layers repeat their cause.
        if parts.iter().any(|part| part.contains(&text)) {
            continue;
        }
        parts.retain(|part| !text.contains(part.as_str()));
        parts.push(text);
    }
    match (parts.is_empty(), chain.last()) {
        (true, Some(last)) => last.to_string(),
        _ => parts.join(": "),
    }
}

/// Whether the other side has closed the connection.
pub(super) fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The meaning of the system's error code, without the code.
fn io_words(error: &io::Error) -> Option<&'static str> {
    error.raw_os_error()?;
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "the other side reset it",
        io::ErrorKind::BrokenPipe => "the other side closed it",
        io::ErrorKind::TimedOut => "it timed out",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable => "the network is unreachable",
        _ => return None,
    })
}
