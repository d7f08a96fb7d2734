//! Servers and archives that the host offers, as the traits that the core is written against.

use super::bindings::btdt::cache::{archive, http, objects};
use btdt_ports::{
    ArchiveBatch, ArchiveEntry, ArchiveFault, ArchivePlan, ArchiveReader, Archives, ChunkEndpoint,
    CutSizes, HttpError, HttpRequest, HttpResponse, IncomingBody, IoError, PackedChunk, Remote,
    Scope, TransferFailure,
};

/// An incoming archive.
pub(super) struct HostReader(pub(super) archive::ArchiveReader);

impl ArchiveReader for HostReader {
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveFault> {
        self.0.next().map(|entry| entry.map(Into::into)).map_err(Into::into)
    }

    fn append(&mut self) -> Result<(), ArchiveFault> {
        self.0.append().map_err(Into::into)
    }

    fn seal(&mut self) -> Result<(), ArchiveFault> {
        self.0.seal().map_err(Into::into)
    }

    fn cut(&mut self, length: u64, sizes: CutSizes) -> Result<(), ArchiveFault> {
        self.0.cut(length, sizes.into()).map_err(Into::into)
    }

    fn finish(self) -> Result<Vec<Vec<PackedChunk>>, ArchiveFault> {
        let groups = archive::ArchiveReader::finish(self.0).map_err(ArchiveFault::from)?;
        let group = |chunks: Vec<_>| chunks.into_iter().map(Into::into).collect();
        Ok(groups.into_iter().map(group).collect())
    }
}

/// An outgoing archive.
pub(super) struct HostPlan(pub(super) archive::ArchivePlan);

impl ArchivePlan for HostPlan {
    fn submit(&mut self, batch: ArchiveBatch) {
        self.0.submit(&batch.into());
    }
}

/// Makes outgoing archives.
pub(super) struct HostArchives;

impl Archives for HostArchives {
    type Source = objects::Source;
    type Plan = HostPlan;

    fn plan(&self, source: &objects::Source) -> HostPlan {
        HostPlan(archive::ArchivePlan::new(source))
    }
}

/// The rest of an answer.
pub(super) struct HostBody(http::IncomingBody);

impl IncomingBody for HostBody {
    type Reader = HostReader;
    type Sink = objects::Sink;

    fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError> {
        http::IncomingBody::bytes(self.0, limit).map_err(Into::into)
    }

    fn unarchive(self, sink: &objects::Sink) -> Result<HostReader, ArchiveFault> {
        http::IncomingBody::unarchive(self.0, sink).map(HostReader).map_err(Into::into)
    }
}

/// A server.
pub(super) struct HostRemote<'server>(pub(super) &'server http::Remote);

impl Archives for HostRemote<'_> {
    type Source = objects::Source;
    type Plan = HostPlan;

    fn plan(&self, source: &objects::Source) -> HostPlan {
        HostArchives.plan(source)
    }
}

impl Remote for HostRemote<'_> {
    type Sink = objects::Sink;
    type Body = HostBody;

    fn restrict(&self, scope: &Scope) {
        self.0.restrict(&scope.clone().into());
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse<HostBody>, HttpError> {
        answered(self.0.send(&request.clone().into()))
    }

    fn upload(
        &self,
        request: &HttpRequest,
        plan: HostPlan,
    ) -> Result<HttpResponse<HostBody>, HttpError> {
        answered(self.0.upload(&request.clone().into(), plan.0))
    }

    fn sink(&self, endpoint: &ChunkEndpoint) -> objects::Sink {
        self.0.sink(&endpoint.clone().into())
    }

    fn source(&self, endpoint: &ChunkEndpoint) -> objects::Source {
        self.0.source(&endpoint.clone().into())
    }

    fn spool(&self) -> Result<(objects::Sink, objects::Source), IoError> {
        self.0.spool().map(|ends| (ends.sink, ends.source)).map_err(Into::into)
    }

    fn failure(&self) -> Option<TransferFailure> {
        self.0.failure().map(Into::into)
    }
}

fn answered(
    answer: Result<http::HttpResponse, http::HttpError>,
) -> Result<HttpResponse<HostBody>, HttpError> {
    match answer {
        Ok(http::HttpResponse { status, headers, body }) => {
            Ok(HttpResponse { status, headers, body: HostBody(body) })
        }
        Err(error) => Err(error.into()),
    }
}
