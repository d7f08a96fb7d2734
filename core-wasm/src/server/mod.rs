//! What a server answers: every request is decided here, and nothing is transferred here.
//!
//! [`handle`] sees the head of a request. It answers at once, or says what the host has to receive
//! first: a small body, a chunk, an archive. With that the host comes back, and gets the response.
//! A response is small bytes, an open object, or the plan of an archive, which the host streams.

pub mod answer;
pub mod request;

pub use answer::{Answer, Body, Page, Response};
pub use request::Request;
