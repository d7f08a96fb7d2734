//! What a server answers: every request is decided here, and nothing is transferred here.
//!
//! [`handle`] sees the head of a request. It answers at once, or says what the host has to receive
//! first: a small body, a chunk, an archive. With that the host comes back, and gets the response.
//! A response is small bytes, an open object, or the plan of an archive, which the host streams.
//!
//! Whether the token allows a request is decided before anything is said about what there is, and
//! only in [`handle`]: a token may expire while its upload is under way.
//!
//! Every response has the header `Btdt-Protocol`, by which clients know this server from the
//! original one.

mod access;
mod administration;
pub mod answer;
mod chunks;
mod lookup;
mod negotiation;
mod problem;
pub mod request;
mod route;
mod upload;
mod url;

pub use administration::{DEFAULT_PAGE, MAX_PAGE};
pub use answer::{Answer, Body, Encoding, Lookup, Page, Response, ResponseOf, UploadFault};
pub use chunks::MAX_DIGESTS;
pub use problem::MAX_LISTED;
pub use request::{Request, Settings};
pub use route::{ROUTES, RouteInfo};
pub use url::{MAX_KEYS, MAX_LABELS, MAX_PREFIXES};

use crate::error::{CacheAction, Error};
use crate::protocol;
use btdt_ports::{
    ArchiveReader, Archives, Authority, Caches, Environment, IoErrorKind, Objects, PutOutcome,
    Severity,
};
use problem::Problem;
use route::{Method, Route, Target};

/// What the server has to work with.
#[derive(Clone, Copy)]
pub struct World<'world, C, A, P> {
    /// Its caches.
    pub caches: &'world C,
    /// Who decides about tokens.
    pub authority: &'world A,
    /// Where outgoing archives are planned.
    pub archives: &'world P,
    /// Clock, randomness and log.
    pub environment: &'world dyn Environment,
    /// The configuration.
    pub settings: Settings,
}

/// The response of a server with such caches and archives.
type ResponseTo<C, P> = ResponseOf<C, <P as Archives>::Plan>;

/// An answer, or why there is none.
type Step<C, Plan> = Result<Answer<C, Plan>, Problem>;

/// What metrics and logs want to know of a request.
#[derive(Debug, Default)]
struct Trace {
    route: &'static str,
    cache: Option<String>,
    lookup: Option<Lookup>,
}

impl Trace {
    /// Only a `GET` counts: whoever asks by `HEAD` first would count twice.
    fn looked_up(&mut self, cache: &str, method: Method, lookup: Lookup) {
        self.cache = Some(cache.to_owned());
        self.lookup = (method == Method::Get).then_some(lookup);
    }

    /// Completes a response.
    fn complete<Opened, Plan>(
        self,
        request: &Request,
        response: Result<Response<Opened, Plan>, Problem>,
    ) -> Response<Opened, Plan> {
        let mut response = response.unwrap_or_else(|problem| problem.into_response(request));
        if !response.headers.iter().any(|(name, _)| name == "cache-control") {
            response.header("cache-control", "no-store");
        }
        response.header(protocol::VERSION_HEADER, protocol::VERSION);
        let Trace { route, cache, lookup } = self;
        Response { route, cache, lookup, ..response }
    }
}

/// Answers a request, or says what has to be received first.
pub fn handle<C, A, P>(request: &Request, world: &World<'_, C, A, P>) -> Answer<C, P::Plan>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    let mut trace = Trace { route: "none", ..Trace::default() };
    match world.answer(request, &mut trace) {
        Ok(Answer::Respond(response)) => Answer::Respond(trace.complete(request, Ok(response))),
        Ok(receive) => receive,
        Err(problem) => Answer::Respond(trace.complete(request, Err(problem))),
    }
}

/// Answers a request whose body [`handle`] wanted to have, by [`Answer::ReceiveBytes`].
pub fn with_bytes<C, A, P>(
    request: &Request,
    body: &[u8],
    world: &World<'_, C, A, P>,
) -> ResponseOf<C, P::Plan>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    world.receive(request, |route| match route.target {
        Target::Entry => world.put_manifest(request, body, &route.cache),
        Target::Missing => world.missing(body, &route.cache),
        _ => Err(Problem::internal()),
    })
}

/// Answers a request whose chunk [`handle`] wanted to have, by [`Answer::ReceiveChunk`].
pub fn with_chunk<C, A, P>(
    request: &Request,
    received: Result<PutOutcome, UploadFault>,
    world: &World<'_, C, A, P>,
) -> ResponseOf<C, P::Plan>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    world.receive(request, |route| match route.target {
        Target::Chunk(_) => world.put_chunk(received, &route.cache),
        _ => Err(Problem::internal()),
    })
}

/// Answers a request whose archive [`handle`] wanted to have, by [`Answer::ReceiveArchive`]: it is
/// read to its end here, and its contents go to the sink that the host made of those objects.
pub fn with_archive<C, A, P, R>(
    request: &Request,
    reader: R,
    world: &World<'_, C, A, P>,
) -> ResponseOf<C, P::Plan>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
    R: ArchiveReader,
{
    world.receive(request, |route| match route.target {
        Target::Entry => world.put_archive(request, reader, &route.cache),
        _ => Err(Problem::internal()),
    })
}

impl<C, A, P> World<'_, C, A, P>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    fn answer(&self, request: &Request, trace: &mut Trace) -> Step<C, P::Plan> {
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
            (Target::Chunk(digest), Method::Put) => self.begin_chunk(request, &cache, digest),
            (Target::List, Method::Get | Method::Head) => self.list(request, &cache, trace),
            (Target::Record(key), Method::Get | Method::Head) => {
                self.show(request, &cache, key, trace)
            }
            (Target::Record(key), Method::Delete) => self.delete(request, &cache, key, trace),
            (_, Method::Get | Method::Head) if let Some(page) = page => Ok(Answer::Respond(page)),
            _ => Err(Problem::method_not_allowed(info.methods)),
        }
    }

    /// What is the same for everybody.
    ///
    /// # Errors
    /// 404 where the configuration does not want it.
    fn page(&self, target: Target<'_>) -> Result<Option<ResponseTo<C, P>>, Problem> {
        let Settings { api_docs, metrics, .. } = self.settings;
        let page = |page| Response::new(200, Body::Page(page));
        let (enabled, response, content_type) = match target {
            // What the original says.
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

    /// Answers a request whose body has been received.
    fn receive(
        &self,
        request: &Request,
        answer: impl FnOnce(&Route<'_>) -> Result<ResponseTo<C, P>, Problem>,
    ) -> ResponseTo<C, P> {
        let mut trace = Trace { route: "none", ..Trace::default() };
        let response = route::find(&request.path).and_then(|route| {
            trace.route = route.info.name;
            trace.cache = Some(route.cache.clone().into_owned());
            answer(&route)
        });
        trace.complete(request, response)
    }
}

/// The page has its script and style inside, loads the document next to it, and nothing else.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
                           style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

impl<C, A, P> World<'_, C, A, P> {
    /// An error of a cache: what is known of it goes to the log, and not to the client.
    fn failed(&self, cache: &str, error: &Error) -> Problem {
        match error {
            Error::SourceTooLarge => {
                Problem::new(413, "The entry is larger than a manifest can be.")
            }
            Error::Cache { action, error: io } => {
                self.environment.log(Severity::Warning, &format!("cache {cache:?}: {error}"));
                match (action, io.kind) {
                    (CacheAction::Write, IoErrorKind::NoSpace) => {
                        Problem::new(507, "The cache is full. Nothing of the entry is visible.")
                    }
                    _ => Problem::internal(),
                }
            }
            error => self.internal(error),
        }
    }

    /// Something that cannot be unless the host or the core is wrong.
    fn internal(&self, error: &dyn std::fmt::Display) -> Problem {
        self.environment.log(Severity::Warning, &format!("a request failed: {error}"));
        Problem::internal()
    }
}
