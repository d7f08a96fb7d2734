//! The capabilities that the core needs from its host, as plain Rust traits and types.
//!
//! They mirror the interfaces in `wit/` one to one and are the only vocabulary that the two sides
//! share. The core (`btdt-core`) is written against them; in the component they are implemented
//! by the generated bindings, and natively by the backends of `btdt-host-runtime`. That is why
//! the whole core can be tested without a WebAssembly runtime, and why the same backends can
//! serve inside a component.
//!
//! What is absent on purpose: policy. Nothing here decides what is stored, kept, restored or
//! deleted.

pub mod archive;
pub mod auth;
pub mod environment;
pub mod error;
pub mod http;
pub mod mirror;
pub mod storage;
pub mod tally;
pub mod time;
pub mod tree;
pub mod types;

pub use archive::{
    ArchiveBatch, ArchiveChunk, ArchiveContent, ArchiveEntry, ArchiveExtent, ArchiveFault,
    ArchiveNode, ArchiveNodeContent, ArchivePlan, ArchiveReader, Archives,
};
pub use auth::{Access, Authority, Operation, TokenFault, Verdict};
pub use environment::{Environment, Severity};
pub use error::{IoError, IoErrorKind};
pub use http::{
    ChunkEndpoint, HttpError, HttpErrorKind, HttpRequest, HttpResponse, IncomingBody, Method,
    Refusal, Remote, RetryPolicy, Scope, TransferFailure, TransferFault,
};
pub use storage::{
    AsideObject, Caches, Damage, HeldLock, Leftovers, LockMode, MAX_RECORD_SIZE, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, OpenObjects, PutOutcome, RecordVersion, Records,
    StoredCodec, StoredInfo, StoredRecord, SweepId,
};
pub use tally::Tally;
pub use tree::{
    ChunkPlan, CutSizes, DirectoryPlan, DirectoryState, Entry, EntryKind, Existing, FileFault,
    FilePlan, FollowLinks, Group, HardLinkPlan, LinkId, MaterializeBatch, MaterializeError,
    MaterializeSummary, Materializer, MetadataPlan, PackBatch, PackError, PackFile, Packed,
    PackedChunk, Packer, Placement, RemovalPlan, Segment, SymlinkPlan, Tree,
};
pub use types::{Algorithm, Digest, Timestamp};
