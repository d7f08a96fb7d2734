//! Tar archives: into manifests and out of them.

pub mod export;
pub mod import;
