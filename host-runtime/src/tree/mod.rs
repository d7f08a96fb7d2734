//! The user's files: the file system backend, and the checks that every backend makes of plans.

pub mod filesystem;
pub mod plan_checks;
