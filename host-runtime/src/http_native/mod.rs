//! The native client of a server: [`http_client`](crate::http_client) over connections of hyper.
//!
//! Callers are ordinary threads, and block. The connections live on two threads of their own,
//! which only copy.
//!
//! A server cannot exhaust the client: every body has a size limit of the caller's (archives are
//! passed on as they arrive, through a short queue), and silence ends every wait, as does a body
//! that [trickles](crate::http_client::MINIMUM_RATE). The number of redirects is limited, and so
//! is the time in which a request is sent again.

mod chunk_upload;
mod connector;
mod file_spool;
mod hyper_errors;
mod hyper_response;
mod hyper_transport;
mod missing_batches;
mod network_threads;
mod options;
mod proxy_settings;
mod request_body;
mod response_stream;
mod server_stream;
#[cfg(test)]
mod tests;
mod tls_config;

pub use options::{Options, Proxies, Timeouts};

use crate::archive::TarPlan;
use crate::chunk_io::{Sink, Source};
use crate::http_client::{self, ChunkRequests, ResponseBody, Transport as _};
use btdt_ports::{
    Archives, ChunkEndpoint, HttpError, HttpRequest, HttpResponse, IoError, Remote, Scope,
    TransferFailure,
};
use chunk_upload::ChunkUpload;
use hyper_transport::HyperTransport;
use std::fmt;
use std::sync::Arc;

/// The body of a response.
pub type HttpBody = ResponseBody<HyperTransport>;

/// Servers that are reached over HTTP. Clones share connections, token and scope.
///
/// No method may be called on a thread of an asynchronous runtime.
#[derive(Clone)]
pub struct HttpRemote {
    shared: Arc<HyperTransport>,
}

impl fmt::Debug for HttpRemote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds the token.
        formatter.debug_struct("HttpRemote").finish_non_exhaustive()
    }
}

impl HttpRemote {
    /// A remote; connects to nothing yet.
    ///
    /// # Errors
    /// [`btdt_ports::HttpErrorKind::Tls`] when a bundle has no certificate, or one that cannot be
    /// used.
    pub fn new(options: Options) -> Result<Self, HttpError> {
        Ok(HttpRemote { shared: Arc::new(HyperTransport::new(options)?) })
    }

    /// [`Remote::upload`] of anything that can be read.
    #[cfg(test)]
    fn upload_from(
        &self,
        request: &HttpRequest,
        read: impl std::io::Read + Send + 'static,
    ) -> Result<HttpResponse<HttpBody>, HttpError> {
        http_client::upload(&self.shared, request, read)
    }
}

impl Archives for HttpRemote {
    type Source = Source;
    type Plan = TarPlan;

    fn plan(&self, source: &Source) -> TarPlan {
        TarPlan::new(Source::clone(source))
    }
}

impl Remote for HttpRemote {
    type Sink = Sink;
    type Body = HttpBody;

    fn restrict(&self, scope: &Scope) {
        self.shared.state().restrict(scope);
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse<HttpBody>, HttpError> {
        http_client::send(&self.shared, request)
    }

    fn upload(
        &self,
        request: &HttpRequest,
        plan: TarPlan,
    ) -> Result<HttpResponse<HttpBody>, HttpError> {
        http_client::upload_archive(&self.shared, request, plan)
    }

    fn sink(&self, endpoint: &ChunkEndpoint) -> Sink {
        Arc::new(ChunkUpload::new(Arc::clone(&self.shared), endpoint.clone()))
    }

    fn source(&self, endpoint: &ChunkEndpoint) -> Source {
        Arc::new(ChunkRequests::new(Arc::clone(&self.shared), endpoint.clone()))
    }

    fn spool(&self) -> Result<(Sink, Source), IoError> {
        file_spool::open()
    }

    fn failure(&self) -> Option<TransferFailure> {
        self.shared.state().failure()
    }
}
