//! What all hosts share: implementations of the capabilities of `btdt-ports`.
//!
//! The backends ([`tree`], [`storage`]) know nothing of WebAssembly; [`engine`] loads the core
//! component and connects its imports to them. The two backends do not know each other either:
//! chunks pass between them through [`chunk_io`].

pub mod archive;
#[cfg(feature = "auth")]
pub mod auth;
pub mod chunk_cutting;
pub mod chunk_io;
pub mod codec;
pub mod content_coding;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "http-client")]
pub mod http_client;
#[cfg(feature = "http")]
pub mod http_native;
pub mod log_lines;
pub mod server_common;
pub mod storage;
pub mod tree;
pub mod units;
pub mod workers;
mod zstandard;

pub use btdt_sys::{clock, random};
