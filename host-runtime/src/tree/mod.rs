//! Backends for the user's files.
//!
//! [`filesystem`] works on a directory of the operating system, [`memory`] on a map: the same
//! behaviour, checked by the same tests.

pub mod filesystem;
pub mod memory;
mod plan;

#[cfg(test)]
mod tests;
