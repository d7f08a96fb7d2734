//! Faults of the adapter as texts, the same as those of native hosts.

use super::bindings::btdt::wasi::places::{OpenFault, UnsupportedFormat};
use super::bindings::service::{DamagedChunk, TransferFault};
use btdt_host_runtime::storage::OpenError;

/// Why a directory cannot be used as a cache.
pub(super) fn of_cache(fault: OpenFault) -> OpenError {
    match fault {
        OpenFault::Io(error) => OpenError::Io(error),
        OpenFault::UnsupportedFormat(UnsupportedFormat { found, supported }) => {
            OpenError::UnsupportedFormat { found, supported }
        }
        OpenFault::UnknownFormat => OpenError::UnknownFormat,
    }
}

/// Why a body was not received or sent.
pub(super) fn of_transfer(fault: &TransferFault) -> String {
    match fault {
        TransferFault::TooLarge => "it is larger than allowed".to_owned(),
        TransferFault::Malformed => "it is not what it was announced as".to_owned(),
        TransferFault::Interrupted => "the connection broke".to_owned(),
        TransferFault::Object(fault) => fault.to_string(),
        TransferFault::Chunk(DamagedChunk { digest, fault }) => {
            format!("chunk {digest}: {fault}")
        }
        TransferFault::Storage(error) => error.to_string(),
    }
}
