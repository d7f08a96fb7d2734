//! Requests whose body is made while it is sent.

use super::client::Shared;
use super::dial::Dialled;
use super::exchange::{Outgoing, Progress};
use super::failures::{Failure, place, unanswered, wants_password};
use crate::http_rules::redirect::{self, is_redirect};
use btdt_ports::HttpErrorKind;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use reqwest::header::{
    AUTHORIZATION, HOST, HeaderMap, HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use reqwest::{Body, Method, Response, ResponseBuilderExt, Url};
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::thread;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

/// The body is read and sent in pieces of so many bytes.
const PIECE: usize = 256 * 1024;

/// Pieces that wait to be sent.
const WAITING_PIECES: usize = 4;

/// What comes through the queue; its end alone means nothing.
enum Piece {
    Data(Bytes),
    End,
}

/// An answer to an upload.
pub(super) struct Uploaded {
    pub(super) answer: Response,
    /// What ends the upload where that still goes on, when it is dropped: after the answer.
    pub(super) stop: Option<oneshot::Sender<()>>,
}

impl From<Response> for Uploaded {
    fn from(answer: Response) -> Self {
        Uploaded { answer, stop: None }
    }
}

/// Sends what `read` gives as the body of a request, once.
///
/// The answer may come before the end of the body. If `read` fails, the connection is closed, so
/// that the server never takes what it has got for all.
pub(super) fn upload(
    shared: &Arc<Shared>,
    outgoing: Outgoing,
    read: impl Read + Send + 'static,
) -> Result<Uploaded, Failure> {
    let bearer = shared.bearer()?;
    let fault = Arc::new(OnceLock::new());
    let progress = Arc::new(Progress::default());
    let (sender, pieces) = mpsc::channel(WAITING_PIECES);
    let (stop, stopped) = oneshot::channel();
    let progressing = Arc::clone(&progress);
    let body = PlanBody { pieces, stopped, progress: progressing, ended: false, length: None };
    let seen = Arc::clone(&fault);
    thread::Builder::new()
        .name("btdt-upload".to_owned())
        .spawn(move || {
            if let Err(error) = pass_on(read, &sender) {
                // Set before the queue ends.
                let _ = seen.set(error.to_string());
            }
        })
        .map_err(|error| {
            let detail = format!("no thread for an upload can be started: {error}");
            Failure::lasting(HttpErrorKind::Interrupted, detail)
        })?;
    let (url, method) = (outgoing.url.clone(), outgoing.method.clone());
    let on_network = Arc::clone(shared);
    let answer =
        shared.run(async move { send(&on_network, outgoing, body, bearer, &progress).await })?;
    if let (Some(error), true) = (fault.get(), answer.is_err()) {
        return Err(Failure::unreadable_upload(&url, error));
    }
    let answer = unredirected(answer?, &method, &url)?;
    Ok(Uploaded { answer, stop: Some(stop) })
}

/// Sends a request with a body that is there, on a connection of its own, where an answer is not
/// lost that comes before the end of the body.
pub(super) async fn upload_bytes(
    shared: &Shared,
    outgoing: Outgoing,
    bearer: Option<HeaderValue>,
) -> Result<Uploaded, Failure> {
    let mut rest = outgoing.body.clone();
    let length = Some(rest.len() as u64);
    let (sender, pieces) = mpsc::channel(rest.len() / PIECE + 2);
    while !rest.is_empty() {
        // There is room for all of them.
        let _ = sender.try_send(Piece::Data(rest.split_to(rest.len().min(PIECE))));
    }
    let _ = sender.try_send(Piece::End);
    let (stop, stopped) = oneshot::channel();
    let progress = Arc::new(Progress::default());
    let progressing = Arc::clone(&progress);
    let body = PlanBody { pieces, stopped, progress: progressing, ended: false, length };
    let (url, method) = (outgoing.url.clone(), outgoing.method.clone());
    let answer = send(shared, outgoing, body, bearer, &progress).await?;
    let answer = unredirected(answer, &method, &url)?;
    Ok(Uploaded { answer, stop: Some(stop) })
}

/// An answer that does not lead elsewhere.
fn unredirected(answer: Response, method: &Method, url: &Url) -> Result<Response, Failure> {
    let status = answer.status().as_u16();
    let location = answer.headers().get(LOCATION).filter(|_| is_redirect(status));
    let Some(location) = location else { return Ok(answer) };
    let location = String::from_utf8_lossy(location.as_bytes());
    Err(redirect::of_upload(status, method.as_str(), url, &location))
}

/// Sends the request on a connection of its own, up to the headers of the answer.
async fn send(
    shared: &Shared,
    outgoing: Outgoing,
    body: PlanBody,
    bearer: Option<HeaderValue>,
    progress: &Progress,
) -> Result<Response, Failure> {
    let url = outgoing.url;
    let proxy = shared.chooser.proxy_for(&url)?;
    let io = Dialled::connect(shared, &url, proxy.as_ref()).await?.into_io();
    let failed = |error: hyper::Error| unanswered(&error, &url);
    let (mut sender, connection) = http1::handshake(io).await.map_err(failed)?;
    // Its failure is that of the request.
    tokio::spawn(async move { drop(connection.await) });
    // Plain HTTP is the proxy's to answer.
    let proxy = proxy.filter(|_| url.scheme() == "http");
    let mut request = Request::new(body);
    *request.method_mut() = outgoing.method;
    *request.headers_mut() = outgoing.headers;
    let authorization = proxy.as_ref().and_then(|proxy| proxy.authorization.clone());
    add_headers(request.headers_mut(), shared, &url, bearer, authorization)?;
    *request.uri_mut() = request_target(&url, proxy.is_some())?;
    let answer = match progress.watch(sender.send_request(request), shared.timeouts.idle).await {
        None => return Err(Failure::silence(&url, shared.timeouts.idle)),
        Some(answer) => answer.map_err(failed)?,
    };
    match proxy {
        Some(proxy) if answer.status().as_u16() == 407 => Err(wants_password(&proxy.name)),
        _ => {
            let (parts, body) = answer.into_parts();
            let builder = hyper::Response::builder().status(parts.status).url(url.clone());
            let mut answer = builder.body(Body::wrap(body)).map_err(|_| invalid())?;
            *answer.headers_mut() = parts.headers;
            Ok(answer.into())
        }
    }
}

fn invalid() -> Failure {
    Failure::lasting(HttpErrorKind::Protocol, "the upload is not a valid request")
}

/// Whole for a proxy, else without scheme and host.
fn request_target(url: &Url, whole: bool) -> Result<Uri, Failure> {
    let mut text = url.path().to_owned();
    if let Some(query) = url.query() {
        text = format!("{text}?{query}");
    }
    if whole {
        text = format!("{}://{}{text}", url.scheme(), place(url));
    }
    text.parse().map_err(|_| invalid())
}

/// The headers that belong to the connection and the user.
fn add_headers(
    headers: &mut HeaderMap,
    shared: &Shared,
    url: &Url,
    bearer: Option<HeaderValue>,
    proxy_authorization: Option<HeaderValue>,
) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| invalid())?);
    let agent = HeaderValue::from_str(&shared.user_agent).map_err(|_| invalid())?;
    headers.insert(USER_AGENT, agent);
    if let Some(bearer) = bearer {
        headers.insert(AUTHORIZATION, bearer);
    }
    if let Some(authorization) = proxy_authorization {
        headers.insert(PROXY_AUTHORIZATION, authorization);
    }
    Ok(())
}

/// Reads to the end and says so; an error where it cannot be read. Stops silently where nobody
/// takes it any more.
fn pass_on(mut read: impl Read, sender: &Sender<Piece>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let mut length = 0;
        while length < PIECE {
            match read.read(&mut piece[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let last = length < PIECE;
        piece.truncate(length);
        if length > 0 && sender.blocking_send(Piece::Data(piece.into())).is_err() {
            return Ok(());
        }
        if last {
            let _ = sender.blocking_send(Piece::End);
            return Ok(());
        }
    }
}

/// The body of an upload.
struct PlanBody {
    pieces: Receiver<Piece>,
    /// Resolves when nobody is interested in the upload any more.
    stopped: oneshot::Receiver<()>,
    progress: Arc<Progress>,
    ended: bool,
    /// All of it, where that is known.
    length: Option<u64>,
}

impl HttpBody for PlanBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if Pin::new(&mut self.stopped).poll(context).is_ready() {
            return Poll::Ready(Some(Err(io::Error::other("the upload was given up"))));
        }
        let polled = self.pieces.poll_recv(context);
        if polled.is_pending() {
            self.progress.note_starved();
        }
        Poll::Ready(match ready!(polled) {
            Some(Piece::Data(data)) => {
                self.progress.note_taken();
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::End) => {
                self.progress.note_taken();
                self.ended = true;
                None
            }
            None => Some(Err(io::Error::other("what is sent could not be read"))),
        })
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first piece is taken.
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
