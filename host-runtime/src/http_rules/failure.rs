//! What went wrong with a request, in words that the user understands.

use super::pace::LEAST_RATE;
use btdt_ports::{HttpError, HttpErrorKind};
use std::time::Duration;
use url::Url;

/// A request that got no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What the user is told.
    pub error: HttpError,
    /// Whether another attempt may have more success.
    pub passing: bool,
}

impl Failure {
    /// A failure that another attempt would meet again.
    pub fn lasting(kind: HttpErrorKind, detail: impl Into<String>) -> Self {
        Failure { error: HttpError { kind, detail: detail.into() }, passing: false }
    }

    /// A failure that may be gone at the next attempt.
    pub fn passing(kind: HttpErrorKind, detail: impl Into<String>) -> Self {
        Failure { passing: true, ..Failure::lasting(kind, detail) }
    }

    /// Nothing came for too long.
    #[must_use]
    pub fn silence(url: &Url, limit: Duration) -> Self {
        let detail = format!("{} did not answer within {}", place(url), seconds(limit));
        Failure::passing(HttpErrorKind::TimedOut, detail)
    }

    /// A body comes more slowly than it may.
    #[must_use]
    pub fn too_slow(url: &Url) -> Self {
        let detail =
            format!("the answer of {} comes at less than {LEAST_RATE} bytes a second", place(url));
        Failure::passing(HttpErrorKind::TimedOut, detail)
    }

    /// No connection was made in time.
    #[must_use]
    pub fn slow_connection(url: &Url, limit: Duration) -> Self {
        let detail = format!("could not connect to {} within {}", place(url), seconds(limit));
        Failure::passing(HttpErrorKind::TimedOut, detail)
    }

    /// Nobody accepts connections at `target`.
    #[must_use]
    pub fn unconnected(target: &str, reason: &str) -> Self {
        let detail = format!("could not connect to {target}: {reason}");
        Failure::passing(HttpErrorKind::Unreachable, detail)
    }

    /// The name of a host is unknown.
    #[must_use]
    pub fn unresolved(host: &str, reason: &str) -> Self {
        let detail = format!("unknown host {host}: {reason}");
        // A name that does not exist will not exist in a second; a name server that did not answer
        // may.
        let passing = reason.to_ascii_lowercase().contains("temporary");
        Failure { passing, ..Failure::lasting(HttpErrorKind::Unresolved, detail) }
    }

    /// An answer that is no HTTP.
    #[must_use]
    pub fn not_http(target: &str, reason: &str) -> Self {
        let detail = format!("the answer of {target} is not HTTP: {reason}");
        Failure::lasting(HttpErrorKind::Protocol, detail)
    }

    /// The connection broke before there was an answer.
    #[must_use]
    pub fn interrupted(target: &str, reason: &str) -> Self {
        let detail = format!("the connection to {target} broke: {reason}");
        Failure::passing(HttpErrorKind::Interrupted, detail)
    }

    /// The body of an answer did not arrive as announced.
    #[must_use]
    pub fn cut_off(url: &Url, reason: &str) -> Self {
        let detail = format!("the answer of {} was cut off: {reason}", place(url));
        Failure::passing(HttpErrorKind::Interrupted, detail)
    }

    /// The body of an answer is longer than the caller takes.
    #[must_use]
    pub fn too_large(url: &Url, limit: u64) -> Self {
        let detail = format!("the answer of {} is larger than {limit} bytes", place(url));
        Failure::lasting(HttpErrorKind::TooLarge, detail)
    }

    /// What is to be sent cannot be read.
    #[must_use]
    pub fn unreadable_upload(url: &Url, reason: &str) -> Self {
        let detail = format!("what is sent to {} could not be read: {reason}", place(url));
        Failure::lasting(HttpErrorKind::Interrupted, detail)
    }

    /// A header that cannot be sent.
    #[must_use]
    pub fn invalid_header(name: &str) -> Self {
        let detail = format!("the header {name:?} of a request is not valid");
        Failure::lasting(HttpErrorKind::Protocol, detail)
    }
}

/// Whom a URL leads to, as `HOST:PORT`.
#[must_use]
pub fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A time as users read it.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
