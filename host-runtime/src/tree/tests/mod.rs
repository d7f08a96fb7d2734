//! Tests of what both trees promise, and of what only a file system can get wrong.

mod conformance;
mod filesystem;
mod materialize;
mod property;
mod support;
mod unprivileged;
