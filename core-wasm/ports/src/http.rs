//! Requests to a server: the core knows addresses, headers, what is worth a retry and what each
//! status means; the host has connections, TLS, proxies, timeouts, and the user's token.

use crate::archive::{ArchiveReader, Archives};
use crate::{ArchiveFault, IoError, Operation};

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `PUT`
    Put,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
}

/// When a request that failed is sent again. Only for what has the same effect twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often it is sent at most, the first time included; at least 1.
    pub attempts: u32,
    /// How long to wait before the second attempt, in milliseconds. Doubles each time, is varied
    /// at random, and gives way to `Retry-After` of up to a minute.
    pub delay: u32,
    /// Statuses that are worth another attempt, as failed connections are.
    pub statuses: Vec<u16>,
}

/// A request. The host adds the token and what belongs to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Its method.
    pub method: Method,
    /// The absolute URL.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent; nothing where it is empty.
    pub body: Vec<u8>,
    /// When to try again.
    pub retries: RetryPolicy,
}

/// The answer to a request.
#[derive(Debug)]
pub struct HttpResponse<B> {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What follows the headers.
    pub body: B,
}

impl<B> HttpResponse<B> {
    /// The value of the first header of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// In which way a request failed before there was an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorKind {
    /// The URL is not one that can be asked.
    Url,
    /// The name of the host is unknown.
    Unresolved,
    /// Nobody accepts connections there.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// There is no trust in the certificate, or TLS failed otherwise.
    Tls,
    /// The proxy refused.
    Proxy,
    /// The connection broke, or the answer was cut off.
    Interrupted,
    /// The answer is no HTTP.
    Protocol,
    /// The answer is larger than the caller takes.
    TooLarge,
    /// The server redirects to another origin, or in circles.
    Redirect,
    /// The user's token cannot be read or is not one.
    Token,
}

/// A request that failed before there was an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct HttpError {
    /// What the core may decide upon.
    pub kind: HttpErrorKind,
    /// What the user is told.
    pub detail: String,
}

/// A transfer of a chunk that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferFailure {
    /// The URL.
    pub url: String,
    /// Why.
    pub reason: TransferFault,
}

/// What a server answered to a transfer that it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// At most 4 KiB of the body.
    pub body: Vec<u8>,
}

/// Why a transfer failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferFault {
    /// There was no answer.
    NoAnswer(HttpError),
    /// The answer was that it is refused.
    Refused(Refusal),
}

/// Where the chunks of a cache are on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkEndpoint {
    /// URL to which digests are posted, to learn which of them are missing: hexadecimal, one on a
    /// line, in both directions.
    pub missing: String,
    /// What the URL of a chunk begins with; the digest in hexadecimal and `query` follow.
    pub chunk: String,
    /// What the URL of a chunk ends with: empty, or a query with its question mark.
    pub query: String,
    /// The same for a chunk that arrived damaged, and that the server shall verify.
    pub verify_query: String,
    /// When to try again.
    pub retries: RetryPolicy,
}

/// What the user's token is narrowed down to before it leaves the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The only operation that is needed.
    pub operation: Operation,
    /// The only cache.
    pub cache: String,
    /// For how many seconds. A new token is derived when that time is about to end.
    pub seconds: u32,
}

/// The rest of an answer.
pub trait IncomingBody {
    /// An archive that is being received.
    type Reader: ArchiveReader;
    /// Where its chunks go.
    type Sink;

    /// All of it, decompressed if it says that it is compressed.
    ///
    /// # Errors
    /// [`HttpErrorKind::TooLarge`] beyond `limit` bytes; else when it does not arrive complete.
    fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError>;

    /// Reads it as a tar stream of which the contents go to `sink`.
    ///
    /// # Errors
    /// When it is compressed in an unknown way.
    fn unarchive(self, sink: &Self::Sink) -> Result<Self::Reader, ArchiveFault>;
}

/// A server as the host reaches it, with the user's token.
pub trait Remote: Archives {
    /// Where a packer puts chunks.
    type Sink;
    /// The rest of an answer.
    type Body: IncomingBody<Sink = Self::Sink>;

    /// Narrows the token that all further requests carry.
    fn restrict(&self, scope: &Scope);

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer.
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse<Self::Body>, HttpError>;

    /// Sends a request with an archive as its body. Never sent twice.
    ///
    /// # Errors
    /// When there is no answer.
    fn upload(
        &self,
        request: &HttpRequest,
        plan: Self::Plan,
    ) -> Result<HttpResponse<Self::Body>, HttpError>;

    /// A sink that sends chunks to the server.
    fn sink(&self, endpoint: &ChunkEndpoint) -> Self::Sink;

    /// A source that gets chunks from the server.
    fn source(&self, endpoint: &ChunkEndpoint) -> Self::Source;

    /// A place on this machine for the chunks of one archive, gone when both ends are dropped.
    ///
    /// # Errors
    /// When there is no room for it.
    fn spool(&self) -> Result<(Self::Sink, Self::Source), IoError>;

    /// Why a chunk was last not sent or not received.
    fn failure(&self) -> Option<TransferFailure>;
}
