//! The imports of the core for archives and for requests to a server.

use super::bindings::wit::{archive, http};
use super::instance_state::{HostState, Outcome};
use super::memory_budget::MemoryFault;
use crate::archive::{TarArchive, TarPlan};
use crate::chunk_io::{Sink, Source};
use crate::http_native::{HttpBody, HttpRemote};
use btdt_ports::{
    ArchiveBatch, ArchiveEntry, ArchiveFault, ArchivePlan, ArchiveReader, ChunkEndpoint, CutSizes,
    HttpError, HttpRequest, HttpResponse, IncomingBody, IoError, PackedChunk, Remote, Scope,
    TransferFailure,
};
use wasmtime::component::Resource;

impl archive::Host for HostState {}

impl archive::HostArchiveReader for HostState {
    fn next(
        &mut self,
        reader: Resource<TarArchive>,
    ) -> Outcome<Option<ArchiveEntry>, ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.next())
    }

    fn append(&mut self, reader: Resource<TarArchive>) -> Outcome<(), ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.append())
    }

    fn seal(&mut self, reader: Resource<TarArchive>) -> Outcome<(), ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.seal())
    }

    fn cut(
        &mut self,
        reader: Resource<TarArchive>,
        length: u64,
        sizes: CutSizes,
    ) -> Outcome<(), ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.cut(length, sizes))
    }

    fn finish(
        &mut self,
        reader: Resource<TarArchive>,
    ) -> Outcome<Vec<Vec<PackedChunk>>, ArchiveFault> {
        Ok(self.table.delete(reader)?.finish())
    }

    fn drop(&mut self, reader: Resource<TarArchive>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl archive::HostArchivePlan for HostState {
    fn new(&mut self, source: Resource<Source>) -> wasmtime::Result<Resource<TarPlan>> {
        let plan = TarPlan::new(self.table.get(&source)?.clone());
        Ok(self.table.push(plan)?)
    }

    fn submit(&mut self, plan: Resource<TarPlan>, batch: ArchiveBatch) -> wasmtime::Result<()> {
        let plan = self.table.get_mut(&plan)?;
        plan.submit(batch);
        if !self.planned.grow_to(plan.approximate_memory()) {
            self.limiter.refused = Some(MemoryFault::Busy);
            wasmtime::bail!("there is no memory for the plan of an archive");
        }
        Ok(())
    }

    fn drop(&mut self, plan: Resource<TarPlan>) -> wasmtime::Result<()> {
        self.table.delete(plan)?;
        Ok(())
    }
}

impl http::Host for HostState {}

impl http::HostIncomingBody for HostState {
    fn bytes(&mut self, body: Resource<HttpBody>, limit: u64) -> Outcome<Vec<u8>, HttpError> {
        Ok(self.table.delete(body)?.bytes(limit))
    }

    fn unarchive(
        &mut self,
        body: Resource<HttpBody>,
        sink: Resource<Sink>,
    ) -> Outcome<Resource<TarArchive>, ArchiveFault> {
        let body = self.table.delete(body)?;
        match body.unarchive(self.table.get(&sink)?) {
            Ok(reader) => Ok(Ok(self.table.push(reader)?)),
            Err(fault) => Ok(Err(fault)),
        }
    }

    fn drop(&mut self, body: Resource<HttpBody>) -> wasmtime::Result<()> {
        self.table.delete(body)?;
        Ok(())
    }
}

impl http::HostRemote for HostState {
    fn restrict(&mut self, remote: Resource<HttpRemote>, scope: Scope) -> wasmtime::Result<()> {
        self.table.get(&remote)?.restrict(&scope);
        Ok(())
    }

    fn send(
        &mut self,
        remote: Resource<HttpRemote>,
        request: HttpRequest,
    ) -> Outcome<http::HttpResponse, HttpError> {
        let answer = self.table.get(&remote)?.send(&request);
        self.answered(answer)
    }

    fn upload(
        &mut self,
        remote: Resource<HttpRemote>,
        request: HttpRequest,
        plan: Resource<TarPlan>,
    ) -> Outcome<http::HttpResponse, HttpError> {
        let plan = self.table.delete(plan)?;
        let answer = self.table.get(&remote)?.upload(&request, plan);
        self.answered(answer)
    }

    fn sink(
        &mut self,
        remote: Resource<HttpRemote>,
        endpoint: ChunkEndpoint,
    ) -> wasmtime::Result<Resource<Sink>> {
        let sink = self.table.get(&remote)?.sink(&endpoint);
        Ok(self.table.push(sink)?)
    }

    fn source(
        &mut self,
        remote: Resource<HttpRemote>,
        endpoint: ChunkEndpoint,
    ) -> wasmtime::Result<Resource<Source>> {
        let source = self.table.get(&remote)?.source(&endpoint);
        Ok(self.table.push(source)?)
    }

    fn spool(&mut self, remote: Resource<HttpRemote>) -> Outcome<http::SpoolEnds, IoError> {
        match self.table.get(&remote)?.spool() {
            Ok((sink, source)) => Ok(Ok(http::SpoolEnds {
                sink: self.table.push(sink)?,
                source: self.table.push(source)?,
            })),
            Err(error) => Ok(Err(error)),
        }
    }

    fn failure(
        &mut self,
        remote: Resource<HttpRemote>,
    ) -> wasmtime::Result<Option<TransferFailure>> {
        Ok(self.table.get(&remote)?.failure())
    }

    fn drop(&mut self, remote: Resource<HttpRemote>) -> wasmtime::Result<()> {
        self.table.delete(remote)?;
        Ok(())
    }
}

impl HostState {
    fn answered(
        &mut self,
        answer: Result<HttpResponse<HttpBody>, HttpError>,
    ) -> Outcome<http::HttpResponse, HttpError> {
        match answer {
            Ok(HttpResponse { status, headers, body }) => {
                let body = self.table.push(body)?;
                Ok(Ok(http::HttpResponse { status, headers, body }))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}
