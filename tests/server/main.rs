//! The server as a process: real requests, real tokens, real clients.

mod certificates;
mod guide;
mod interop;
mod serving;
mod shared;
mod support;
mod tls;
mod tokens;
