//! What is said when a request fails outside the core.

use super::send::ResponseBody;
use btdt_host_runtime::server_common::Refusal;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// A response that says what went wrong.
pub(super) fn response(refusal: Refusal, request_id: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(refusal.body(request_id)));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in refusal.headers() {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().insert(name, value);
    }
    response
}
