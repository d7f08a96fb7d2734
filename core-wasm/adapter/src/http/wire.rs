//! One exchange with the runtime: a request out, an answer in.
//!
//! Resources of `wasi:http` have to be dropped before those that they come from: that is why the
//! fields below are in this order.

use super::client::{CONNECT, IDLE, Shared, nanoseconds, wait};
use super::exchange::Outgoing;
use super::failures;
use btdt_host_runtime::clock;
use btdt_host_runtime::http_rules::pace::Pace;
use btdt_host_runtime::http_rules::{Failure, Url};
use std::io::{ErrorKind, Read};
use std::time::Duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// Bodies are read and written in pieces of so many bytes.
const PIECE: usize = 256 * 1024;

/// Some runtimes count the time that a request takes to be sent as time without an answer. Longer
/// than any upload; [`IDLE`] is watched over here.
const WHOLE_REQUEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What the server is told about this program.
const USER_AGENT: &str = concat!("btdt/", env!("CARGO_PKG_VERSION"));

/// What is sent after the headers.
pub(super) enum Payload<'a> {
    /// Nothing.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// As much as there is, of unknown length.
    Stream(&'a mut dyn Read),
}

/// The headers of an answer, and how to read the rest.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names, in lower case, and values.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) url: Url,
    pace: Pace,
    stream: Option<InputStream>,
    body: Option<IncomingBody>,
    _response: IncomingResponse,
    _request: FutureIncomingResponse,
    /// What has not been sent where the answer came early: to close it would break the connection,
    /// over which the rest of the answer comes.
    _unsent: Option<Upload>,
}

/// The body of a request.
struct Upload {
    stream: OutputStream,
    body: OutgoingBody,
}

/// Sends one request, up to the headers of the answer.
pub(super) fn send(
    shared: &Shared,
    outgoing: &Outgoing,
    url: &Url,
    payload: Payload<'_>,
) -> Result<Answer, Failure> {
    let request = OutgoingRequest::new(headers(shared, outgoing, &payload)?);
    let refused = |()| failures::not_sent(url, "the runtime takes no such request");
    request.set_method(&method(outgoing.method)).map_err(refused)?;
    let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(refused)?;
    request.set_authority(Some(&authority(url))).map_err(refused)?;
    request.set_path_with_query(Some(&path_with_query(url))).map_err(refused)?;
    let upload = match payload {
        Payload::Nothing => None,
        _ => {
            let body = request.body().map_err(refused)?;
            let stream = body.write().map_err(refused)?;
            Some(Upload { stream, body })
        }
    };
    let response =
        handle(request, Some(options())).map_err(|code| failures::describe(&code, url))?;
    let unsent = match (upload, payload) {
        (Some(upload), Payload::Bytes(bytes)) => {
            let mut bytes = bytes;
            upload.send(&mut bytes, &response, url)?
        }
        (Some(upload), Payload::Stream(read)) => upload.send(read, &response, url)?,
        _ => None,
    };
    receive(response, unsent, url)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "PUT" => Method::Put,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        other => Method::Other(other.to_owned()),
    }
}

fn headers(shared: &Shared, outgoing: &Outgoing, payload: &Payload<'_>) -> Result<Fields, Failure> {
    let bearer = shared.bearer.header().map_err(|error| Failure { error, passing: false })?;
    let mut headers = outgoing.headers.clone();
    let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.into()));
    add("user-agent", USER_AGENT);
    match payload {
        Payload::Bytes(bytes) => add("content-length", &bytes.len().to_string()),
        Payload::Nothing if matches!(outgoing.method, "PUT" | "POST") => add("content-length", "0"),
        _ => {}
    }
    let fields = Fields::new();
    for (name, value) in &headers {
        fields.append(name, value).map_err(|_| Failure::invalid_header(name))?;
    }
    if let Some(bearer) = bearer {
        // Nothing may show its value.
        let appended = fields.append("authorization", bearer.as_str().as_bytes());
        appended.map_err(|_| Failure::invalid_header("authorization"))?;
    }
    Ok(fields)
}

/// Time limits. A runtime that does not know one of them has its own.
fn options() -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(nanoseconds(CONNECT)));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(WHOLE_REQUEST)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(IDLE)));
    options
}

/// Host and, where it is not the usual one, port.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn path_with_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

impl Upload {
    /// Sends all that `read` gives. What is left is given back where there is an answer before
    /// that, or where the other side takes no more, which the answer explains.
    fn send(
        self,
        read: &mut dyn Read,
        response: &FutureIncomingResponse,
        url: &Url,
    ) -> Result<Option<Upload>, Failure> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = match read.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::unreadable_upload(url, &error.to_string())),
            };
            if !self.write(&piece[..length], response, url)? {
                return Ok(Some(self));
            }
        }
        if self.stream.flush().is_err() {
            return Ok(Some(self));
        }
        let Upload { stream, body } = self;
        drop(stream);
        // Why it failed, the missing answer says.
        let _ = OutgoingBody::finish(body, None);
        Ok(None)
    }

    /// Writes a piece. False where there is an answer, or one to be expected, before its end.
    fn write(
        &self,
        mut bytes: &[u8],
        response: &FutureIncomingResponse,
        url: &Url,
    ) -> Result<bool, Failure> {
        while !bytes.is_empty() {
            let Ok(permitted) = self.stream.check_write() else { return Ok(false) };
            if permitted > 0 {
                let length = usize::try_from(permitted).unwrap_or(usize::MAX).min(bytes.len());
                if self.stream.write(&bytes[..length]).is_err() {
                    return Ok(false);
                }
                bytes = &bytes[length..];
                continue;
            }
            let (writable, answered) = (self.stream.subscribe(), response.subscribe());
            if !wait(&[&writable, &answered], IDLE) {
                return Err(Failure::silence(url, IDLE));
            }
            if answered.ready() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn receive(
    request: FutureIncomingResponse,
    unsent: Option<Upload>,
    url: &Url,
) -> Result<Answer, Failure> {
    let answered = loop {
        if let Some(answered) = request.get() {
            break answered;
        }
        if !wait(&[&request.subscribe()], IDLE) {
            return Err(Failure::silence(url, IDLE));
        }
    };
    let unusable = |()| failures::not_sent(url, "the runtime gives its answer to somebody else");
    let response = answered.map_err(unusable)?.map_err(|code| failures::describe(&code, url))?;
    let headers = response.headers().entries().into_iter();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let body = response.consume().map_err(unusable)?;
    let stream = body.stream().map_err(unusable)?;
    Ok(Answer {
        status: response.status(),
        headers,
        url: url.clone(),
        pace: Pace::default(),
        stream: Some(stream),
        body: Some(body),
        _response: response,
        _request: request,
        _unsent: unsent,
    })
}

impl Answer {
    /// The value of the first header of that lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// The next bytes, `most` of them at most; `None` at the end of a complete answer. Waits for
    /// them as long as `patience` at most.
    pub(super) fn next(
        &mut self,
        most: usize,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let since = clock::instant();
        loop {
            let Some(stream) = &self.stream else { return Ok(None) };
            match stream.read(most.min(PIECE) as u64) {
                Ok(bytes) if bytes.is_empty() => {
                    if !wait(&[&stream.subscribe()], patience) {
                        return Err(Failure::silence(&self.url, patience));
                    }
                }
                Ok(bytes) => {
                    self.pace.note(bytes.len() as u64, since.elapsed());
                    if self.pace.is_too_slow(IDLE) {
                        return Err(Failure::too_slow(&self.url));
                    }
                    return Ok(Some(bytes));
                }
                Err(StreamError::Closed) => {
                    self.stream = None;
                    return self.finish().map(|()| None);
                }
                Err(StreamError::LastOperationFailed(error)) => {
                    let code = http_error_code(&error);
                    let reason = code.map_or_else(
                        || error.to_debug_string(),
                        |code| failures::words(&code).into_owned(),
                    );
                    return Err(Failure::cut_off(&self.url, &reason));
                }
            }
        }
    }

    /// Finds out whether the body was complete, which runtimes say with the trailers.
    fn finish(&mut self) -> Result<(), Failure> {
        let Some(body) = self.body.take() else { return Ok(()) };
        let trailers = IncomingBody::finish(body);
        loop {
            match trailers.get() {
                Some(Ok(Err(code))) => {
                    return Err(Failure::cut_off(&self.url, &failures::words(&code)));
                }
                Some(_) => return Ok(()),
                None if wait(&[&trailers.subscribe()], IDLE) => {}
                None => return Err(Failure::silence(&self.url, IDLE)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parts = |url: &str| {
            let url = Url::parse(url).unwrap();
            format!("{} {}", authority(&url), path_with_query(&url))
        };
        assert_eq!(parts("https://h"), "h /");
        assert_eq!(parts("https://h:443/a?"), "h /a?");
        assert_eq!(parts("http://h:8080/a%20b/?q=%2F#x"), "h:8080 /a%20b/?q=%2F");
        assert_eq!(parts("http://[::1]:81/ä"), "[::1]:81 /%C3%A4");
    }
}
