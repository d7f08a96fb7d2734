//! The imports of the core that have to do with servers and clients, passed on.

use super::bindings::wit::{archive, auth, caches, http, types};
use super::imports::Outcome;
use super::memory::MemoryFault;
use super::resources::HostState;
use crate::archive::{TarArchive, TarPlan};
use crate::chunk_io::{Sink, Source};
use crate::clock;
use crate::http::{HttpBody, HttpRemote};
use btdt_ports::{
    Access, ArchivePlan, ArchiveReader, HttpError, HttpResponse, IncomingBody, Remote,
};
use wasmtime::component::Resource;

impl auth::Host for HostState {
    fn authorize(
        &mut self,
        token: String,
        accesses: Vec<auth::Access>,
    ) -> Outcome<Vec<auth::Verdict>, auth::TokenFault> {
        let Some(authority) = &self.surroundings.authority else {
            wasmtime::bail!("this host has no authority");
        };
        let accesses: Vec<Access> = accesses.into_iter().map(Into::into).collect();
        let began = clock::instant();
        let verdicts = authority.authorize(&token, &accesses);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ticks_left = self.ticks_left.saturating_sub(took);
        if self.ticks_left == 0 {
            wasmtime::bail!("the token took longer to judge than allowed");
        }
        Ok(match verdicts {
            Ok(verdicts) => Ok(verdicts.into_iter().map(Into::into).collect()),
            Err(fault) => Err(fault.into()),
        })
    }
}

impl caches::Host for HostState {
    fn find(&mut self, name: String) -> wasmtime::Result<Option<caches::LocalCache>> {
        let found = self.surroundings.caches.as_ref().and_then(|caches| caches.find(&name));
        found.map(|cache| self.add_local(cache)).transpose()
    }
}

impl archive::Host for HostState {}

impl archive::HostArchiveReader for HostState {
    fn next(
        &mut self,
        reader: Resource<TarArchive>,
    ) -> Outcome<Option<archive::ArchiveEntry>, archive::ArchiveFault> {
        let entry = self.table.get_mut(&reader)?.next();
        Ok(entry.map(|entry| entry.map(Into::into)).map_err(Into::into))
    }

    fn append(&mut self, reader: Resource<TarArchive>) -> Outcome<(), archive::ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.append().map_err(Into::into))
    }

    fn seal(&mut self, reader: Resource<TarArchive>) -> Outcome<(), archive::ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.seal().map_err(Into::into))
    }

    fn cut(
        &mut self,
        reader: Resource<TarArchive>,
        length: u64,
        sizes: archive::CutSizes,
    ) -> Outcome<(), archive::ArchiveFault> {
        Ok(self.table.get_mut(&reader)?.cut(length, sizes.into()).map_err(Into::into))
    }

    fn finish(
        &mut self,
        reader: Resource<TarArchive>,
    ) -> Outcome<Vec<Vec<archive::PackedChunk>>, archive::ArchiveFault> {
        Ok(match self.table.delete(reader)?.finish() {
            Ok(groups) => {
                let group = |chunks: Vec<_>| chunks.into_iter().map(Into::into).collect();
                Ok(groups.into_iter().map(group).collect())
            }
            Err(fault) => Err(fault.into()),
        })
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

    fn submit(
        &mut self,
        plan: Resource<TarPlan>,
        batch: archive::ArchiveBatch,
    ) -> wasmtime::Result<()> {
        let plan = self.table.get_mut(&plan)?;
        plan.submit(batch.into());
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
    fn bytes(
        &mut self,
        body: Resource<HttpBody>,
        limit: u64,
    ) -> Outcome<Vec<u8>, types::HttpError> {
        Ok(self.table.delete(body)?.bytes(limit).map_err(Into::into))
    }

    fn unarchive(
        &mut self,
        body: Resource<HttpBody>,
        sink: Resource<Sink>,
    ) -> Outcome<Resource<TarArchive>, archive::ArchiveFault> {
        let body = self.table.delete(body)?;
        match body.unarchive(self.table.get(&sink)?) {
            Ok(reader) => Ok(Ok(self.table.push(reader)?)),
            Err(fault) => Ok(Err(fault.into())),
        }
    }

    fn drop(&mut self, body: Resource<HttpBody>) -> wasmtime::Result<()> {
        self.table.delete(body)?;
        Ok(())
    }
}

impl http::HostRemote for HostState {
    fn restrict(
        &mut self,
        remote: Resource<HttpRemote>,
        scope: http::Scope,
    ) -> wasmtime::Result<()> {
        self.table.get(&remote)?.restrict(&scope.into());
        Ok(())
    }

    fn send(
        &mut self,
        remote: Resource<HttpRemote>,
        request: http::HttpRequest,
    ) -> Outcome<http::HttpResponse, types::HttpError> {
        let answer = self.table.get(&remote)?.send(&request.into());
        self.answered(answer)
    }

    fn upload(
        &mut self,
        remote: Resource<HttpRemote>,
        request: http::HttpRequest,
        plan: Resource<TarPlan>,
    ) -> Outcome<http::HttpResponse, types::HttpError> {
        let plan = self.table.delete(plan)?;
        let answer = self.table.get(&remote)?.upload(&request.into(), plan);
        self.answered(answer)
    }

    fn sink(
        &mut self,
        remote: Resource<HttpRemote>,
        endpoint: http::ChunkEndpoint,
    ) -> wasmtime::Result<Resource<Sink>> {
        let sink = self.table.get(&remote)?.sink(&endpoint.into());
        Ok(self.table.push(sink)?)
    }

    fn source(
        &mut self,
        remote: Resource<HttpRemote>,
        endpoint: http::ChunkEndpoint,
    ) -> wasmtime::Result<Resource<Source>> {
        let source = self.table.get(&remote)?.source(&endpoint.into());
        Ok(self.table.push(source)?)
    }

    fn spool(&mut self, remote: Resource<HttpRemote>) -> Outcome<http::SpoolEnds, types::IoError> {
        match self.table.get(&remote)?.spool() {
            Ok((sink, source)) => Ok(Ok(http::SpoolEnds {
                sink: self.table.push(sink)?,
                source: self.table.push(source)?,
            })),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn failure(
        &mut self,
        remote: Resource<HttpRemote>,
    ) -> wasmtime::Result<Option<http::TransferFailure>> {
        Ok(self.table.get(&remote)?.failure().map(Into::into))
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
    ) -> Outcome<http::HttpResponse, types::HttpError> {
        match answer {
            Ok(HttpResponse { status, headers, body }) => {
                let body = self.table.push(body)?;
                Ok(Ok(http::HttpResponse { status, headers, body }))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }
}
