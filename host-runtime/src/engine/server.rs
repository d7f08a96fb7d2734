//! What a server asks of the core, with the resources in its answers resolved.

use super::bindings::server as wit;
use super::host_services::{Opened, SharedObjects};
use super::instance_state::HostState;
use super::memory_budget::Share;
use super::session::{CoreError, Session, trap};
use crate::archive::{Compression, TarArchive, TarPlan};
use btdt_ports::{Digest, IoError, ObjectFault};
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
        /// How to compress it.
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
    /// The body; not sent for `HEAD`.
    pub body: Body,
    /// The kind of request: one of a few names.
    pub route: String,
    /// The name of the cache, once the token was found to allow the request.
    pub cache: Option<String>,
    /// For requests that look for an entry.
    pub lookup: Option<Lookup>,
}

/// What the host does next.
pub enum Answer {
    /// Sends this.
    Respond(Box<Response>),
    /// Receives a small body, and comes back with [`Session::with_bytes`].
    ReceiveBytes {
        /// Largest size in bytes, decompressed.
        limit: u64,
        /// How it arrives.
        encoding: Encoding,
    },
    /// Receives the stored form of a chunk, and sends one of its two responses; comes back with
    /// [`Session::refuse_chunk`] only if the chunk was not kept.
    ReceiveChunk(Box<ChunkUpload>),
    /// Receives a tar stream, and comes back with [`Session::with_archive`].
    ReceiveArchive {
        /// Where its chunks are kept.
        objects: SharedObjects,
        /// How it arrives.
        encoding: Encoding,
    },
}

/// The stored form of a chunk to be received.
pub struct ChunkUpload {
    /// Where it is kept.
    pub objects: SharedObjects,
    /// SHA-256 of the raw content.
    pub digest: Digest,
    /// Largest raw content in bytes.
    pub limit: u64,
    /// The response if the cache did not have the chunk.
    pub created: Response,
    /// The response if it did.
    pub existing: Response,
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

    /// The response to a request, once a small body has been received.
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

    /// The response to a chunk that was not kept.
    ///
    /// # Errors
    /// [`CoreError::Trap`], [`CoreError::Memory`].
    pub fn refuse_chunk(
        mut self,
        request: &Request,
        settings: Settings,
        fault: UploadFault,
    ) -> Result<Response, CoreError> {
        let server = self.core.btdt_cache_server();
        let response = server.call_refuse_chunk(&mut self.store, request, settings, fault.into());
        self.response(response)
    }

    /// Reads an archive to its end; the response to the request.
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

    /// Has the core check a chunk that turned out to be damaged, and delete it if it really is.
    ///
    /// # Errors
    /// [`CoreError::Trap`], [`CoreError::Memory`].
    pub fn report_damage(mut self, cache: &str, digest: Digest) -> Result<(), CoreError> {
        let server = self.core.btdt_cache_server();
        let done = server.call_report_damage(&mut self.store, cache, digest);
        done.map_err(|error| self.stopped(error))
    }

    fn response(
        mut self,
        response: wasmtime::Result<wit::Response>,
    ) -> Result<Response, CoreError> {
        let response = response.and_then(|response| responded(&mut self.store, response));
        response.map_err(|error| self.stopped(error))
    }

    /// Why it trapped: a lack of memory has many symptoms.
    fn stopped(&self, error: wasmtime::Error) -> CoreError {
        match self.store.data().limiter.refused {
            Some(fault) => CoreError::Memory(fault),
            None => trap(error),
        }
    }
}

impl From<Encoding> for Compression {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Compression::None,
            Encoding::Gzip => Compression::Gzip,
            Encoding::Zstd => Compression::Zstd,
        }
    }
}

impl From<UploadFault> for wit::UploadFault {
    fn from(fault: UploadFault) -> Self {
        match fault {
            UploadFault::Damaged(fault) => Self::Damaged(fault),
            UploadFault::TooLarge => Self::TooLarge,
            UploadFault::Storage(error) => Self::Storage(error),
        }
    }
}

fn answered(store: &mut Store<HostState>, answer: wit::Answer) -> wasmtime::Result<Answer> {
    let table = &mut store.data_mut().table;
    Ok(match answer {
        wit::Answer::Respond(response) => Answer::Respond(Box::new(responded(store, response)?)),
        wit::Answer::ReceiveBytes(wit::BytesUpload { limit, encoding }) => {
            Answer::ReceiveBytes { limit, encoding }
        }
        wit::Answer::ReceiveChunk(upload) => {
            let wit::ChunkUpload { objects, digest, limit, created, existing } = upload;
            Answer::ReceiveChunk(Box::new(ChunkUpload {
                objects: table.delete(objects)?,
                digest,
                limit,
                created: responded(store, created)?,
                existing: responded(store, existing)?,
            }))
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
