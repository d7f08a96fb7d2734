//! The HTTP API of the server: decides about every request, but transfers nothing.
//!
//! [`ServerContext::handle`] gets the head of a request. It either responds, or tells the host what
//! to receive first: a small body, a chunk or an archive. The host then calls the matching method
//! here and gets the response. A response is a few bytes, an open object, or the plan of an
//! archive, which the host streams.
//!
//! The token is checked before the response reveals what exists, and only in `handle`: a token may
//! expire during its upload.
//!
//! Every response has the header `Btdt-Protocol`, by which clients distinguish this server from the
//! original one.

mod access;
pub mod answer;
mod chunk_requests;
mod context;
mod entry_requests;
mod lookup;
mod negotiation;
mod problem;
pub mod request;
mod route;
mod trace;
mod upload;
mod url;

pub use answer::{Answer, Body, Encoding, Lookup, Page, Response, ResponseOf, UploadFault};
pub use chunk_requests::{MAX_DIGESTS, report_damage};
pub use context::ServerContext;
pub use entry_requests::{DEFAULT_PAGE, MAX_PAGE};
pub use problem::MAX_LISTED;
pub use request::{Request, Settings};
pub use route::{ROUTES, RouteInfo};
pub use url::{MAX_KEYS, MAX_LABELS, MAX_PREFIXES};

use btdt_ports::{ArchiveReader, Archives, Authority, Caches, Objects};
use context::{Decision, ResponseTo};
use problem::Problem;
use route::{Method, Route, Target};
use trace::Trace;

impl<C, A, P> ServerContext<'_, C, A, P>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    /// Responds to a request, or says what to receive first.
    pub fn handle(&self, request: &Request) -> Answer<C, P::Plan> {
        let mut trace = Trace { route: "none", ..Trace::default() };
        match self.answer(request, &mut trace) {
            Ok(Answer::Respond(response)) => Answer::Respond(trace.complete(request, Ok(response))),
            Ok(Answer::ReceiveChunk { objects, digest, limit, created, existing }) => {
                let created = trace.clone().complete(request, Ok(created));
                let existing = trace.complete(request, Ok(existing));
                Answer::ReceiveChunk { objects, digest, limit, created, existing }
            }
            Ok(receive) => receive,
            Err(problem) => Answer::Respond(trace.complete(request, Err(problem))),
        }
    }

    /// Responds to a request after [`Answer::ReceiveBytes`].
    pub fn with_bytes(&self, request: &Request, body: &[u8]) -> ResponseOf<C, P::Plan> {
        self.receive(request, |route| match route.target {
            Target::Entry => self.put_manifest(request, body, &route.cache),
            Target::Missing => self.missing(body, &route.cache),
            _ => Err(Problem::internal()),
        })
    }

    /// Responds to a request after [`Answer::ReceiveChunk`] if the chunk was not kept.
    pub fn refuse_chunk(&self, request: &Request, fault: UploadFault) -> ResponseOf<C, P::Plan> {
        self.receive(request, |route| match route.target {
            Target::Chunk(_) => Err(self.refused_chunk(fault, &route.cache)),
            _ => Err(Problem::internal()),
        })
    }

    /// Responds to a request after [`Answer::ReceiveArchive`]. Reads the archive to its end;
    /// `reader` stores its content in the objects of that answer.
    pub fn with_archive(
        &self,
        request: &Request,
        reader: impl ArchiveReader,
    ) -> ResponseOf<C, P::Plan> {
        self.receive(request, |route| match route.target {
            Target::Entry => self.put_archive(request, reader, &route.cache),
            _ => Err(Problem::internal()),
        })
    }

    fn answer(&self, request: &Request, trace: &mut Trace) -> Decision<C, P::Plan> {
        let Route { info, cache, target } = route::find(&request.path)?;
        let page = self.page(target)?;
        trace.route = info.name;
        let method = Method::of(&request.method);
        match (target, method) {
            (Target::Entry, Method::Get | Method::Head) => {
                self.look_up(request, method, &cache, trace)
            }
            (Target::Entry, Method::Put) => self.begin_upload(request, &cache),
            (Target::Missing, Method::Post) => self.begin_missing(request, &cache),
            (Target::Chunk(digest), Method::Get | Method::Head) => {
                self.get_chunk(request, method, &cache, digest, trace)
            }
            (Target::Chunk(digest), Method::Put) => {
                self.begin_chunk(request, &cache, digest, trace)
            }
            (Target::List, Method::Get | Method::Head) => self.list(request, &cache, trace),
            (Target::Record(key), Method::Get | Method::Head) => {
                self.show(request, &cache, key, trace)
            }
            (Target::Record(key), Method::Delete) => self.delete(request, &cache, key, trace),
            (_, Method::Get | Method::Head) if let Some(page) = page => Ok(Answer::Respond(page)),
            _ => Err(Problem::method_not_allowed(info.methods)),
        }
    }

    /// The response for targets outside of caches, which need no token; `None` for others.
    ///
    /// # Errors
    /// 404 if the page is disabled.
    fn page(&self, target: Target<'_>) -> Result<Option<ResponseTo<C, P>>, Problem> {
        let Settings { api_docs, metrics, .. } = self.settings;
        let page = |page| Response::new(200, Body::Page(page));
        let (enabled, response, content_type) = match target {
            // The body of the original server.
            Target::Health => {
                let response = Response::new(200, Body::Bytes(b"OK".to_vec()));
                (true, response, Some("text/plain; charset=utf-8"))
            }
            Target::Ready => (true, page(Page::Readiness), None),
            Target::Metrics => (metrics, page(Page::Metrics), None),
            Target::Docs => (api_docs, page(Page::Docs), Some("text/html; charset=utf-8")),
            Target::OpenApi => (api_docs, page(Page::OpenApi), Some("application/json")),
            _ => return Ok(None),
        };
        if !enabled {
            return Err(Problem::not_found());
        }
        let mut response = response;
        if let Some(content_type) = content_type {
            response.header("content-type", content_type);
        }
        if target == Target::Docs {
            response.header("content-security-policy", DOCS_POLICY);
        }
        Ok(Some(response))
    }

    /// Responds to a request whose body has been received.
    fn receive(
        &self,
        request: &Request,
        answer: impl FnOnce(&Route<'_>) -> Result<ResponseTo<C, P>, Problem>,
    ) -> ResponseTo<C, P> {
        let mut trace = Trace { route: "none", ..Trace::default() };
        let response = route::find(&request.path).and_then(|route| {
            trace.route = route.info.name;
            trace.cache = Some(route.cache.clone());
            answer(&route)
        });
        trace.complete(request, response)
    }
}

/// The page contains its script and style, and loads nothing but the document next to it.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
                           style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";
