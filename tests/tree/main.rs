//! Tests of what both trees promise, and of what only a file system can get wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod filesystem;
mod materialize;
mod property;
mod support;
mod unprivileged;
