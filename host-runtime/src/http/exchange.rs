//! One request and the beginning of its answer, redirections included.

use super::client::Shared;
use super::failures::{Failure, describe, wants_password};
use super::options::Pause;
use crate::http_rules::retry::{self, Attempt};
use crate::http_rules::{address, redirect};
use btdt_ports::{HttpRequest, RetryPolicy};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Body, Method, Request, Response, Url};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bodies are handed over in pieces of so many bytes. A connection that does not take one of them
/// within the timeout is as good as broken.
const PIECE: usize = 256 * 1024;

/// A request that can be sent any number of times.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outgoing {
    pub(super) fn new(method: Method, url: &str, body: Bytes) -> Result<Self, Failure> {
        Ok(Outgoing { method, url: address::parse(url)?, headers: HeaderMap::new(), body })
    }

    pub(super) fn from_request(request: &HttpRequest) -> Result<Self, Failure> {
        use btdt_ports::Method as Asked;
        let method = match request.method {
            Asked::Get => Method::GET,
            Asked::Head => Method::HEAD,
            Asked::Put => Method::PUT,
            Asked::Post => Method::POST,
            Asked::Delete => Method::DELETE,
        };
        let body = Bytes::copy_from_slice(&request.body);
        let mut outgoing = Outgoing::new(method, &request.url, body)?;
        for (name, value) in &request.headers {
            let invalid = || Failure::invalid_header(name);
            let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            outgoing.headers.append(name, value);
        }
        Ok(outgoing)
    }
}

/// Sends a request and follows redirections, up to the headers of the answer.
pub(super) async fn exchange(
    shared: Arc<Shared>,
    outgoing: Outgoing,
    bearer: Option<HeaderValue>,
) -> Result<Response, Failure> {
    let mut url = outgoing.url;
    let mut redirects = 0;
    let since = shared.now();
    loop {
        let progress = Arc::new(Progress::default());
        let mut request = Request::new(outgoing.method.clone(), url.clone());
        *request.headers_mut() = outgoing.headers.clone();
        if outgoing.body.len() > PIECE {
            let body = Metered { rest: outgoing.body.clone(), progress: Arc::clone(&progress) };
            *request.body_mut() = Some(Body::wrap(body));
        } else if !outgoing.body.is_empty() {
            *request.body_mut() = Some(outgoing.body.clone().into());
        }
        let answer = send(&shared, request, bearer.clone(), &progress).await?;
        let status = answer.status().as_u16();
        let location = answer.headers().get(LOCATION).map(HeaderValue::as_bytes);
        let Some(location) = location.filter(|_| redirect::is_redirect(status)) else {
            return Ok(answer);
        };
        redirect::count(redirects, &url)?;
        if shared.now().saturating_duration_since(since) >= retry::BUDGET {
            return Err(Failure::silence(&url, retry::BUDGET));
        }
        redirects += 1;
        let location = String::from_utf8_lossy(location);
        let (method, has_body) = (outgoing.method.as_str(), !outgoing.body.is_empty());
        url = redirect::follow(status, method, has_body, &url, &location)?;
    }
}

/// Sends one request, up to the headers of the answer.
async fn send(
    shared: &Shared,
    mut request: Request,
    bearer: Option<HeaderValue>,
    progress: &Progress,
) -> Result<Response, Failure> {
    if let Some(bearer) = bearer {
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    let url = request.url().clone();
    let proxy = shared.chooser.proxy_for(&url)?;
    let proxy_tls = proxy.as_ref().is_some_and(|proxy| proxy.tls);
    let proxy = proxy.map(|proxy| proxy.name);
    let answer = shared.client(&url, proxy_tls)?.execute(request);
    match progress.watch(answer, shared.timeouts.idle).await {
        None => Err(Failure::silence(&url, shared.timeouts.idle)),
        Some(Err(error)) => Err(describe(&error, &url, proxy.as_deref(), shared.timeouts.connect)),
        Some(Ok(answer)) => match proxy {
            // Plain HTTP: it is the proxy who answers.
            Some(proxy) if answer.status().as_u16() == 407 => Err(wants_password(&proxy)),
            _ => Ok(answer),
        },
    }
}

/// What an answer means for further attempts.
pub(super) fn judge<T>(
    shared: &Shared,
    policy: &RetryPolicy,
    answer: &Response,
    value: T,
) -> Attempt<T> {
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    retry::judge(policy, answer.status().as_u16(), asked, (shared.clock)(), value)
}

/// Whether a request is getting ahead.
#[derive(Default)]
pub(super) struct Progress {
    /// Pieces of the body that were taken.
    taken: AtomicU64,
    /// Whether it is this side that lets the other one wait.
    starved: AtomicBool,
}

impl Progress {
    pub(super) fn note_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.starved.store(false, Ordering::Relaxed);
    }

    pub(super) fn note_starved(&self) {
        self.starved.store(true, Ordering::Relaxed);
    }

    /// The result of `future`; `None` if nothing moved for as long as `limit`.
    pub(super) async fn watch<T>(
        &self,
        future: impl Future<Output = T>,
        limit: Duration,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            if let Ok(result) = tokio::time::timeout(limit, &mut future).await {
                return Some(result);
            }
            let moved = before != self.taken.load(Ordering::Relaxed);
            if !moved && !self.starved.load(Ordering::Relaxed) {
                return None;
            }
        }
    }
}

/// A body of known length in pieces.
struct Metered {
    rest: Bytes,
    progress: Arc<Progress>,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.progress.note_taken();
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
