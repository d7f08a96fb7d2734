//! Requests to a server. The core knows URLs, headers, what is worth a retry and what each status
//! means; the host has connections, TLS, proxies, timeouts, and the user's token.

pub use crate::wit::types::{
    ChunkEndpoint, HttpError, HttpErrorKind, HttpRequest, Method, Refusal, RetryPolicy, Scope,
    TransferFailure, TransferFault,
};

use crate::archive::{ArchiveReader, Archives};
use crate::{ArchiveFault, IoError};
use std::fmt;

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for HttpError {}

/// The answer to a request.
#[derive(Debug)]
pub struct HttpResponse<B> {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: B,
}

impl<B> HttpResponse<B> {
    /// The value of the first header of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The body of a response.
pub trait IncomingBody {
    /// An archive that is being received.
    type Reader: ArchiveReader;
    /// Where its chunks go.
    type Sink;

    /// The whole body, decompressed according to its headers.
    ///
    /// # Errors
    /// [`HttpErrorKind::TooLarge`] beyond `limit` bytes.
    fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError>;

    /// Reads it as a tar stream whose contents go to `sink`.
    fn unarchive(self, sink: &Self::Sink) -> Result<Self::Reader, ArchiveFault>;
}

/// A connection to a server, with the user's token.
pub trait Remote: Archives {
    /// Where a packer puts chunks.
    type Sink;
    /// The body of a response.
    type Body: IncomingBody<Sink = Self::Sink>;

    /// Restricts the token of all further requests.
    fn restrict(&self, scope: &Scope);

    /// Sends a request.
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse<Self::Body>, HttpError>;

    /// Sends a request with an archive as its body. Never retried.
    fn upload(
        &self,
        request: &HttpRequest,
        plan: Self::Plan,
    ) -> Result<HttpResponse<Self::Body>, HttpError>;

    /// A sink that sends chunks to the server.
    fn sink(&self, endpoint: &ChunkEndpoint) -> Self::Sink;

    /// A source that gets chunks from the server.
    fn source(&self, endpoint: &ChunkEndpoint) -> Self::Source;

    /// Temporary storage for the chunks of one archive on this machine, removed when both ends are
    /// dropped.
    fn spool(&self) -> Result<(Self::Sink, Self::Source), IoError>;

    /// Why a chunk was not sent or received, most recently.
    fn failure(&self) -> Option<TransferFailure>;
}
