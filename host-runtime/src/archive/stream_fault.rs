//! Why an outgoing archive cannot be continued.

use btdt_ports::{Digest, ObjectFault};

/// Why a stream cannot be continued. What was sent of it is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The plan contradicts itself.
    #[error("the plan of the archive is not valid")]
    Plan,
    /// A chunk is missing or damaged.
    #[error("chunk {digest}: {fault}")]
    Chunk {
        /// The chunk.
        digest: Digest,
        /// What is wrong with it.
        fault: ObjectFault,
    },
}
