//! What went wrong with a request, in words that the user understands.

use super::minimum_rate::MINIMUM_RATE;
use btdt_ports::{HttpError, HttpErrorKind};
use std::time::Duration;
use url::Url;

/// A request that got no response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct RequestError {
    /// What the user is told.
    pub error: HttpError,
    /// Whether another attempt may succeed.
    pub transient: bool,
}

impl From<HttpError> for RequestError {
    fn from(error: HttpError) -> Self {
        RequestError { error, transient: false }
    }
}

impl From<RequestError> for HttpError {
    fn from(error: RequestError) -> Self {
        error.error
    }
}

impl RequestError {
    /// An error that another attempt would meet again.
    pub fn permanent(kind: HttpErrorKind, detail: impl Into<String>) -> Self {
        RequestError { error: HttpError { kind, detail: detail.into() }, transient: false }
    }

    /// An error that may be gone at the next attempt.
    pub fn transient(kind: HttpErrorKind, detail: impl Into<String>) -> Self {
        RequestError { transient: true, ..RequestError::permanent(kind, detail) }
    }

    /// Nothing came for too long.
    #[must_use]
    pub fn silence(url: &Url, limit: Duration) -> Self {
        let server = host_and_port(url);
        let detail = format!("{server} did not answer within {} s", limit.as_secs_f64());
        RequestError::transient(HttpErrorKind::TimedOut, detail)
    }

    /// A body arrives more slowly than it may.
    #[must_use]
    pub fn too_slow(url: &Url) -> Self {
        let server = host_and_port(url);
        let detail =
            format!("the answer of {server} comes at less than {MINIMUM_RATE} bytes a second");
        RequestError::transient(HttpErrorKind::TimedOut, detail)
    }

    /// No connection was made in time.
    #[must_use]
    pub fn slow_connection(url: &Url, limit: Duration) -> Self {
        let server = host_and_port(url);
        let detail = format!("could not connect to {server} within {} s", limit.as_secs_f64());
        RequestError::transient(HttpErrorKind::TimedOut, detail)
    }

    /// No server accepts connections there.
    #[must_use]
    pub fn unconnected(url: &Url, reason: &str) -> Self {
        let detail = format!("could not connect to {}: {reason}", host_and_port(url));
        RequestError::transient(HttpErrorKind::Unreachable, detail)
    }

    /// The name of the host is unknown.
    #[must_use]
    pub fn unresolved(url: &Url, reason: &str) -> Self {
        let detail = format!("unknown host {}: {reason}", url.host_str().unwrap_or_default());
        // A name that does not exist will not exist in a second; a name server that did not answer
        // may.
        let transient = reason.to_ascii_lowercase().contains("temporary");
        RequestError { transient, ..RequestError::permanent(HttpErrorKind::Unresolved, detail) }
    }

    /// TLS failed, or the certificate is not trusted.
    #[must_use]
    pub fn tls(url: &Url, reason: &str) -> Self {
        let detail = format!("TLS with {} failed{reason}", host_and_port(url));
        RequestError::permanent(HttpErrorKind::Tls, detail)
    }

    /// The response is not HTTP.
    #[must_use]
    pub fn not_http(url: &Url, reason: &str) -> Self {
        let detail = format!("the answer of {} is not HTTP: {reason}", host_and_port(url));
        RequestError::permanent(HttpErrorKind::Protocol, detail)
    }

    /// The connection broke before there was a response.
    #[must_use]
    pub fn interrupted(url: &Url, reason: &str) -> Self {
        let detail = format!("the connection to {} broke: {reason}", host_and_port(url));
        RequestError::transient(HttpErrorKind::Interrupted, detail)
    }

    /// The body of a response did not arrive as announced.
    #[must_use]
    pub fn cut_off(url: &Url, reason: &str) -> Self {
        let detail = format!("the answer of {} was cut off: {reason}", host_and_port(url));
        RequestError::transient(HttpErrorKind::Interrupted, detail)
    }

    /// The body of a response is longer than the caller accepts.
    #[must_use]
    pub fn too_large(url: &Url, limit: u64) -> Self {
        let detail = format!("the answer of {} is larger than {limit} bytes", host_and_port(url));
        RequestError::permanent(HttpErrorKind::TooLarge, detail)
    }

    /// The body of an upload cannot be read.
    #[must_use]
    pub fn unreadable_upload(url: &Url, reason: &str) -> Self {
        let detail = format!("what is sent to {} could not be read: {reason}", host_and_port(url));
        RequestError::permanent(HttpErrorKind::Interrupted, detail)
    }

    /// A header that cannot be sent.
    #[must_use]
    pub fn invalid_header(name: &str) -> Self {
        let detail = format!("the header {name:?} of a request is not valid");
        RequestError::permanent(HttpErrorKind::Protocol, detail)
    }
}

/// The server of a URL, as `HOST:PORT`.
#[must_use]
pub fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
