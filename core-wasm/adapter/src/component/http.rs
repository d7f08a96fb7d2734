//! Servers, as the client asks them.

use super::Adapter;
use super::archive::{IncomingArchive, OutgoingArchive};
use super::objects::{HeldSink, HeldSource};
use super::own::places;
use super::wit::{archive, http, objects, types};
use crate::http::{AnswerBody, Connection, Response, WasiRemote};
use btdt_ports::HttpError;

impl http::Guest for Adapter {
    type IncomingBody = RestOfAnswer;
    type Remote = Server;
}

/// A server, with the user's token.
pub(super) fn connect(how: places::Connection) -> Result<http::Remote, types::HttpError> {
    let places::Connection { token, root_certificates } = how;
    let connection = Connection { token, root_certificates };
    Ok(http::Remote::new(Server(WasiRemote::new(connection)?)))
}

/// The rest of an answer.
pub(super) struct RestOfAnswer(AnswerBody);

impl http::GuestIncomingBody for RestOfAnswer {
    fn bytes(this: http::IncomingBody, limit: u64) -> Result<Vec<u8>, types::HttpError> {
        Ok(this.into_inner::<RestOfAnswer>().0.bytes(limit)?)
    }

    fn unarchive(
        this: http::IncomingBody,
        sink: http::SinkBorrow<'_>,
    ) -> Result<archive::ArchiveReader, archive::ArchiveFault> {
        let sink = sink.get::<HeldSink>().sink.clone();
        let archive = this.into_inner::<RestOfAnswer>().0.unarchive(sink)?;
        Ok(archive::ArchiveReader::new(IncomingArchive::new(archive)))
    }
}

/// A server.
pub(super) struct Server(WasiRemote);

impl http::GuestRemote for Server {
    fn restrict(&self, scope: http::Scope) {
        self.0.restrict(&scope.into());
    }

    fn send(&self, request: http::HttpRequest) -> Result<http::HttpResponse, types::HttpError> {
        answered(self.0.send(request.into()))
    }

    fn upload(
        &self,
        request: http::HttpRequest,
        plan: archive::ArchivePlan,
    ) -> Result<http::HttpResponse, types::HttpError> {
        let plan = plan.into_inner::<OutgoingArchive>().into_plan();
        answered(self.0.upload(request.into(), plan))
    }

    fn sink(&self, endpoint: http::ChunkEndpoint) -> objects::Sink {
        objects::Sink::new(HeldSink::remote(self.0.sink(endpoint.into())))
    }

    fn source(&self, endpoint: http::ChunkEndpoint) -> objects::Source {
        objects::Source::new(HeldSource(self.0.source(endpoint.into())))
    }

    fn spool(&self) -> Result<http::SpoolEnds, types::IoError> {
        let (sink, source) = self.0.spool();
        Ok(http::SpoolEnds {
            sink: objects::Sink::new(HeldSink::local(sink)),
            source: objects::Source::new(HeldSource(source)),
        })
    }

    fn failure(&self) -> Option<http::TransferFailure> {
        self.0.failure().map(Into::into)
    }
}

fn answered(answer: Result<Response, HttpError>) -> Result<http::HttpResponse, types::HttpError> {
    let Response { status, headers, body } = answer?;
    let body = http::IncomingBody::new(RestOfAnswer(body));
    Ok(http::HttpResponse { status, headers, body })
}
