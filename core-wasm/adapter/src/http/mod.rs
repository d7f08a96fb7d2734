//! The client of a server, over `wasi:http`: one request at a time.
//!
//! What belongs to connections is the runtime's: TLS and whom it trusts, proxies, reuse. What a
//! client of ours keeps to comes from [`btdt_host_runtime::http_rules`], as for the native one.
//!
//! Limits on what a server can do to us: everything that is read has a size limit of the caller's
//! (archives are passed on as they come), silence ends every wait, and a body that only trickles
//! ends as well. Redirections are followed a few times and only within the origin, and no pause
//! before another attempt is longer than a minute.

mod body;
mod chunks;
mod client;
mod exchange;
mod failures;
mod source;
mod spool;
mod wire;

pub(crate) use body::AnswerBody;
pub(crate) use chunks::RemoteSink;

use body::Replay;
use btdt_host_runtime::archive::TarPlan;
use btdt_host_runtime::auth::Token;
use btdt_host_runtime::chunk_io::{Sink, Source};
use btdt_host_runtime::clock;
use btdt_host_runtime::http_rules::answers::is_bodiless;
use btdt_host_runtime::http_rules::{Failure, TokenSource, UserToken};
use btdt_ports::{
    ChunkEndpoint, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Scope, TransferFailure,
};
use client::Shared;
use exchange::Outgoing;
use source::RemoteSource;
use std::sync::Arc;
use wire::Answer;

/// How to talk to a server.
pub(crate) struct Connection {
    /// The user's token.
    pub(crate) token: Option<String>,
    /// Files of certificates to trust.
    pub(crate) root_certificates: Vec<Vec<u8>>,
}

/// The answer to a request.
pub(crate) type Response = HttpResponse<AnswerBody>;

/// A server as it is reached over `wasi:http`.
pub(crate) struct WasiRemote {
    shared: Arc<Shared>,
}

impl WasiRemote {
    /// A remote; connects to nothing yet.
    pub(crate) fn new(connection: Connection) -> Result<Self, HttpError> {
        let Connection { token, root_certificates } = connection;
        if !root_certificates.is_empty() {
            let detail = "this runtime speaks TLS itself, and trusts whom it is set up to trust: \
                          add the certificate to those of the runtime instead of naming it here";
            return Err(Failure::lasting(HttpErrorKind::Tls, detail).error);
        }
        let token = token
            .map(|text| Token::parse(&text))
            .transpose()
            .map_err(|fault| Failure::lasting(HttpErrorKind::Token, fault.to_string()).error)?;
        let source = token.map(|token| Arc::new(UserToken(token)) as Arc<dyn TokenSource>);
        Ok(WasiRemote { shared: Arc::new(Shared::new(source)) })
    }

    /// Narrows the token that all further requests carry.
    pub(crate) fn restrict(&self, scope: &Scope) {
        self.shared.bearer.restrict(scope);
    }

    /// Sends a request.
    pub(crate) fn send(&self, request: HttpRequest) -> Result<Response, HttpError> {
        let policy = request.retries.clone();
        let outgoing = Outgoing::from_request(request).map_err(|failure| failure.error)?;
        let method = outgoing.method;
        let mut replay = Replay { outgoing, policy, used: 0, since: clock::instant() };
        let answer = replay.send(&self.shared)?;
        Ok(self.answered(method, answer, Some(replay)))
    }

    /// Sends a request with an archive as its body, once.
    pub(crate) fn upload(
        &self,
        request: HttpRequest,
        plan: TarPlan,
    ) -> Result<Response, HttpError> {
        let uploaded = Outgoing::from_request(request).and_then(|outgoing| {
            let method = outgoing.method;
            Ok((exchange::upload(&self.shared, outgoing, plan)?, method))
        });
        let (answer, method) = uploaded.map_err(|failure| failure.error)?;
        Ok(self.answered(method, answer, None))
    }

    /// A sink that sends chunks to the server.
    pub(crate) fn sink(&self, endpoint: ChunkEndpoint) -> RemoteSink {
        RemoteSink::new(Arc::clone(&self.shared), endpoint)
    }

    /// A source that gets chunks from the server.
    pub(crate) fn source(&self, endpoint: ChunkEndpoint) -> Source {
        Arc::new(RemoteSource::new(Arc::clone(&self.shared), endpoint))
    }

    /// A place for the chunks of one archive.
    pub(crate) fn spool(&self) -> (Sink, Source) {
        spool::open()
    }

    /// Why a chunk was last not sent or not received.
    pub(crate) fn failure(&self) -> Option<TransferFailure> {
        self.shared.failure()
    }

    fn answered(&self, method: &str, answer: Answer, replay: Option<Replay>) -> Response {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = answer.headers.iter().map(|(name, value)| (name.clone(), text(value)));
        let status = answer.status;
        HttpResponse {
            status,
            headers: headers.collect(),
            body: AnswerBody::new(
                Arc::clone(&self.shared),
                answer,
                is_bodiless(method, status),
                replay,
            ),
        }
    }
}
