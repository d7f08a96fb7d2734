//! The native side that every host shares: the capabilities of `btdt-ports`, implemented.
//!
//! The backends ([`tree`], [`storage`]) know nothing of WebAssembly; [`engine`] loads the core
//! component and connects its imports to them. The two backends do not know each other either:
//! chunks pass between them through [`transfer`].

pub mod archive;
#[cfg(feature = "auth")]
pub mod auth;
mod chunking;
pub mod clock;
pub mod coding;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http-rules")]
pub mod http_rules;
pub mod messages;
pub mod random;
pub mod serving;
pub mod storage;
pub mod transfer;
pub mod tree;
pub mod units;
#[cfg(target_os = "wasi")]
mod wasi;
pub mod workers;
mod zstandard;
