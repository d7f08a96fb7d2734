//! Servers, as the client asks them.

use super::Adapter;
use super::archive::{IncomingArchive, OutgoingArchive};
use super::objects::{HeldSink, HeldSource};
use super::own::places;
use super::wit::{archive, http, objects};
use crate::http::{AnswerBody, Connection, Response, WasiRemote};
use btdt_ports::{
    ArchiveFault, ChunkEndpoint, HttpError, HttpRequest, IoError, Scope, TransferFailure,
};

impl http::Guest for Adapter {
    type IncomingBody = RestOfAnswer;
    type Remote = Server;
}

/// A server, with the user's token.
pub(super) fn connect(how: places::Connection) -> Result<http::Remote, HttpError> {
    let places::Connection { token, root_certificates } = how;
    let connection = Connection { token, root_certificates };
    Ok(http::Remote::new(Server(WasiRemote::new(connection)?)))
}

/// The rest of an answer.
pub(super) struct RestOfAnswer(AnswerBody);

impl http::GuestIncomingBody for RestOfAnswer {
    fn bytes(this: http::IncomingBody, limit: u64) -> Result<Vec<u8>, HttpError> {
        this.into_inner::<RestOfAnswer>().0.bytes(limit)
    }

    fn unarchive(
        this: http::IncomingBody,
        sink: http::SinkBorrow<'_>,
    ) -> Result<archive::ArchiveReader, ArchiveFault> {
        let sink = sink.get::<HeldSink>().sink.clone();
        let archive = this.into_inner::<RestOfAnswer>().0.unarchive(sink)?;
        Ok(archive::ArchiveReader::new(IncomingArchive::new(archive)))
    }
}

/// A server.
pub(super) struct Server(WasiRemote);

impl http::GuestRemote for Server {
    fn restrict(&self, scope: Scope) {
        self.0.restrict(&scope);
    }

    fn send(&self, request: HttpRequest) -> Result<http::HttpResponse, HttpError> {
        answered(self.0.send(request))
    }

    fn upload(
        &self,
        request: HttpRequest,
        plan: archive::ArchivePlan,
    ) -> Result<http::HttpResponse, HttpError> {
        let plan = plan.into_inner::<OutgoingArchive>().into_plan();
        answered(self.0.upload(request, plan))
    }

    fn sink(&self, endpoint: ChunkEndpoint) -> objects::Sink {
        objects::Sink::new(HeldSink::remote(self.0.sink(endpoint)))
    }

    fn source(&self, endpoint: ChunkEndpoint) -> objects::Source {
        objects::Source::new(HeldSource(self.0.source(endpoint)))
    }

    fn spool(&self) -> Result<http::SpoolEnds, IoError> {
        let (sink, source) = self.0.spool();
        Ok(http::SpoolEnds {
            sink: objects::Sink::new(HeldSink::local(sink)),
            source: objects::Source::new(HeldSource(source)),
        })
    }

    fn failure(&self) -> Option<TransferFailure> {
        self.0.failure()
    }
}

fn answered(answer: Result<Response, HttpError>) -> Result<http::HttpResponse, HttpError> {
    let Response { status, headers, body } = answer?;
    let body = http::IncomingBody::new(RestOfAnswer(body));
    Ok(http::HttpResponse { status, headers, body })
}
