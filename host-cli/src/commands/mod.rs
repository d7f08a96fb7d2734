//! The commands: each runs one operation of the core and reports the result.

mod cache;
pub(crate) mod clean;
pub(crate) mod context;
pub(crate) mod delete;
pub(crate) mod hash;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod restore;
mod show;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod verify;
