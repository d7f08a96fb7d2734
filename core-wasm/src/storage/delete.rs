//! Deletes what is stored under a key.

use crate::key::Key;
use crate::storage::record::Record;
use btdt_ports::{IoError, Records};

/// How often a deletion is tried again when the entry is replaced in between.
const ATTEMPTS: u32 = 5;

/// The outcome of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// The entry is gone.
    Done,
    /// There was none.
    Absent,
    /// The entry was replaced during every attempt.
    Replaced,
}

/// Deletes the record of a key, even if it is damaged.
pub(crate) fn delete<R: Records>(records: &R, key: &Key) -> Result<Deleted, IoError> {
    let name = key.record_name();
    for _ in 0..ATTEMPTS {
        let stored = match records.get(std::slice::from_ref(&name)).pop() {
            None | Some(Ok(None)) => return Ok(Deleted::Absent),
            Some(Err(error)) => return Err(error),
            Some(Ok(Some(stored))) => stored,
        };
        // Two keys that are too long for a file name could share a record name.
        if Record::decode(&stored.value).is_ok_and(|record| record.key != *key) {
            return Ok(Deleted::Absent);
        }
        if records.delete(&name, &stored.version)? {
            return Ok(Deleted::Done);
        }
    }
    Ok(Deleted::Replaced)
}
