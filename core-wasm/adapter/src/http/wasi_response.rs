//! A response of the runtime, and reading its body.

use super::pollables::{IDLE, REFUSAL, wait};
use super::wasi_http_errors;
use super::wasi_request::Upload;
use btdt_host_runtime::archive::TransportError;
use btdt_host_runtime::clock;
use btdt_host_runtime::http_client::{
    ArrivalRate, MAX_TRUSTED_LENGTH, RequestError, Response, Url,
};
use std::io::{self, Read};
use std::time::Duration;
use wasip2::http::types::{
    FutureIncomingResponse, IncomingBody, IncomingResponse, http_error_code,
};
use wasip2::io::streams::{InputStream, StreamError};

/// Bodies are read in pieces of so many bytes.
const PIECE: usize = 256 * 1024;

/// A response whose body has not been read.
///
/// Resources of `wasi:http` must be dropped before those that they come from, hence the order of
/// the fields.
pub(crate) struct WasiResponse {
    status: u16,
    /// Names, in lower case, and values.
    headers: Vec<(String, Vec<u8>)>,
    url: Url,
    rate: ArrivalRate,
    stream: Option<InputStream>,
    body: Option<IncomingBody>,
    _response: IncomingResponse,
    _request: FutureIncomingResponse,
    /// What has not been sent when the response came early: to close it would break the
    /// connection, over which the rest of the response comes.
    _unsent: Option<Upload>,
}

impl WasiResponse {
    /// Waits for the headers of the response to a request.
    pub(super) fn receive(
        request: FutureIncomingResponse,
        unsent: Option<Upload>,
        url: &Url,
    ) -> Result<Self, RequestError> {
        let answered = loop {
            if let Some(answered) = request.get() {
                break answered;
            }
            if !wait(&[&request.subscribe()], IDLE) {
                return Err(RequestError::silence(url, IDLE));
            }
        };
        let unusable =
            |()| wasi_http_errors::not_sent(url, "the runtime gives its answer to somebody else");
        let described = |code| wasi_http_errors::describe(&code, url);
        let response = answered.map_err(unusable)?.map_err(described)?;
        let headers = response.headers().entries().into_iter();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let body = response.consume().map_err(unusable)?;
        let stream = body.stream().map_err(unusable)?;
        Ok(WasiResponse {
            status: response.status(),
            headers,
            url: url.clone(),
            rate: ArrivalRate::default(),
            stream: Some(stream),
            body: Some(body),
            _response: response,
            _request: request,
            _unsent: unsent,
        })
    }

    /// The next bytes, `most` of them at most; `None` at the end of a complete body. Waits for
    /// them as long as `limit` at most.
    fn next(&mut self, most: usize, limit: Duration) -> Result<Option<Vec<u8>>, RequestError> {
        let since = clock::instant();
        loop {
            let Some(stream) = &self.stream else { return Ok(None) };
            match stream.read(most.min(PIECE) as u64) {
                Ok(bytes) if bytes.is_empty() => {
                    if !wait(&[&stream.subscribe()], limit) {
                        return Err(RequestError::silence(&self.url, limit));
                    }
                }
                Ok(bytes) => {
                    self.rate.note(bytes.len() as u64, since.elapsed());
                    if self.rate.is_too_slow(IDLE) {
                        return Err(RequestError::too_slow(&self.url));
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
                        |code| wasi_http_errors::words(&code).into_owned(),
                    );
                    return Err(RequestError::cut_off(&self.url, &reason));
                }
            }
        }
    }

    /// Finds out whether the body was complete, which runtimes say with the trailers.
    fn finish(&mut self) -> Result<(), RequestError> {
        let Some(body) = self.body.take() else { return Ok(()) };
        let trailers = IncomingBody::finish(body);
        loop {
            match trailers.get() {
                Some(Ok(Err(code))) => {
                    let reason = wasi_http_errors::words(&code);
                    return Err(RequestError::cut_off(&self.url, &reason));
                }
                Some(_) => return Ok(()),
                None if wait(&[&trailers.subscribe()], IDLE) => {}
                None => return Err(RequestError::silence(&self.url, IDLE)),
            }
        }
    }
}

impl Response for WasiResponse {
    fn status(&self) -> u16 {
        self.status
    }

    fn url(&self) -> &Url {
        &self.url
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    fn read(mut self, buffer: &mut Vec<u8>, limit: u64) -> Result<(), RequestError> {
        let length = self.header("content-length");
        let length = length.and_then(|value| std::str::from_utf8(value).ok());
        let length: Option<u64> = length.and_then(|text| text.trim().parse().ok());
        if let Some(length) = length {
            if length > limit {
                return Err(RequestError::too_large(&self.url, limit));
            }
            buffer.reserve(usize::try_from(length.min(MAX_TRUSTED_LENGTH)).unwrap_or(0));
        }
        while let Some(piece) = self.next(usize::MAX, IDLE)? {
            if (buffer.len() + piece.len()) as u64 > limit {
                return Err(RequestError::too_large(&self.url, limit));
            }
            buffer.extend_from_slice(&piece);
        }
        // A runtime that decompresses yields another number of bytes.
        let is_plain = self.header("content-encoding").is_none();
        match length {
            Some(length) if is_plain && buffer.len() as u64 != length => {
                let reason = format!("{length} bytes were announced, and {} came", buffer.len());
                Err(RequestError::cut_off(&self.url, &reason))
            }
            _ => Ok(()),
        }
    }

    fn message(mut self, limit: u64) -> Vec<u8> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut buffer, since) = (Vec::new(), clock::instant());
        while buffer.len() < limit
            && let Some(left) = REFUSAL.checked_sub(since.elapsed())
            && let Ok(Some(piece)) = self.next(limit - buffer.len(), left)
        {
            buffer.extend_from_slice(&piece[..piece.len().min(limit - buffer.len())]);
        }
        buffer
    }

    fn into_reader(self) -> Result<Box<dyn Read + Send>, RequestError> {
        Ok(Box::new(BodyReader { response: self, current: io::Cursor::default() }))
    }
}

/// Reads a body. A body that is cut off or stops arriving ends in an error that contains the
/// [`btdt_ports::HttpError`], and never just ends.
struct BodyReader {
    response: WasiResponse,
    current: io::Cursor<Vec<u8>>,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.position() == self.current.get_ref().len() as u64 {
            let next = self.response.next(usize::MAX, IDLE);
            let next = next.map_err(|failure| io::Error::other(TransportError(failure.error)))?;
            self.current = io::Cursor::new(next.unwrap_or_default());
        }
        self.current.read(buffer)
    }
}
