//! Lists, inspects and deletes the entries of a cache, and verifies a local cache.

mod entries;
mod local;
mod remote;
pub mod verify;

pub use entries::{Entries, EntryPage, Inspection, delete, inspect, list};
pub use remote::RemoteEntries;
