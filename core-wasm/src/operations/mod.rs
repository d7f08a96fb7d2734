//! The operations on caches, each from the request to the summary.

pub mod administration;
pub mod clean;
pub mod hash;
mod key_arguments;
mod previous_entry;
pub mod restore;
pub mod store;
