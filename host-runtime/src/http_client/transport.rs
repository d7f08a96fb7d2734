//! What a client needs of whatever makes its connections.

use super::client_request::Request;
use super::client_state::ClientState;
use super::request_error::RequestError;
use super::retry::{Attempt, Pause, retry_after};
use btdt_ports::RetryPolicy;
use std::io::Read;
use std::sync::Arc;
use url::Url;

/// Sends requests over connections of its own, or over those of a WASI runtime.
pub trait Transport: Pause + Sized + 'static {
    /// A response whose body has not been read.
    type Response: Response;

    /// The token and the last failure.
    fn state(&self) -> &ClientState;

    /// Sends a request to `url`, once, with the user's token and without following redirects.
    ///
    /// # Errors
    /// When there is no response.
    fn send_once(
        self: &Arc<Self>,
        request: &Request,
        url: &Url,
    ) -> Result<Self::Response, RequestError>;

    /// Sends what `body` yields as the body of a request, once. The response may come before the
    /// end of the body.
    ///
    /// # Errors
    /// When there is no response. If `body` fails, the connection is closed, so that the server
    /// never takes a partial body for a complete one.
    fn send_stream(
        self: &Arc<Self>,
        request: &Request,
        body: impl Read + Send + 'static,
    ) -> Result<Self::Response, RequestError>;
}

/// A response whose body has not been read. Dropping it closes its connection.
pub trait Response: Sized {
    /// The status code.
    fn status(&self) -> u16;

    /// The URL that was asked last.
    fn url(&self) -> &Url;

    /// All headers: names in lower case, and values.
    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])>;

    /// The value of the first header of that lower-case name.
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Appends the whole body to `buffer`, which gets no longer than `limit`.
    ///
    /// # Errors
    /// When the body is longer, or does not arrive completely.
    fn read(self, buffer: &mut Vec<u8>, limit: u64) -> Result<(), RequestError>;

    /// The message of a refusal: as much as arrives in time, up to `limit` bytes. A message that
    /// is cut off is better than none.
    fn message(self, limit: u64) -> Vec<u8>;

    /// The body as a stream. A body that is cut off or stops arriving ends in an error.
    ///
    /// # Errors
    /// When no threads for connections can be started.
    fn into_reader(self) -> Result<Box<dyn Read + Send>, RequestError>;
}

/// Whether a status is one of success.
pub(super) const fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

/// Whether `policy` asks for another attempt after a response; `value` is handed through.
pub(super) fn judge<T: Transport, V>(
    transport: &T,
    policy: &RetryPolicy,
    response: &T::Response,
    value: V,
) -> Attempt<V> {
    if !policy.statuses.contains(&response.status()) {
        return Attempt::Answer(value);
    }
    let asked = response.header("retry-after").and_then(|value| std::str::from_utf8(value).ok());
    Attempt::Busy(value, asked.and_then(|asked| retry_after(asked, transport.state().now())))
}
