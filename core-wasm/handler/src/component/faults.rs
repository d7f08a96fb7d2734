//! What went wrong, in the words of every host.

use super::bindings::btdt::cache as wit;
use super::bindings::btdt::wasi::places::{OpenFault, UnsupportedFormat};
use super::service::{DamagedChunk, TransferFault};
use btdt_host_runtime::storage::OpenError;
use btdt_ports::{Damage, Digest, IoError, ObjectFault};

btdt_ports::mirror_enum!(
    wit::types::IoErrorKind,
    btdt_ports::IoErrorKind,
    [
        NotFound,
        AccessDenied,
        ReadOnly,
        AlreadyExists,
        NotADirectory,
        IsADirectory,
        NoSpace,
        SymlinkLoop,
        NameTooLong,
        TooLarge,
        Unsupported,
        Transfer,
        Other
    ]
);
btdt_ports::mirror_record!(wit::types::IoError, IoError, { kind: one, os_code: one });
btdt_ports::mirror_enum!(wit::types::Damage, Damage, [Header, Length, Payload, Content]);
btdt_ports::mirror_variant!(wit::types::ObjectFault, ObjectFault, [Missing, TooLarge], {
    Damaged: one, Unreadable: one,
});

/// Why a directory cannot be used as a cache.
pub(super) fn of_cache(fault: OpenFault) -> OpenError {
    match fault {
        OpenFault::Io(error) => OpenError::Io(error.into()),
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
        TransferFault::Object(fault) => ObjectFault::from(*fault).to_string(),
        TransferFault::Chunk(DamagedChunk { digest: of_chunk, fault }) => {
            format!("chunk {}: {}", digest(*of_chunk), ObjectFault::from(*fault))
        }
        TransferFault::Storage(error) => IoError::from(*error).to_string(),
    }
}

/// A digest of the boundary.
pub(super) fn digest(digest: wit::types::Digest) -> Digest {
    let words = [digest.a, digest.b, digest.c, digest.d];
    let mut bytes = [0; Digest::LENGTH];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    Digest::new(bytes)
}
