//! Servers, as the client asks them.

use super::Adapter;
use super::archive::{IncomingArchive, OutgoingArchive};
use super::objects::{HeldSink, HeldSource};
use super::own::places;
use super::wit::{archive, http, objects};
use crate::http::{GatheringSink, HttpBody, WasiTransport, open_spool};
use btdt_host_runtime::http_client::{self, ChunkRequests, Transport as _};
use btdt_ports::{
    ArchiveFault, ChunkEndpoint, HttpError, HttpRequest, HttpResponse, IncomingBody as _, IoError,
    Scope, TransferFailure,
};
use std::sync::Arc;

impl http::Guest for Adapter {
    type IncomingBody = RestOfAnswer;
    type Remote = Server;
}

/// A server, with the user's token.
pub(super) fn connect(how: places::Connection) -> Result<http::Remote, HttpError> {
    let places::Connection { token, root_certificates } = how;
    Ok(http::Remote::new(Server(crate::http::connect(token, &root_certificates)?)))
}

/// The rest of an answer.
pub(super) struct RestOfAnswer(HttpBody);

impl http::GuestIncomingBody for RestOfAnswer {
    fn bytes(this: http::IncomingBody, limit: u64) -> Result<Vec<u8>, HttpError> {
        this.into_inner::<RestOfAnswer>().0.bytes(limit)
    }

    fn unarchive(
        this: http::IncomingBody,
        sink: http::SinkBorrow<'_>,
    ) -> Result<archive::ArchiveReader, ArchiveFault> {
        let sink = sink.get::<HeldSink>().sink.clone();
        let archive = this.into_inner::<RestOfAnswer>().0.unarchive(&sink)?;
        Ok(archive::ArchiveReader::new(IncomingArchive::new(archive)))
    }
}

/// A server.
pub(super) struct Server(Arc<WasiTransport>);

impl http::GuestRemote for Server {
    fn restrict(&self, scope: Scope) {
        self.0.state().restrict(&scope);
    }

    fn send(&self, request: HttpRequest) -> Result<http::HttpResponse, HttpError> {
        answered(http_client::send(&self.0, &request))
    }

    fn upload(
        &self,
        request: HttpRequest,
        plan: archive::ArchivePlan,
    ) -> Result<http::HttpResponse, HttpError> {
        let plan = plan.into_inner::<OutgoingArchive>().into_plan();
        answered(http_client::upload_archive(&self.0, &request, plan))
    }

    fn sink(&self, endpoint: ChunkEndpoint) -> objects::Sink {
        let sink = GatheringSink::new(Arc::clone(&self.0), endpoint);
        objects::Sink::new(HeldSink::remote(sink))
    }

    fn source(&self, endpoint: ChunkEndpoint) -> objects::Source {
        let source = ChunkRequests::new(Arc::clone(&self.0), endpoint);
        objects::Source::new(HeldSource(Arc::new(source)))
    }

    fn spool(&self) -> Result<http::SpoolEnds, IoError> {
        let (sink, source) = open_spool();
        Ok(http::SpoolEnds {
            sink: objects::Sink::new(HeldSink::local(sink)),
            source: objects::Source::new(HeldSource(source)),
        })
    }

    fn failure(&self) -> Option<TransferFailure> {
        self.0.state().failure()
    }
}

fn answered(
    answer: Result<HttpResponse<HttpBody>, HttpError>,
) -> Result<http::HttpResponse, HttpError> {
    let HttpResponse { status, headers, body } = answer?;
    let body = http::IncomingBody::new(RestOfAnswer(body));
    Ok(http::HttpResponse { status, headers, body })
}
