//! The client of a server.
//!
//! Callers are ordinary threads, and block. The connections live on two threads of their own,
//! which only copy. Nothing here knows the protocol of btdt beyond the transfer of chunks: URLs,
//! headers and what a status means come from the core.
//!
//! Limits on what a server can do to us: everything that is read has a size limit of the caller's
//! (archives are passed on as they come, through a short queue), silence ends every wait, and so
//! does a body that [trickles](crate::http_rules::pace). At most
//! [five](crate::http_rules::redirect::MAX_REDIRECTS) redirections are followed, and only within
//! the origin. No attempt is begun when those before it, and the pauses, have taken longer than
//! [two minutes](crate::http_rules::retry::BUDGET).

mod archives;
mod body;
mod chunks;
mod client;
mod dial;
mod exchange;
mod failures;
mod missing;
mod options;
mod proxies;
mod pump;
mod spool;
#[cfg(test)]
mod tests;
mod tls;
mod upload;

pub use body::HttpBody;
pub use options::{Options, Pause, Proxies, Timeouts, TokenSource};

use crate::archive::TarPlan;
use crate::chunk_io::{Sink, Source};
use body::Replay;
use btdt_ports::{
    Archives, ChunkEndpoint, HttpError, HttpRequest, HttpResponse, IoError, Remote, Scope,
    TransferFailure,
};
use chunks::RemoteChunks;
use client::Shared;
use exchange::Outgoing;
use reqwest::{Method, Response};
use std::fmt;
use std::io::Read;
use std::sync::Arc;

/// Servers as they are reached over HTTP. Clones share connections, token and scope.
///
/// No method may be called on a thread of an asynchronous runtime.
#[derive(Clone)]
pub struct HttpRemote {
    shared: Arc<Shared>,
}

impl fmt::Debug for HttpRemote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of what it holds is for logs.
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
        match Shared::new(options) {
            Ok(shared) => Ok(HttpRemote { shared: Arc::new(shared) }),
            Err(failure) => Err(failure.error),
        }
    }

    fn answer(
        response: Response,
        body: impl FnOnce(Response) -> HttpBody,
    ) -> HttpResponse<HttpBody> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        HttpResponse {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: body(response),
        }
    }

    /// [`Remote::upload`] of anything that can be read.
    fn upload_from(
        &self,
        request: &HttpRequest,
        read: impl Read + Send + 'static,
    ) -> Result<HttpResponse<HttpBody>, HttpError> {
        let uploaded = Outgoing::from_request(request).and_then(|outgoing| {
            let method = outgoing.method.clone();
            Ok((upload::upload(&self.shared, outgoing, read)?, method))
        });
        let (uploaded, method) = uploaded.map_err(|failure| failure.error)?;
        Ok(HttpRemote::answer(uploaded.answer, |response| {
            HttpBody::new(Arc::clone(&self.shared), response, &method, None, uploaded.stop)
        }))
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
        self.shared.scoped.restrict(scope);
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse<HttpBody>, HttpError> {
        let outgoing = Outgoing::from_request(request).map_err(|failure| failure.error)?;
        let method: Method = outgoing.method.clone();
        let (policy, since) = (request.retries.clone(), self.shared.now());
        let mut replay = Replay { outgoing, policy, used: 0, since };
        let response = replay.send(&self.shared)?;
        Ok(HttpRemote::answer(response, |response| {
            HttpBody::new(Arc::clone(&self.shared), response, &method, Some(replay), None)
        }))
    }

    fn upload(
        &self,
        request: &HttpRequest,
        plan: TarPlan,
    ) -> Result<HttpResponse<HttpBody>, HttpError> {
        self.upload_from(request, archives::stream(plan))
    }

    fn sink(&self, endpoint: &ChunkEndpoint) -> Sink {
        Arc::new(RemoteChunks::new(Arc::clone(&self.shared), endpoint.clone()))
    }

    fn source(&self, endpoint: &ChunkEndpoint) -> Source {
        Arc::new(RemoteChunks::new(Arc::clone(&self.shared), endpoint.clone()))
    }

    fn spool(&self) -> Result<(Sink, Source), IoError> {
        spool::open()
    }

    fn failure(&self) -> Option<TransferFailure> {
        self.shared.failure()
    }
}
