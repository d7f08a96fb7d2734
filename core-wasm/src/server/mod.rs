//! What a server answers: every request is decided here, and nothing is transferred here.
//!
//! [`handle`] sees the head of a request. It answers at once, or says what the host has to receive
//! first: a small body, a chunk, an archive. With that the host comes back, and gets the response.
//! A response is small bytes, an open object, or the plan of an archive, which the host streams.

pub mod answer;
pub mod request;

pub use answer::{Answer, Body, Page, Response};
pub use request::Request;

use answer::ResponseOf;
use btdt_ports::{
    ArchiveReader, Archives, Authority, Caches, Environment, IoError, ObjectFault, PutOutcome,
};
/// placeholder
pub struct World<'w, C, A, P> {
    /// placeholder
    pub caches: &'w C,
    /// placeholder
    pub authority: &'w A,
    /// placeholder
    pub archives: &'w P,
    /// placeholder
    pub environment: &'w dyn Environment,
    /// placeholder
    pub settings: request::Settings,
}
/// placeholder
pub enum UploadFault {
    /// placeholder
    Damaged(ObjectFault),
    /// placeholder
    TooLarge,
    /// placeholder
    Storage(IoError),
    /// placeholder
    Interrupted,
}
fn none<C: Caches, P>() -> ResponseOf<C, P> {
    Response {
        status: 404,
        headers: vec![],
        body: Body::Empty,
        route: "none",
        cache: None,
        lookup: None,
    }
}
/// placeholder
pub fn handle<C: Caches, A: Authority, P: Archives>(
    _: &Request,
    _: &World<'_, C, A, P>,
) -> Answer<C, P::Plan> {
    Answer::Respond(none::<C, P::Plan>())
}
/// placeholder
pub fn with_bytes<C: Caches, A: Authority, P: Archives>(
    _: &Request,
    _: &[u8],
    _: &World<'_, C, A, P>,
) -> ResponseOf<C, P::Plan> {
    none::<C, P::Plan>()
}
/// placeholder
pub fn with_chunk<C: Caches, A: Authority, P: Archives>(
    _: &Request,
    _: Result<PutOutcome, UploadFault>,
    _: &World<'_, C, A, P>,
) -> ResponseOf<C, P::Plan> {
    none::<C, P::Plan>()
}
/// placeholder
pub fn with_archive<C: Caches, A: Authority, P: Archives>(
    _: &Request,
    _: impl ArchiveReader,
    _: &World<'_, C, A, P>,
) -> ResponseOf<C, P::Plan> {
    none::<C, P::Plan>()
}
