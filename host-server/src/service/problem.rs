//! What is said when a request fails outside the core: JSON as RFC 9457 has it, the same form as
//! the core's own.

use super::send::ResponseBody;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

/// Seconds after which a client of a busy server should come again.
const RETRY_SECONDS: u64 = 5;

/// The header by which clients know the protocol, as the core has it.
const VERSION_HEADER: HeaderName = HeaderName::from_static("btdt-protocol");
const VERSION: &str = "1";

/// A response that says what went wrong.
pub(super) fn response(
    status: StatusCode,
    detail: &str,
    request_id: &str,
) -> Response<ResponseBody> {
    let problem = serde_json::json!({
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
        "request_id": request_id,
    });
    let mut response = Response::new(ResponseBody::full(problem.to_string().into_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // As the core's own: a client must not take a busy server for the original one.
    headers.insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    response
}
