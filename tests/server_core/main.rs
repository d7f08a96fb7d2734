//! The HTTP API of the core, natively, on a cache in memory: whatever the request, the token and the
//! cache, the response is what the protocol promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administration;
mod archives;
mod authorization;
mod chunks;
mod documented;
mod fuzzed;
mod getting;
mod memory_host;
mod pages;
mod putting;
mod quota;
mod support;
