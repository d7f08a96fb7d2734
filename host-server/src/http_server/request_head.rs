//! The head of a request: what the core gets of it, and what the log and the metrics do.

use btdt_host_runtime::engine::server::Request;
use btdt_host_runtime::server_common::REQUEST_ID;
use http::request::Parts;
use hyper::Method;
use hyper::header::HeaderMap;

/// The head as the core gets it.
pub(super) fn for_core(parts: &Parts, id: &str) -> Request {
    Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: headers(&parts.headers, id),
    }
}

fn headers(sent: &HeaderMap, id: &str) -> Vec<(String, String)> {
    let own = (REQUEST_ID.to_owned(), id.to_owned());
    let sent = sent.iter().filter(|(name, _)| name.as_str() != REQUEST_ID);
    let sent = sent.map(|(name, value)| {
        // What is not text is passed on all the same, and refused where it matters.
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    std::iter::once(own).chain(sent).collect()
}

/// A path for the log: anything but a plain letter could be mistaken for something else.
pub(super) fn plain_path(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            plain.push(byte.into());
        } else {
            plain.push_str(&format!("%{byte:02X}"));
        }
    }
    plain
}

/// The approximate size of a head as it was sent, in bytes.
pub(super) fn size(parts: &Parts) -> u64 {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields = parts.headers.iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (target + fields) as u64
}

/// A name for metrics: clients may send any word as a method.
pub(super) fn method_name(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 6] = [
        (&Method::GET, "GET"),
        (&Method::HEAD, "HEAD"),
        (&Method::PUT, "PUT"),
        (&Method::POST, "POST"),
        (&Method::DELETE, "DELETE"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}
