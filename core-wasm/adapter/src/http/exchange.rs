//! One request and the beginning of its answer, redirections included.

use super::client::Shared;
use super::wire::{self, Answer, Payload};
use btdt_host_runtime::archive::TarPlan;
use btdt_host_runtime::clock;
use btdt_host_runtime::http_rules::retry::{Attempt, judge};
use btdt_host_runtime::http_rules::{Failure, Url, address, redirect};
use btdt_ports::{HttpRequest, Method, RetryPolicy};

/// A request that can be sent any number of times.
pub(super) struct Outgoing {
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Outgoing {
    pub(super) fn new(method: &'static str, url: &str, body: Vec<u8>) -> Result<Self, Failure> {
        Ok(Outgoing { method, url: address::parse(url)?, headers: Vec::new(), body })
    }

    pub(super) fn from_request(request: HttpRequest) -> Result<Self, Failure> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        let mut outgoing = Outgoing::new(method, &request.url, request.body)?;
        let headers = request.headers.into_iter();
        outgoing.headers.extend(headers.map(|(name, value)| (name, value.into_bytes())));
        Ok(outgoing)
    }
}

/// Sends a request and follows redirections, up to the headers of the answer.
pub(super) fn exchange(shared: &Shared, outgoing: &Outgoing) -> Result<Answer, Failure> {
    let mut url = outgoing.url.clone();
    let mut redirects = 0;
    loop {
        let payload = match outgoing.body.as_slice() {
            [] => Payload::Nothing,
            bytes => Payload::Bytes(bytes),
        };
        let answer = wire::send(shared, outgoing, &url, payload)?;
        let location = answer.header("location").filter(|_| redirect::is_redirect(answer.status));
        let Some(location) = location else { return Ok(answer) };
        redirect::count(redirects, &url)?;
        redirects += 1;
        let location = String::from_utf8_lossy(location);
        let has_body = !outgoing.body.is_empty();
        url = redirect::follow(answer.status, outgoing.method, has_body, &url, &location)?;
    }
}

/// What an answer means for further attempts.
pub(super) fn judged<T>(policy: &RetryPolicy, answer: &Answer, value: T) -> Attempt<T> {
    let asked = answer.header("retry-after").and_then(|value| std::str::from_utf8(value).ok());
    judge(policy, answer.status, asked, clock::now(), value)
}

/// Sends a request with an archive as its body, once.
///
/// The answer may come before the end of the body. If the archive cannot be read, the transfer is
/// broken off, so that the server never takes what it has got for all.
pub(super) fn upload(
    shared: &Shared,
    outgoing: Outgoing,
    plan: TarPlan,
) -> Result<Answer, Failure> {
    let url = &outgoing.url;
    let mut reader =
        plan.into_reader().map_err(|fault| Failure::unreadable_upload(url, &fault.to_string()))?;
    let answer = wire::send(shared, &outgoing, url, Payload::Stream(&mut reader))?;
    let location = answer.header("location").filter(|_| redirect::is_redirect(answer.status));
    match location {
        None => Ok(answer),
        Some(location) => {
            let location = String::from_utf8_lossy(location);
            Err(redirect::of_upload(answer.status, outgoing.method, url, &location))
        }
    }
}
