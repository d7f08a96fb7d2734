//! What the native server and the WASI server have in common apart from their configuration: what
//! they answer when the core cannot.

pub mod pages;
mod refusal;

pub use refusal::Refusal;

/// Header that identifies a request in the log. What a client sends in it is replaced.
pub const REQUEST_ID: &str = "x-request-id";
