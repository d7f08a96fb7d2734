//! What a server asks of the core, with what its answers stand for.

use super::bindings::server as wit;
use super::host_services::{Opened, SharedObjects};
use super::instance_state::HostState;
use super::memory_budget::Share;
use super::session::{CoreError, Session, trap};
use crate::archive::{TarArchive, TarPlan};
use btdt_ports::{Digest, IoError, ObjectFault, PutOutcome};
use wasmtime::Store;

pub use wit::{Encoding, Lookup, Page, Request, Settings};

/// The body of a response.
pub enum Body {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of the stored form of an object.
    Stored {
        /// The object.
        object: Opened,
        /// Where the part begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// An archive.
    Archive {
        /// What is in it.
        plan: TarPlan,
        /// How it is to be compressed.
        encoding: Encoding,
        /// The memory of the plan, to be kept as long as the plan.
        memory: Share,
    },
    /// A page of the server itself.
    Page(Page),
}

/// A response.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values, without those that belong to the connection.
    pub headers: Vec<(String, String)>,
    /// The body; left out for `HEAD`.
    pub body: Body,
    /// What kind of request it was: one of a few names.
    pub route: String,
    /// The cache that was asked, once the token was found to allow it.
    pub cache: Option<String>,
    /// For requests that look for an entry.
    pub lookup: Option<Lookup>,
}

/// What the host does next.
pub enum Answer {
    /// Sends this.
    Respond(Response),
    /// Receives a small body, and comes back with [`Session::with_bytes`].
    ReceiveBytes {
        /// Most bytes, decompressed.
        limit: u64,
        /// How it arrives.
        encoding: Encoding,
    },
    /// Receives the stored form of a chunk, and comes back with [`Session::with_chunk`].
    ReceiveChunk {
        /// Where it is kept.
        objects: SharedObjects,
        /// SHA-256 of the raw content.
        digest: Digest,
        /// Largest raw content in bytes.
        limit: u64,
    },
    /// Receives a tar stream, and comes back with [`Session::with_archive`].
    ReceiveArchive {
        /// Where its chunks are kept.
        objects: SharedObjects,
        /// How it arrives.
        encoding: Encoding,
    },
}

/// Why a chunk was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFault {
    /// It is not what its name says.
    Damaged(ObjectFault),
    /// It is larger than allowed.
    TooLarge,
    /// It could not be written.
    Storage(IoError),
    /// The sender stopped, was too slow, or the connection broke.
    Interrupted,
}

impl Session {
    /// Decides a request.
    ///
    /// # Errors
    /// [`CoreError::Trap`], [`CoreError::Memory`].
    pub fn handle(mut self, request: &Request, settings: Settings) -> Result<Answer, CoreError> {
        let server = self.core.btdt_cache_server();
        let answer = server.call_handle(&mut self.store, request, settings);
        let answer = answer.and_then(|answer| answered(&mut self.store, answer));
        answer.map_err(|error| self.stopped(error))
    }

    /// The response to a request, once a small body is there.
    ///
    /// # Errors
    /// [`CoreError::Trap`], [`CoreError::Memory`].
    pub fn with_bytes(
        mut self,
        request: &Request,
        settings: Settings,
        body: &[u8],
    ) -> Result<Response, CoreError> {
        let server = self.core.btdt_cache_server();
        let response = server.call_with_bytes(&mut self.store, request, settings, body);
        self.response(response)
    }

    /// The response to a request, once a chunk is kept or not.
    ///
    /// # Errors
    /// [`CoreError::Trap`], [`CoreError::Memory`].
    pub fn with_chunk(
        mut self,
        request: &Request,
        settings: Settings,
        outcome: Result<PutOutcome, UploadFault>,
    ) -> Result<Response, CoreError> {
        let outcome = outcome.map_err(Into::into);
        let server = self.core.btdt_cache_server();
        let response = server.call_with_chunk(&mut self.store, request, settings, outcome);
        self.response(response)
    }

    /// Receives an archive, and the response to the request.
    ///
    /// # Errors
    /// [`CoreError::Trap`], [`CoreError::Memory`].
    pub fn with_archive(
        mut self,
        request: &Request,
        settings: Settings,
        archive: TarArchive,
    ) -> Result<Response, CoreError> {
        let archive =
            self.store.data_mut().table.push(archive).map_err(|error| trap(error.into()))?;
        let server = self.core.btdt_cache_server();
        let response = server.call_with_archive(&mut self.store, request, settings, archive);
        self.response(response)
    }

    fn response(
        mut self,
        response: wasmtime::Result<wit::Response>,
    ) -> Result<Response, CoreError> {
        let response = response.and_then(|response| responded(&mut self.store, response));
        response.map_err(|error| self.stopped(error))
    }

    /// Why it trapped: a lack of memory shows in many ways.
    fn stopped(&self, error: wasmtime::Error) -> CoreError {
        match self.store.data().limiter.refused {
            Some(fault) => CoreError::Memory(fault),
            None => trap(error),
        }
    }
}

impl From<UploadFault> for wit::UploadFault {
    fn from(fault: UploadFault) -> Self {
        match fault {
            UploadFault::Damaged(fault) => Self::Damaged(fault),
            UploadFault::TooLarge => Self::TooLarge,
            UploadFault::Storage(error) => Self::Storage(error),
            UploadFault::Interrupted => Self::Interrupted,
        }
    }
}

fn answered(store: &mut Store<HostState>, answer: wit::Answer) -> wasmtime::Result<Answer> {
    let table = &mut store.data_mut().table;
    Ok(match answer {
        wit::Answer::Respond(response) => Answer::Respond(responded(store, response)?),
        wit::Answer::ReceiveBytes(wit::BytesUpload { limit, encoding }) => {
            Answer::ReceiveBytes { limit, encoding }
        }
        wit::Answer::ReceiveChunk(wit::ChunkUpload { objects, digest, limit }) => {
            let objects = table.delete(objects)?;
            Answer::ReceiveChunk { objects, digest, limit }
        }
        wit::Answer::ReceiveArchive(wit::ArchiveUpload { objects, encoding }) => {
            Answer::ReceiveArchive { objects: table.delete(objects)?, encoding }
        }
    })
}

fn responded(store: &mut Store<HostState>, response: wit::Response) -> wasmtime::Result<Response> {
    let table = &mut store.data_mut().table;
    let body = match response.body {
        wit::Body::Empty => Body::Empty,
        wit::Body::Bytes(bytes) => Body::Bytes(bytes),
        wit::Body::Stored(wit::StoredPart { object, offset, length }) => {
            Body::Stored { object: table.delete(object)?, offset, length }
        }
        wit::Body::Archive(wit::ArchiveBody { plan, encoding }) => {
            let plan = table.delete(plan)?;
            let memory = std::mem::take(&mut store.data_mut().planned);
            Body::Archive { plan, encoding, memory }
        }
        wit::Body::Page(page) => Body::Page(page),
    };
    let wit::Response { status, headers, route, cache, lookup, .. } = response;
    Ok(Response { status, headers, body, route, cache, lookup })
}
