//! Trees as tar streams, for `curl … | tar x` and btdt 0.4.
//!
//! Outgoing: a [`TarPlan`] becomes a [`TarReader`]. Incoming: a [`TarArchive`] yields headers and
//! turns contents into chunks. The headers are ustar, which every tar reads. What does not fit is
//! encoded in the way that most implementations support: long names and targets in GNU records,
//! which BusyBox knows too and which may contain any byte; large sizes as GNU binary numbers;
//! fractions of seconds in pax headers, without which whole seconds remain.

mod fetch;
mod format;
mod incoming;
mod ingest;
mod input;
mod members;
mod read_ahead;
mod read_header;
mod stream;
mod stream_fault;
mod tar_plan;
mod write_compressed;
mod write_header;

#[cfg(test)]
mod tests;

pub use crate::codec::Compression;
pub use incoming::TarArchive;
pub use input::TransportError;
pub use read_ahead::ReadAhead;
pub use stream::{BLOCK_TARGET, TarReader};
pub use stream_fault::StreamFault;
pub use tar_plan::TarPlan;
pub use write_compressed::{WriteFault, write_compressed};
