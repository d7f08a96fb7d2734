//! Caches as the operations see them: one interface for local and remote ones.

mod interface;
mod local;
pub(crate) mod remote;

pub use interface::{Cache, Candidate, Wanted, chunk_reason, warn_unusable};
pub use local::LocalCache;
pub use remote::RemoteCache;
