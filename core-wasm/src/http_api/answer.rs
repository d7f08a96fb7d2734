//! What the host does about a request.

use btdt_ports::{Caches, Digest, IoError, ObjectFault, OpenObjects};

/// How a body is compressed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

/// Pages of the server itself, which the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// For people who want to know the API.
    Docs,
    /// The same for programs.
    OpenApi,
    /// What has been counted.
    Metrics,
    /// Whether the server takes requests; decides the status as well.
    Readiness,
}

/// The body of a response.
pub enum Body<Opened, Plan> {
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
    /// An archive, streamed by its plan.
    Archive {
        /// The plan.
        plan: Plan,
        /// How the host has to compress it.
        encoding: Encoding,
    },
    /// A page of the host.
    Page(Page),
}

/// Whether a cache had what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It had an entry.
    Hit,
    /// It had none.
    Miss,
}

/// A response.
pub struct Response<Opened, Plan> {
    /// The status code.
    pub status: u16,
    /// Names and values, without those that belong to the connection.
    pub headers: Vec<(String, String)>,
    /// The body. For `HEAD` the host leaves it out.
    pub body: Body<Opened, Plan>,
    /// What kind of request it was, for metrics and logs: one of a few names.
    pub route: &'static str,
    /// The cache that was asked, once the token was found to allow it and the cache to be there: so
    /// there are only as many names as caches.
    pub cache: Option<String>,
    /// For requests that look for an entry.
    pub lookup: Option<Lookup>,
}

impl<Opened, Plan> Response<Opened, Plan> {
    /// A response without headers, of no particular route.
    pub(super) fn new(status: u16, body: Body<Opened, Plan>) -> Self {
        Response { status, headers: Vec::new(), body, route: "", cache: None, lookup: None }
    }

    /// Adds a header.
    pub(super) fn header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }
}

/// Why a chunk that a client sent was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFault {
    /// What arrived is not the stored form of that chunk.
    Damaged(ObjectFault),
    /// More arrived than the stored form of a chunk can have.
    TooLarge,
    /// The cache did not take it.
    Storage(IoError),
}

/// The response of a server with such caches and plans.
pub type ResponseOf<C, P> = Response<<<C as Caches>::Objects as OpenObjects>::Opened, P>;

/// What the host does next.
pub enum Answer<C: Caches, Plan> {
    /// It sends this.
    Respond(ResponseOf<C, Plan>),
    /// It receives a body of at most `limit` bytes, decompressed, and comes back with
    /// `with_bytes`.
    ReceiveBytes {
        /// In bytes.
        limit: u64,
        /// How it arrives.
        encoding: Encoding,
    },
    /// It receives the stored form of a chunk, keeps it if it is intact, and sends one of the two
    /// responses. Only if it did not keep the chunk, it comes back with `refuse_chunk`.
    ReceiveChunk {
        /// Where it is kept.
        objects: C::Objects,
        /// SHA-256 of the raw content.
        digest: Digest,
        /// Largest raw content in bytes.
        limit: u64,
        /// Sent if the cache did not have the chunk.
        created: ResponseOf<C, Plan>,
        /// Sent if it did.
        existing: ResponseOf<C, Plan>,
    },
    /// It receives a tar stream and comes back with `with_archive`.
    ReceiveArchive {
        /// Where its chunks are kept.
        objects: C::Objects,
        /// How it arrives.
        encoding: Encoding,
    },
}
