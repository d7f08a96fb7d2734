//! A local cache: records under keys, and the objects that they refer to.

pub mod collect;
pub mod commit;
pub(crate) mod delete;
pub(crate) mod reachability;
pub mod record;
pub mod record_lookup;
pub mod retention;
