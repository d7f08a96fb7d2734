//! Trees as tar streams: what `curl … | tar x` and btdt 0.4 understand.
//!
//! Outgoing, a [`TarPlan`] is put together and becomes a [`TarReader`]. Incoming, a [`TarArchive`]
//! gives the headers and turns contents into chunks. The headers are those of ustar, which every
//! tar reads. What does not fit goes where most of them look for it: long names and targets into
//! the records of GNU tar, which BusyBox knows too and in which any byte may occur, large sizes
//! into its binary numbers, and times with fractions into extended headers of pax, without which
//! whole seconds remain.

mod compress;
mod fetch;
mod header;
mod incoming;
mod ingest;
mod input;
mod members;
mod plan;
mod records;
mod stream;

#[cfg(test)]
mod tests;

pub use crate::storage::codec::Compression;
pub use compress::{WriteFault, write_compressed};
pub use fetch::ReadAhead;
pub use incoming::TarArchive;
pub use input::TransportError;
pub use plan::TarPlan;
pub use stream::{BLOCK_TARGET, StreamFault, TarReader};

/// Headers and contents begin at multiples of this many bytes.
const BLOCK: usize = 512;

/// Largest chunk, in bytes of raw content, that is read or put together.
const MAX_CHUNK: u32 = 4 << 20;

/// Longest path, target or extended header in bytes: far more than any file system takes.
const MAX_EXTENSION: usize = 1 << 20;

/// How many bytes of zeros follow content of this size.
const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
