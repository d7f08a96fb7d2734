//! The routes of the API, and which one a path belongs to.

use super::problem::Problem;
use super::url::decode;
use btdt_ports::Digest;

/// The methods of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Other,
}

impl Method {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            _ => Method::Other,
        }
    }
}

/// A route as documentation and tests see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// Its name in metrics and logs.
    pub name: &'static str,
    /// Its path as in OpenAPI.
    pub template: &'static str,
    /// Its methods as in the header `Allow`.
    pub methods: &'static str,
}

const READ: &str = "GET, HEAD";

/// All routes.
pub const ROUTES: &[RouteInfo] =
    &[ENTRY, MISSING, CHUNK, LIST, RECORD, HEALTH, READY, METRICS, DOCS, OPEN_API];

const fn info(name: &'static str, template: &'static str, methods: &'static str) -> RouteInfo {
    RouteInfo { name, template, methods }
}

const ENTRY: RouteInfo = info("entry", "/api/caches/{cache}", "GET, HEAD, PUT");
const MISSING: RouteInfo = info("missing", "/api/caches/{cache}/chunks/missing", "POST");
const CHUNK: RouteInfo = info("chunk", "/api/caches/{cache}/chunks/{digest}", "GET, HEAD, PUT");
const LIST: RouteInfo = info("entries", "/api/caches/{cache}/entries", READ);
const RECORD: RouteInfo = info("record", "/api/caches/{cache}/entries/{key}", "GET, HEAD, DELETE");
const HEALTH: RouteInfo = info("health", "/api/health", READ);
const READY: RouteInfo = info("ready", "/api/ready", READ);
const METRICS: RouteInfo = info("metrics", "/metrics", READ);
const DOCS: RouteInfo = info("docs", "/docs", READ);
const OPEN_API: RouteInfo = info("openapi", "/api/openapi.json", READ);

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'path> {
    /// The entry of the keys in the query.
    Entry,
    /// The missing ones among given chunks.
    Missing,
    /// A chunk; `None` if its digest is invalid.
    Chunk(Option<Digest>),
    /// The list of entries.
    List,
    /// The entry of a key, still percent-encoded.
    Record(&'path str),
    Health,
    Ready,
    Metrics,
    Docs,
    OpenApi,
}

/// The route of a request.
#[derive(Debug)]
pub(super) struct Route<'path> {
    pub(super) info: &'static RouteInfo,
    /// Name of the cache; empty if the request is not about one.
    pub(super) cache: String,
    pub(super) target: Target<'path>,
}

/// The route of a path.
///
/// # Errors
/// 404 if there is none, 400 if the path is invalid.
pub(super) fn find(path: &str) -> Result<Route<'_>, Problem> {
    if let Some(rest) = path.strip_prefix("/api/caches/") {
        return find_in_cache(rest);
    }
    let (info, target) = match path {
        "/api/health" => (&HEALTH, Target::Health),
        "/api/ready" => (&READY, Target::Ready),
        "/metrics" => (&METRICS, Target::Metrics),
        "/docs" | "/docs/" => (&DOCS, Target::Docs),
        "/api/openapi.json" => (&OPEN_API, Target::OpenApi),
        _ => return Err(Problem::not_found()),
    };
    Ok(Route { info, cache: String::new(), target })
}

fn find_in_cache(rest: &str) -> Result<Route<'_>, Problem> {
    let (cache, rest) = match rest.split_once('/') {
        None => (rest, None),
        Some((cache, rest)) => (cache, Some(rest)),
    };
    let (info, target) = match rest {
        None => (&ENTRY, Target::Entry),
        Some("chunks/missing") => (&MISSING, Target::Missing),
        Some("entries") => (&LIST, Target::List),
        Some(rest) => match (rest.strip_prefix("chunks/"), rest.strip_prefix("entries/")) {
            (Some(digest), _) if !digest.contains('/') => {
                (&CHUNK, Target::Chunk(Digest::from_hex(digest)))
            }
            (_, Some(key)) if !key.is_empty() => (&RECORD, Target::Record(key)),
            _ => return Err(Problem::not_found()),
        },
    };
    let cache = decode(cache)?;
    if cache.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(Route { info, cache, target })
}
