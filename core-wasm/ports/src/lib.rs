//! The vocabulary that the core shares with its hosts: values, and traits for the capabilities that
//! the core needs.
//!
//! The values are declared in `wit/types.wit` and generated from there (see [`wit`]); here they get
//! methods and texts. The traits have the functions of the interfaces in `wit/`. The core is
//! written against them. In the component the generated bindings implement them, natively the
//! backends of `btdt-host-runtime` do. So the core can be tested without a WebAssembly runtime, and
//! the same backends work inside a component.
//!
//! There is no policy here: nothing decides what is stored, kept, restored or deleted.

pub mod archive;
pub mod auth;
pub mod client;
mod defaults;
pub mod environment;
pub mod error;
pub mod http;
pub mod storage;
pub mod tally;
pub mod time;
pub mod tree;
pub mod types;
pub mod wit;

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
    Bundle, ChunkFailure, ChunkPlan, Cut, CutSizes, DestinationFailure, DirectoryPlan,
    DirectoryState, Entry, EntryKind, Existing, FileFault, FilePlan, FollowLinks, Group,
    HardLinkPlan, LinkId, MaterializeBatch, MaterializeError, MaterializeSummary, Materializer,
    MetadataPlan, PackBatch, PackError, PackFile, Packed, PackedChunk, PackedFault, Packer,
    Placement, RemovalPlan, Segment, SymlinkPlan, Tree,
};
pub use types::{Algorithm, Digest, Timestamp};
