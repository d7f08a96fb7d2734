//! Sends requests until there is a response, and reads its body. A body that is cut off is asked
//! for again.

use super::body_decoding::{compression, decoded};
use super::client_request::Request;
use super::redirect::{refuse_redirect, send_following};
use super::request_error::{RequestError, host_and_port};
use super::retry::{next_pause, persist_since};
use super::transport::{Response, Transport, is_success, judge};
use crate::archive::{TarArchive, TarPlan};
use crate::chunk_io::Sink;
use btdt_ports::{
    ArchiveFault, HttpError, HttpRequest, HttpResponse, IncomingBody, Method, RetryPolicy,
};
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

/// The most that is allocated at once, in bytes, because a server states a length.
pub const MAX_TRUSTED_LENGTH: u64 = 8 * 1024 * 1024;

/// The body of a response. Dropping it unread closes its connection.
pub struct ResponseBody<T: Transport> {
    transport: Arc<T>,
    response: T::Response,
    /// How to ask again; `None` where that is not possible.
    replay: Option<Replay>,
    /// Whether there is no body, whatever the headers say.
    empty: bool,
}

/// How to ask again for a body that was cut off.
struct Replay {
    request: Request,
    policy: RetryPolicy,
    /// Attempts so far.
    used: u32,
    /// When the first one began.
    since: Instant,
}

/// Sends a request, again where its policy allows.
///
/// # Errors
/// When there is no response.
pub fn send<T: Transport>(
    transport: &Arc<T>,
    request: &HttpRequest,
) -> Result<HttpResponse<ResponseBody<T>>, HttpError> {
    let (policy, since) = (request.retries.clone(), transport.now());
    let mut replay = Replay { request: Request::of_core(request)?, policy, used: 0, since };
    let response = replay.send(transport)?;
    Ok(ResponseBody::begin(transport, request.method, response, Some(replay)))
}

/// Sends a request with what `body` yields as its body, once.
///
/// # Errors
/// When there is no response, or it is a redirect.
pub fn upload<T: Transport>(
    transport: &Arc<T>,
    request: &HttpRequest,
    body: impl Read + Send + 'static,
) -> Result<HttpResponse<ResponseBody<T>>, HttpError> {
    let outgoing = Request::of_core(request)?;
    let response = refuse_redirect(&outgoing, transport.send_stream(&outgoing, body)?)?;
    Ok(ResponseBody::begin(transport, request.method, response, None))
}

/// [`upload`] of an archive.
///
/// # Errors
/// When the archive cannot be read, there is no response, or it is a redirect.
pub fn upload_archive<T: Transport>(
    transport: &Arc<T>,
    request: &HttpRequest,
    plan: TarPlan,
) -> Result<HttpResponse<ResponseBody<T>>, HttpError> {
    let url = Request::of_core(request)?.url;
    let reader = plan.into_reader();
    let reader =
        reader.map_err(|fault| RequestError::unreadable_upload(&url, &fault.to_string()))?;
    upload(transport, request, reader)
}

impl Replay {
    fn send<T: Transport>(&mut self, transport: &Arc<T>) -> Result<T::Response, HttpError> {
        let Replay { request, policy, used, since } = self;
        persist_since(policy, used, *since, &**transport, || {
            let response = send_following(transport, request)?;
            let attempt = judge(&**transport, policy, &response, ());
            Ok(attempt.map(|()| response))
        })
    }
}

impl<T: Transport> ResponseBody<T> {
    fn begin(
        transport: &Arc<T>,
        method: Method,
        response: T::Response,
        replay: Option<Replay>,
    ) -> HttpResponse<Self> {
        let status = response.status();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = response.headers().map(|(name, value)| (name.to_owned(), text(value)));
        let headers = headers.collect();
        let empty = method == Method::Head || matches!(status, 204 | 304);
        let body = ResponseBody { transport: Arc::clone(transport), response, replay, empty };
        HttpResponse { status, headers, body }
    }

    #[cfg(test)]
    pub(crate) fn into_response(self) -> T::Response {
        self.response
    }

    /// The body as it is sent. Asks again, where that is allowed, when it is cut off.
    fn collect(self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let ResponseBody { transport, mut response, mut replay, .. } = self;
        if !is_success(response.status()) {
            return Ok(response.message(limit));
        }
        let first = identity(&response);
        loop {
            let mut buffer = Vec::new();
            let Err(failure) = response.read(&mut buffer, limit) else { return Ok(buffer) };
            let again = replay.as_mut().filter(|_| failure.transient).and_then(|replay| {
                let spent = transport.now().saturating_duration_since(replay.since);
                Some((next_pause(&replay.policy, replay.used, None, spent)?, replay))
            });
            let Some((pause, replay)) = again else { return Err(failure.into()) };
            transport.pause(pause);
            response = replay.send(&transport)?;
            // The caller has seen the headers of the first response.
            if identity(&response) != first {
                return Err(failure.into());
            }
        }
    }
}

/// What has to be the same when a body is asked for again: the status and some headers.
fn identity(response: &impl Response) -> (u16, Vec<(String, Vec<u8>)>) {
    let counts = |name: &str| {
        name.starts_with("btdt-") || matches!(name, "content-type" | "content-encoding" | "etag")
    };
    let headers = response.headers().filter(|(name, _)| counts(name));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (response.status(), headers.collect())
}

impl<T: Transport> IncomingBody for ResponseBody<T> {
    type Reader = TarArchive;
    type Sink = Sink;

    fn bytes(self, limit: u64) -> Result<Vec<u8>, HttpError> {
        if self.empty {
            return Ok(Vec::new());
        }
        let from = host_and_port(self.response.url());
        let encoding = self.response.header("content-encoding").map(<[u8]>::to_vec);
        decoded(&from, encoding.as_deref(), limit, |limit| self.collect(limit))
    }

    fn unarchive(self, sink: &Sink) -> Result<TarArchive, ArchiveFault> {
        let encoding = self.response.header("content-encoding");
        let compression = compression(encoding).ok_or(ArchiveFault::Malformed)?;
        let body = self.response.into_reader();
        let body =
            body.map_err(|failure: RequestError| ArchiveFault::Interrupted(failure.error))?;
        // Of any size: the archive is never in memory as a whole.
        TarArchive::new(body, compression, Sink::clone(sink), u64::MAX)
    }
}
