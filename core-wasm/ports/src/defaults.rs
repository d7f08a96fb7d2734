//! Empty values of the types that are generated, which cannot derive `Default`.

use crate::client::{
    CleanSummary, DeletePage, DeleteRequest, RestoreRequest, StoreRequest, Swept, TreeTotals,
    VerifySummary,
};
use crate::{ArchiveBatch, Leftovers, MaterializeBatch, MaterializeSummary, PackBatch, Timestamp};

macro_rules! empty {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Default for $type {
            fn default() -> Self {
                $type { $($field: Default::default()),* }
            }
        }
    )*};
}

empty! {
    Timestamp { seconds, nanoseconds }
    Leftovers { files, bytes }
    PackBatch { directories, files, groups }
    MaterializeBatch { directories, removals, symlinks, files, chunks, metadata, hard_links }
    MaterializeSummary { files_written, bytes_written, files_kept }
    ArchiveBatch { chunks, nodes, extents }
    StoreRequest { keys, excludes, labels, tool }
    RestoreRequest { keys, prefixes, exact, checksum }
    Swept { set_aside, set_aside_bytes, deleted, deleted_bytes, recalled }
    CleanSummary { removed, kept, kept_bytes, occupied_bytes, damaged, swept, leftovers }
    TreeTotals {
        files, directories, symlinks, hard_links, raw_size, chunks, chunks_size, missing_chunks,
    }
    DeleteRequest { keys, prefix, after }
    DeletePage { deleted, missing, next, failure }
    VerifySummary { entries, manifests, chunks, stored_size, findings, faults, affected }
}
