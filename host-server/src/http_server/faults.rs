//! What can go wrong with a request outside the core.

use crate::admission::Saturated;
use crate::service::Unanswered;
use btdt_host_runtime::archive::StreamFault;
use btdt_host_runtime::content_coding::CodingFault;

/// Why a body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveFault {
    /// The connection broke, or the body is not well-formed.
    Interrupted,
    TooSlow,
    TooLarge,
}

impl From<CodingFault> for ReceiveFault {
    fn from(fault: CodingFault) -> Self {
        match fault {
            CodingFault::Invalid => ReceiveFault::Interrupted,
            CodingFault::TooLarge => ReceiveFault::TooLarge,
        }
    }
}

/// The rest of a body cannot be sent. The connection is then cut, so that the peer notices.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum SendFault {
    #[error("the object could not be read: {0}")]
    Object(btdt_ports::IoError),
    #[error(transparent)]
    Archive(#[from] StreamFault),
    /// The thread that supplied it is gone, or an object has become shorter.
    #[error("the thread that reads it has stopped")]
    Stopped,
    /// The peer reads too slowly.
    #[error("the request took longer than allowed")]
    TooSlow,
}

/// Why a request is not answered by the core.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The core could not be asked.
    Unanswered(Unanswered),
    Received(ReceiveFault),
    /// The head is too large.
    Head,
    /// The quota is used up.
    Full,
    Sent(SendFault),
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Self {
        Refusal::Unanswered(unanswered)
    }
}

impl From<Saturated> for Refusal {
    fn from(saturated: Saturated) -> Self {
        Refusal::Unanswered(saturated.into())
    }
}

impl From<ReceiveFault> for Refusal {
    fn from(fault: ReceiveFault) -> Self {
        Refusal::Received(fault)
    }
}

impl From<SendFault> for Refusal {
    fn from(fault: SendFault) -> Self {
        Refusal::Sent(fault)
    }
}
