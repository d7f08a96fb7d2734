//! The server as a process: real requests, real tokens, real clients.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod administration;
mod adversity;
#[path = "../broken_core/component.rs"]
mod broken_core;
mod certificates;
mod downloads;
mod fuzz;
mod guide;
mod interop;
mod limits;
mod openapi;
mod quota;
mod serving;
mod shared;
mod shutdown;
mod support;
mod tls;
mod tokens;
mod uploads;
