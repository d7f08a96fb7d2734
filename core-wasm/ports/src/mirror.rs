//! Conversions between these types and those that are generated from `wit/`, on both sides.
//!
//! The generators for guest and host make the same names from the same WIT, so one table serves
//! both: [`crate::mirror!`] is expanded once beside the bindings of the core and once beside those
//! of the host. A field or case that is missing on either side does not compile.

/// Implements `From` in both directions for an enumeration without payload.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_enum {
    ($wit:path, $port:path, [$($case:ident),* $(,)?]) => {
        const _: () = {
            use $wit as Wit;
            use $port as Port;
            impl From<Wit> for Port {
                fn from(value: Wit) -> Self {
                    match value { $(Wit::$case => Port::$case),* }
                }
            }
            impl From<Port> for Wit {
                fn from(value: Port) -> Self {
                    match value { $(Port::$case => Wit::$case),* }
                }
            }
        };
    };
}

/// Implements `From` in both directions for a record. A field is converted as `one` value, an
/// `option`, or a `list`.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_record {
    ($wit:path, $port:path, { $($field:ident: $how:ident),* $(,)? }) => {
        const _: () = {
            use $wit as Wit;
            use $port as Port;
            impl From<Wit> for Port {
                #[allow(clippy::useless_conversion)]
                fn from(value: Wit) -> Self {
                    Port { $($field: $crate::mirror_field!($how, value.$field)),* }
                }
            }
            impl From<Port> for Wit {
                #[allow(clippy::useless_conversion)]
                fn from(value: Port) -> Self {
                    Wit { $($field: $crate::mirror_field!($how, value.$field)),* }
                }
            }
        };
    };
}

/// Implements `From` in both directions for a variant of which each case has one payload or none.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_variant {
    ($wit:path, $port:path, [$($unit:ident),* $(,)?], { $($case:ident: $how:ident),* $(,)? }) => {
        const _: () = {
            use $wit as Wit;
            use $port as Port;
            impl From<Wit> for Port {
                #[allow(clippy::useless_conversion)]
                fn from(value: Wit) -> Self {
                    match value {
                        $(Wit::$unit => Port::$unit,)*
                        $(Wit::$case(payload) => Port::$case($crate::mirror_field!($how, payload)),)*
                    }
                }
            }
            impl From<Port> for Wit {
                #[allow(clippy::useless_conversion)]
                fn from(value: Port) -> Self {
                    match value {
                        $(Port::$unit => Wit::$unit,)*
                        $(Port::$case(payload) => Wit::$case($crate::mirror_field!($how, payload)),)*
                    }
                }
            }
        };
    };
}

/// Converts one field.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_field {
    (one, $value:expr) => {
        $value.into()
    };
    (option, $value:expr) => {
        $value.map(Into::into)
    };
    (list, $value:expr) => {
        $value.into_iter().map(Into::into).collect()
    };
}

/// Implements all conversions for the bindings in a module `$wit`, which has the modules `types`,
/// `objects`, `records`, `tree`, `archive`, `auth` and `http`.
#[macro_export]
macro_rules! mirror {
    ($wit:ident) => {
        $crate::mirror_types!($wit);
        $crate::mirror_enum!($wit::objects::ObjectKind, $crate::ObjectKind, [Chunk, Manifest]);
        $crate::mirror_enum!($wit::objects::LockMode, $crate::LockMode, [Shared, Exclusive]);
        $crate::mirror_record!($wit::objects::PutOutcome, $crate::PutOutcome, {
            digest: one, stored_size: one, new: one,
        });
        $crate::mirror_record!($wit::objects::ObjectInfo, $crate::ObjectInfo, {
            digest: one, stored_size: one, modified: one,
        });
        $crate::mirror_record!($wit::objects::Leftovers, $crate::Leftovers, {
            files: one, bytes: one,
        });
        $crate::mirror_record!($wit::records::StoredRecord, $crate::StoredRecord, {
            value: one, last_access: one, version: one,
        });
        $crate::mirror_enum!($wit::tree::EntryKind, $crate::EntryKind, [
            Directory, File, Symlink, Special,
        ]);
        $crate::mirror_record!($wit::tree::LinkId, $crate::LinkId, { device: one, inode: one });
        $crate::mirror_record!($wit::tree::Entry, $crate::Entry, {
            name: one, kind: one, mode: one, modified: one, size: one, link: option, target: one,
        });
        $crate::mirror_enum!($wit::tree::FollowLinks, $crate::FollowLinks, [Never, Always]);
        $crate::mirror_record!($wit::tree::CutSizes, $crate::CutSizes, {
            minimum: one, average: one, maximum: one,
        });
        $crate::mirror_record!($wit::tree::PackFile, $crate::PackFile, {
            directory: one, name: one, size: one, modified: one,
        });
        $crate::mirror_record!($wit::tree::PackBatch, $crate::PackBatch, {
            directories: one, files: list, groups: list,
        });
        $crate::mirror_record!($wit::tree::PackedChunk, $crate::PackedChunk, {
            digest: one, raw_size: one, stored_size: one, new: one,
        });
        $crate::mirror_enum!($wit::tree::Placement, $crate::Placement, [Staged, InPlace]);
        $crate::mirror_enum!($wit::tree::DirectoryState, $crate::DirectoryState, [
            Absent, Present, Outdated, Obstructed,
        ]);
        $crate::mirror_enum!($wit::tree::Existing, $crate::Existing, [Absent, Replace, Compare]);
        $crate::mirror_record!($wit::tree::DirectoryPlan, $crate::DirectoryPlan, {
            parent: one, name: one, state: one, mode: one, modified: one,
        });
        $crate::mirror_record!($wit::tree::FilePlan, $crate::FilePlan, {
            directory: one, name: one, existing: one, mode: one, modified: one, size: one,
        });
        $crate::mirror_record!($wit::tree::Segment, $crate::Segment, {
            file: one, file_offset: one, chunk_offset: one, length: one,
        });
        $crate::mirror_record!($wit::tree::ChunkPlan, $crate::ChunkPlan, {
            digest: one, raw_size: one, source: one, segments: list,
        });
        $crate::mirror_record!($wit::tree::SymlinkPlan, $crate::SymlinkPlan, {
            directory: one, name: one, replace: one, target: one, modified: one,
        });
        $crate::mirror_record!($wit::tree::HardLinkPlan, $crate::HardLinkPlan, {
            directory: one, name: one, replace: one, target_directory: one, target_name: one,
        });
        $crate::mirror_record!($wit::tree::MetadataPlan, $crate::MetadataPlan, {
            directory: one, name: one, mode: one, modified: one,
        });
        $crate::mirror_record!($wit::tree::RemovalPlan, $crate::RemovalPlan, {
            directory: one, name: one,
        });
        $crate::mirror_record!($wit::tree::MaterializeBatch, $crate::MaterializeBatch, {
            directories: list, removals: list, symlinks: list, files: list, chunks: list,
            metadata: list, hard_links: list,
        });
        $crate::mirror_record!($wit::tree::MaterializeSummary, $crate::MaterializeSummary, {
            files_written: one, bytes_written: one, files_kept: one,
        });
        $crate::mirror_enum!($wit::objects::StoredCodec, $crate::StoredCodec, [None, Zstd, Gzip]);
        $crate::mirror_record!($wit::objects::StoredInfo, $crate::StoredInfo, {
            size: one, header_size: one, raw_size: one, codec: one,
        });
        $crate::mirror_names!($wit);
        $crate::mirror_variants!($wit);
        $crate::mirror_requests!($wit);
        $crate::mirror_archives!($wit);
    };
}

/// The conversions of the interface `types` alone, for bindings in a module `$wit` that has no more
/// of it.
#[macro_export]
macro_rules! mirror_types {
    ($wit:ident) => {
        $crate::mirror_enum!($wit::types::Algorithm, $crate::Algorithm, [Sha256, Blake3]);
        $crate::mirror_enum!($wit::types::IoErrorKind, $crate::IoErrorKind, [
            NotFound, AccessDenied, ReadOnly, AlreadyExists, NotADirectory, IsADirectory, NoSpace,
            SymlinkLoop, NameTooLong, TooLarge, Unsupported, Transfer, Other,
        ]);
        $crate::mirror_enum!($wit::types::Damage, $crate::Damage, [
            Header, Length, Payload, Content,
        ]);
        $crate::mirror_record!($wit::types::Timestamp, $crate::Timestamp, {
            seconds: one, nanoseconds: one,
        });
        $crate::mirror_record!($wit::types::IoError, $crate::IoError, {
            kind: one, os_code: one,
        });
        $crate::mirror_variant!($wit::types::ObjectFault, $crate::ObjectFault, [Missing, TooLarge], {
            Damaged: one, Unreadable: one,
        });
        $crate::mirror_enum!($wit::types::HttpErrorKind, $crate::HttpErrorKind, [
            Url, Unresolved, Unreachable, TimedOut, Tls, Proxy, Interrupted, Protocol, TooLarge,
            Redirect, Token,
        ]);
        $crate::mirror_record!($wit::types::HttpError, $crate::HttpError, {
            kind: one, detail: one,
        });
        $crate::mirror_digest!($wit);
    };
}

/// What passes between a client and its server.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_requests {
    ($wit:ident) => {
        $crate::mirror_enum!($wit::auth::Operation, $crate::Operation, [Get, Put, List, Delete]);
        $crate::mirror_enum!($wit::auth::Verdict, $crate::Verdict, [Allowed, Denied, Expired]);
        $crate::mirror_enum!($wit::auth::TokenFault, $crate::TokenFault, [
            Malformed, Forged, Revoked,
        ]);
        $crate::mirror_record!($wit::auth::Access, $crate::Access, {
            operation: one, cache: one, key: one,
        });
        $crate::mirror_enum!($wit::http::Method, $crate::Method, [Get, Head, Put, Post, Delete]);
        $crate::mirror_record!($wit::http::RetryPolicy, $crate::RetryPolicy, {
            attempts: one, delay: one, statuses: one,
        });
        $crate::mirror_record!($wit::http::HttpRequest, $crate::HttpRequest, {
            method: one, url: one, headers: one, body: one, retries: one,
        });
        $crate::mirror_record!($wit::http::Refusal, $crate::Refusal, { status: one, body: one });
        $crate::mirror_variant!($wit::http::TransferFault, $crate::TransferFault, [], {
            NoAnswer: one, Refused: one,
        });
        $crate::mirror_record!($wit::http::TransferFailure, $crate::TransferFailure, {
            url: one, reason: one,
        });
        $crate::mirror_record!($wit::http::ChunkEndpoint, $crate::ChunkEndpoint, {
            missing: one, chunk: one, query: one, verify_query: one, retries: one,
        });
        $crate::mirror_record!($wit::http::Scope, $crate::Scope, {
            operation: one, cache: one, seconds: one,
        });
    };
}

/// Archives in both directions.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_archives {
    ($wit:ident) => {
        $crate::mirror_variant!(
            $wit::archive::ArchiveContent,
            $crate::ArchiveContent,
            [Directory, Special],
            { File: one, Symlink: one, HardLink: one }
        );
        $crate::mirror_record!($wit::archive::ArchiveEntry, $crate::ArchiveEntry, {
            path: one, content: one, mode: one, modified: one,
        });
        $crate::mirror_variant!(
            $wit::archive::ArchiveFault,
            $crate::ArchiveFault,
            [Truncated, Malformed, TooLarge],
            { Interrupted: one, Sink: one }
        );
        $crate::mirror_record!($wit::archive::ArchiveChunk, $crate::ArchiveChunk, {
            digest: one, raw_size: one,
        });
        $crate::mirror_record!($wit::archive::ArchiveExtent, $crate::ArchiveExtent, {
            chunk: one, offset: one, length: one,
        });
        $crate::mirror_variant!(
            $wit::archive::ArchiveNodeContent,
            $crate::ArchiveNodeContent,
            [Directory],
            { File: one, Symlink: one, HardLink: one }
        );
        $crate::mirror_record!($wit::archive::ArchiveNode, $crate::ArchiveNode, {
            parent: one, name: one, mode: one, modified: one, content: one,
        });
        $crate::mirror_record!($wit::archive::ArchiveBatch, $crate::ArchiveBatch, {
            chunks: list, nodes: list, extents: list,
        });
    };
}

/// Digests cross the boundary as words.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_digest {
    ($wit:ident) => {
        impl From<$wit::types::Digest> for $crate::Digest {
            fn from(digest: $wit::types::Digest) -> Self {
                $crate::Digest::from_words([digest.a, digest.b, digest.c, digest.d])
            }
        }

        impl From<$crate::Digest> for $wit::types::Digest {
            fn from(digest: $crate::Digest) -> Self {
                let [a, b, c, d] = digest.to_words();
                $wit::types::Digest { a, b, c, d }
            }
        }
    };
}

/// Names of objects contain the name of a sweep, which is text that has to be checked.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_names {
    ($wit:ident) => {
        impl From<&$crate::ObjectName> for $wit::objects::ObjectName {
            fn from(name: &$crate::ObjectName) -> Self {
                $wit::objects::ObjectName {
                    kind: name.kind.into(),
                    digest: name.digest.into(),
                    sweep: name.sweep.as_ref().map(|sweep| sweep.as_str().to_owned()),
                }
            }
        }

        impl TryFrom<$wit::objects::ObjectName> for $crate::ObjectName {
            type Error = $crate::IoError;

            fn try_from(name: $wit::objects::ObjectName) -> Result<Self, Self::Error> {
                let sweep = name.sweep.map(|sweep| $crate::mirror::sweep(&sweep)).transpose()?;
                Ok($crate::ObjectName { kind: name.kind.into(), digest: name.digest.into(), sweep })
            }
        }

        impl From<&$crate::AsideObject> for $wit::objects::AsideObject {
            fn from(object: &$crate::AsideObject) -> Self {
                $wit::objects::AsideObject {
                    kind: object.kind.into(),
                    digest: object.digest.into(),
                    sweep: object.sweep.as_str().to_owned(),
                    stored_size: object.stored_size,
                }
            }
        }

        impl TryFrom<$wit::objects::AsideObject> for $crate::AsideObject {
            type Error = $crate::IoError;

            fn try_from(object: $wit::objects::AsideObject) -> Result<Self, Self::Error> {
                Ok($crate::AsideObject {
                    kind: object.kind.into(),
                    digest: object.digest.into(),
                    sweep: $crate::mirror::sweep(&object.sweep)?,
                    stored_size: object.stored_size,
                })
            }
        }
    };
}

/// Variants with payloads.
#[doc(hidden)]
#[macro_export]
macro_rules! mirror_variants {
    ($wit:ident) => {
        impl From<$wit::tree::Group> for $crate::Group {
            fn from(group: $wit::tree::Group) -> Self {
                match group {
                    $wit::tree::Group::Bundle($wit::tree::Bundle { first, count }) => {
                        Self::Bundle { first, count }
                    }
                    $wit::tree::Group::Cut($wit::tree::Cut { file, offset, length }) => {
                        Self::Cut { file, offset, length }
                    }
                }
            }
        }

        impl From<$crate::Group> for $wit::tree::Group {
            fn from(group: $crate::Group) -> Self {
                match group {
                    $crate::Group::Bundle { first, count } => {
                        Self::Bundle($wit::tree::Bundle { first, count })
                    }
                    $crate::Group::Cut { file, offset, length } => {
                        Self::Cut($wit::tree::Cut { file, offset, length })
                    }
                }
            }
        }

        impl From<$wit::tree::Packed> for $crate::Packed {
            fn from(packed: $wit::tree::Packed) -> Self {
                use $wit::tree::FileFault;
                match packed {
                    $wit::tree::Packed::Chunks(chunks) => {
                        Self::Chunks(chunks.into_iter().map(Into::into).collect())
                    }
                    $wit::tree::Packed::Fault(failure) => Self::Fault {
                        file: failure.file,
                        fault: match failure.fault {
                            FileFault::Changed => $crate::FileFault::Changed,
                            FileFault::Unreadable(error) => {
                                $crate::FileFault::Unreadable(error.into())
                            }
                        },
                    },
                }
            }
        }

        impl From<$crate::Packed> for $wit::tree::Packed {
            fn from(packed: $crate::Packed) -> Self {
                match packed {
                    $crate::Packed::Chunks(chunks) => {
                        Self::Chunks(chunks.into_iter().map(Into::into).collect())
                    }
                    $crate::Packed::Fault { file, fault } => Self::Fault($wit::tree::PackedFault {
                        file,
                        fault: match fault {
                            $crate::FileFault::Changed => $wit::tree::FileFault::Changed,
                            $crate::FileFault::Unreadable(error) => {
                                $wit::tree::FileFault::Unreadable(error.into())
                            }
                        },
                    }),
                }
            }
        }

        impl From<$wit::tree::MaterializeError> for $crate::MaterializeError {
            fn from(error: $wit::tree::MaterializeError) -> Self {
                match error {
                    $wit::tree::MaterializeError::Chunk(failure) => {
                        Self::Chunk { digest: failure.digest.into(), fault: failure.fault.into() }
                    }
                    $wit::tree::MaterializeError::Destination(failure) => {
                        Self::Destination { path: failure.path, error: failure.error.into() }
                    }
                }
            }
        }

        impl From<$crate::MaterializeError> for $wit::tree::MaterializeError {
            fn from(error: $crate::MaterializeError) -> Self {
                match error {
                    $crate::MaterializeError::Chunk { digest, fault } => {
                        Self::Chunk($wit::tree::ChunkFailure {
                            digest: digest.into(),
                            fault: fault.into(),
                        })
                    }
                    $crate::MaterializeError::Destination { path, error } => {
                        Self::Destination($wit::tree::DestinationFailure {
                            path,
                            error: error.into(),
                        })
                    }
                }
            }
        }
    };
}

/// Reads the name of a sweep that comes from the other side.
#[doc(hidden)]
pub fn sweep(text: &str) -> Result<crate::SweepId, crate::IoError> {
    crate::SweepId::parse(text).ok_or(crate::IoError::new(crate::IoErrorKind::Other))
}
