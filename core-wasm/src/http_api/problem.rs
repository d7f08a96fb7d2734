//! Error responses: `application/problem+json` (RFC 9457).

use super::answer::{Body, Response};
use super::request::Request;
use crate::protocol::{self, PROBLEM_TYPE};
use btdt_ports::Digest;

/// Most missing chunks in one response. The client asks again after sending those.
pub const MAX_LISTED: usize = 100_000;

/// Why a request is refused. Never contains anything internal.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: u16,
    detail: String,
    headers: Vec<(String, String)>,
    missing: Vec<Digest>,
}

impl Problem {
    pub(super) fn new(status: u16, detail: impl Into<String>) -> Self {
        Problem { status, detail: detail.into(), headers: Vec::new(), missing: Vec::new() }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(400, detail)
    }

    pub(super) fn not_found() -> Self {
        Problem::new(404, "There is nothing at this URL.")
    }

    /// For a token that would allow access to the cache.
    pub(super) fn no_cache() -> Self {
        Problem::new(404, "This server has no cache of that name.")
    }

    pub(super) fn unauthorized(detail: &str, challenge: &str) -> Self {
        Problem::new(401, detail).with_header("www-authenticate", challenge)
    }

    pub(super) fn method_not_allowed(allowed: &str) -> Self {
        let detail = format!("This URL takes only {allowed}.");
        Problem::new(405, detail).with_header("allow", allowed)
    }

    /// Names chunks that have to be sent before an entry can be committed.
    pub(super) fn missing(mut digests: Vec<Digest>) -> Self {
        digests.truncate(MAX_LISTED);
        let detail = "Chunks of this entry are missing. Send them, then send the manifest again.";
        Problem { missing: digests, ..Problem::new(409, detail) }
    }

    /// For what cannot happen unless host or core are faulty, and for failures of storage.
    pub(super) fn internal() -> Self {
        Problem::new(500, "The server failed. Its log says why.")
    }

    pub(super) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Makes the response, with the host's name for the request in its log.
    pub(super) fn into_response<Opened, Plan>(self, request: &Request) -> Response<Opened, Plan> {
        let Problem { status, detail, headers, missing } = self;
        let body = protocol::Problem {
            title: Some(title(status).to_owned()),
            status: Some(status),
            detail: Some(detail),
            request_id: request.header("x-request-id").map(str::to_owned),
            missing,
        };
        let mut response = Response::new(status, Body::Bytes(body.encode()));
        response.headers = headers;
        response.header("content-type", PROBLEM_TYPE);
        response
    }
}

/// The name of a status in RFC 9110.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}
