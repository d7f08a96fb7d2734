//! The server component in a plain host of `wasi:http`, with the native client and the native
//! command line for what it leaves in its cache.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod clients;
mod configuration;
mod requests;
mod support;
