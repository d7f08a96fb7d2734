//! What the libraries' errors mean for a request.

pub(super) use crate::http_rules::failure::{Failure, place};

use btdt_ports::HttpErrorKind;
use reqwest::Url;
use std::error::Error;
use std::io;
use std::time::Duration;

/// What the standard library says before it says why a name was not found.
const LOOKUP: &str = "failed to lookup address information: ";

/// What a failed attempt to get an answer means. `proxy` is the one that was asked, if any.
pub(super) fn describe(
    error: &reqwest::Error,
    url: &Url,
    proxy: Option<&str>,
    connect_timeout: Duration,
) -> Failure {
    use HttpErrorKind::{Proxy, TimedOut};
    let chain = chain(error);
    let target = place(url);
    let reason = reason(&chain);
    if let Some(tls) = find::<rustls::Error>(&chain) {
        return tls_failure(tls, &target);
    }
    let texts: Vec<String> = chain.iter().map(ToString::to_string).collect();
    if let (Some(proxy), true) = (proxy, error.is_connect()) {
        return proxy_failure(&texts, proxy, &target, &reason);
    }
    if error.is_connect() && error.is_timeout() {
        return Failure::slow_connection(url, connect_timeout);
    }
    if error.is_dns() || texts.iter().any(|text| text == "dns error") {
        return Failure::unresolved(url.host_str().unwrap_or_default(), &reason);
    }
    if error.is_connect() {
        return unconnected(&chain, &target);
    }
    if find::<hyper::Error>(&chain).is_some_and(hyper::Error::is_parse) {
        return Failure::not_http(&target, &reason);
    }
    if error.is_timeout() {
        return Failure::passing(TimedOut, format!("{target} did not answer: {reason}"));
    }
    match proxy {
        Some(proxy) if error.is_request() && texts.iter().any(|text| text.contains("tunnel")) => {
            Failure::lasting(Proxy, format!("the proxy {proxy} failed: {reason}"))
        }
        _ => Failure::interrupted(&target, &reason),
    }
}

/// What a failed connection for an upload means. `proxy` is who was being connected to, if not
/// the server itself.
pub(super) fn connecting(error: &io::Error, url: &Url, proxy: Option<&str>) -> Failure {
    let chain = chain(error);
    let (target, reason) = (place(url), reason(&chain));
    if let Some(tls) = find::<rustls::Error>(&chain) {
        return tls_failure(tls, &target);
    }
    if let Some(proxy) = proxy {
        return proxy_failure(&[], proxy, &target, &reason);
    }
    if error.to_string().starts_with(LOOKUP) {
        return Failure::unresolved(url.host_str().unwrap_or_default(), &reason);
    }
    unconnected(&chain, &target)
}

/// What an upload that got no answer means.
pub(super) fn unanswered(error: &hyper::Error, url: &Url) -> Failure {
    let chain = chain(error);
    let (target, reason) = (place(url), reason(&chain));
    if error.is_parse() {
        Failure::not_http(&target, &reason)
    } else {
        Failure::interrupted(&target, &reason)
    }
}

fn unconnected(chain: &[&(dyn Error + 'static)], target: &str) -> Failure {
    let reason = reason(chain);
    match find::<io::Error>(chain) {
        Some(io) if is_break(io) => Failure::interrupted(target, &reason),
        Some(io) if io.kind() == io::ErrorKind::InvalidData => {
            let detail = format!("TLS with {target} failed: {reason}");
            Failure::lasting(HttpErrorKind::Tls, detail)
        }
        _ => Failure::unconnected(target, &reason),
    }
}

fn tls_failure(error: &rustls::Error, target: &str) -> Failure {
    use rustls::{CertificateError, Error as Tls};
    let advice = "; if it was issued by an authority of your own, name the file with the \
                  certificate of that authority with --root-cert";
    let detail = match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!("the certificate of {target} is not trusted, its issuer is unknown{advice}")
        }
        Tls::InvalidCertificate(reason) => {
            let reason = Tls::InvalidCertificate(reason.clone()).to_string();
            let reason = reason.trim_start_matches("invalid peer certificate: ");
            format!("the certificate of {target} is not trusted: {reason}{advice}")
        }
        // What rustls says about the first bytes of an answer that is plain HTTP.
        Tls::InvalidMessage(_) => {
            format!("TLS with {target} failed, which does not seem to speak it: {error}")
        }
        _ => format!("TLS with {target} failed: {error}"),
    };
    Failure::lasting(HttpErrorKind::Tls, detail)
}

fn proxy_failure(texts: &[String], proxy: &str, target: &str, reason: &str) -> Failure {
    let says = |part: &str| texts.iter().any(|text| text.contains(part));
    if says("proxy authorization required") {
        return wants_password(proxy);
    }
    if says("tunnel error: unsuccessful") {
        return refused_tunnel(proxy, target);
    }
    let detail = format!("could not connect to {target} through the proxy {proxy}: {reason}");
    Failure::passing(HttpErrorKind::Proxy, detail)
}

/// The proxy does not connect to the server.
pub(super) fn refused_tunnel(proxy: &str, target: &str) -> Failure {
    let detail = format!("the proxy {proxy} refuses connections to {target}");
    Failure::passing(HttpErrorKind::Proxy, detail)
}

/// The proxy answered 407.
pub(super) fn wants_password(proxy: &str) -> Failure {
    Failure::lasting(
        HttpErrorKind::Proxy,
        format!(
            "the proxy {proxy} asks for a name and a password; put them into its URL: \
             http://NAME:PASSWORD@HOST:PORT"
        ),
    )
}

/// What a body that did not arrive as announced means.
pub(super) fn cut_off(error: &reqwest::Error, url: &Url) -> Failure {
    Failure::cut_off(url, &reason(&chain(error)))
}

/// An error and all its causes.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut chain: Vec<&'e (dyn Error + 'static)> = Vec::new();
    let mut next = Some(error);
    // A chain that is longer than this is a circle.
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

/// The end of a chain in words: what is below the layers of the library, each thing once.
fn reason(chain: &[&(dyn Error + 'static)]) -> String {
    const LAYERS: [&str; 8] = [
        "error sending request",
        "request or response body error",
        "error decoding response body",
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
        // A layer that repeats its cause says nothing new, and the other way round.
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

pub(super) fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// What the system's code means, without the code.
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
