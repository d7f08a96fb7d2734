//! The server as a process: real requests, real tokens, real clients.

mod serving;
mod support;
