//! Hands a request to the runtime and sends its body.

use super::pollables::{CONNECT, IDLE, nanoseconds, wait};
use super::wasi_http_errors;
use btdt_host_runtime::http_client::{BearerHeader, Request, RequestError, Url};
use std::io::{ErrorKind, Read};
use std::time::Duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::OutputStream;

/// Bodies are written in pieces of so many bytes.
const PIECE: usize = 256 * 1024;

/// Some runtimes count the time that a request takes to be sent as time without a response. This is
/// longer than any upload; [`IDLE`] is enforced here.
const WHOLE_REQUEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What the server is told about this program.
const USER_AGENT: &str = concat!("btdt/", env!("CARGO_PKG_VERSION"));

/// What is sent after the headers.
pub(super) enum Payload<'a> {
    /// Nothing.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// A body of unknown length.
    Stream(&'a mut dyn Read),
}

/// The body of a request that is being sent. Its stream is dropped first: it comes from the body.
pub(super) struct Upload {
    stream: OutputStream,
    body: OutgoingBody,
}

/// Sends one request. Returns what is left of its body if there is an early response.
pub(super) fn send(
    bearer: Option<BearerHeader>,
    outgoing: &Request,
    url: &Url,
    payload: Payload<'_>,
) -> Result<(FutureIncomingResponse, Option<Upload>), RequestError> {
    let request = OutgoingRequest::new(headers(bearer, outgoing, &payload)?);
    let refused = |()| wasi_http_errors::not_sent(url, "the runtime takes no such request");
    request.set_method(&method(outgoing)).map_err(refused)?;
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
        handle(request, Some(options())).map_err(|code| wasi_http_errors::describe(&code, url))?;
    let unsent = match (upload, payload) {
        (Some(upload), Payload::Bytes(bytes)) => {
            let mut bytes = bytes;
            upload.send(&mut bytes, &response, url)?
        }
        (Some(upload), Payload::Stream(read)) => upload.send(read, &response, url)?,
        _ => None,
    };
    Ok((response, unsent))
}

fn method(request: &Request) -> Method {
    use btdt_ports::Method as Asked;
    match request.method {
        Asked::Get => Method::Get,
        Asked::Head => Method::Head,
        Asked::Put => Method::Put,
        Asked::Post => Method::Post,
        Asked::Delete => Method::Delete,
    }
}

fn headers(
    bearer: Option<BearerHeader>,
    request: &Request,
    payload: &Payload<'_>,
) -> Result<Fields, RequestError> {
    let fields = Fields::new();
    let add = |name: &str, value: &str| {
        let added = fields.append(name, value.as_bytes());
        added.map_err(|_| RequestError::invalid_header(name))
    };
    for (name, value) in &request.headers {
        add(name, value)?;
    }
    add("user-agent", USER_AGENT)?;
    let puts = matches!(request.method, btdt_ports::Method::Put | btdt_ports::Method::Post);
    match payload {
        Payload::Bytes(bytes) => add("content-length", &bytes.len().to_string())?,
        Payload::Nothing if puts => add("content-length", "0")?,
        _ => {}
    }
    if let Some(bearer) = bearer {
        add("authorization", bearer.as_str())?;
    }
    Ok(fields)
}

/// Time limits. A runtime that does not support one of them has its own.
fn options() -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(nanoseconds(CONNECT)));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(WHOLE_REQUEST)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(IDLE)));
    options
}

/// The host, and the port if it is not the default.
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
    /// Sends all that `read` yields. Returns itself, unfinished, when there is a response before
    /// the end, or the server takes no more, which its response explains.
    fn send(
        self,
        read: &mut dyn Read,
        response: &FutureIncomingResponse,
        url: &Url,
    ) -> Result<Option<Upload>, RequestError> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = match read.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(RequestError::unreadable_upload(url, &error.to_string())),
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
        // If it fails, there is no response, which is reported.
        let _ = OutgoingBody::finish(body, None);
        Ok(None)
    }

    /// Writes a piece. False if there is a response, or one to be expected, before its end.
    fn write(
        &self,
        mut bytes: &[u8],
        response: &FutureIncomingResponse,
        url: &Url,
    ) -> Result<bool, RequestError> {
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
                return Err(RequestError::silence(url, IDLE));
            }
            if answered.ready() {
                return Ok(false);
            }
        }
        Ok(true)
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
