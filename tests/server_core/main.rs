//! The server's half of the core, natively, over a cache in memory: every request gets the answer
//! that the protocol promises, whatever the request, the token and the cache are like.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administration;
mod archives;
mod authorization;
mod chunks;
mod documented;
mod fuzzed;
mod getting;
mod pages;
mod putting;
mod quota;
mod support;
mod world;
