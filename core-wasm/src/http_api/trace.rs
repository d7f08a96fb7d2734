//! What metrics and logs record about a request.

use super::answer::{Lookup, Response};
use super::problem::Problem;
use super::request::Request;
use super::route::Method;
use crate::protocol;

/// Collects what metrics and logs record about a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) route: &'static str,
    pub(super) cache: Option<String>,
    pub(super) lookup: Option<Lookup>,
}

impl Trace {
    /// Only `GET` counts as a lookup: a client that sends `HEAD` first would count twice.
    pub(super) fn looked_up(&mut self, cache: &str, method: Method, lookup: Lookup) {
        self.cache = Some(cache.to_owned());
        self.lookup = (method == Method::Get).then_some(lookup);
    }

    /// Adds the common headers and the trace to a response.
    pub(super) fn complete<Opened, Plan>(
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
