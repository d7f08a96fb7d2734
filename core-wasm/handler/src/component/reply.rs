//! Sends the answer to a request.

use super::bindings::wasi::io::streams::{OutputStream, StreamError};
use super::bindings::{core, http, service};
use super::{fault_texts, stderr_log};
use btdt_host_runtime::server_common::{REQUEST_ID, Refusal};
use service::{ArchivePlan, StoredCodec, TransferFault};
use std::borrow::Cow;

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    /// Without `Content-Length` and the id of the request.
    pub(super) headers: Vec<(String, String)>,
    pub(super) content: Content,
    /// The length of the body, if it is known. For `HEAD`: of the body that is omitted.
    pub(super) length: Option<u64>,
    /// The cache that the request was about.
    pub(super) cache: Option<String>,
}

/// A body.
pub(super) enum Content {
    Empty,
    Bytes(Cow<'static, [u8]>),
    Stored(core::StoredPart),
    Archive(ArchivePlan, StoredCodec),
}

impl Reply {
    /// A reply that explains why the core did not answer.
    pub(super) fn refusal(refusal: Refusal, id: &str, is_head: bool) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let body = refusal.body(id).into_bytes();
        let length = Some(body.len() as u64);
        Reply {
            status: refusal.status(),
            headers: refusal.headers().into_iter().map(owned).collect(),
            content: if is_head { Content::Empty } else { Content::Bytes(body.into()) },
            length,
            cache: None,
        }
    }

    /// Sends it. A damaged chunk is reported to the core before the client can see that the answer
    /// is incomplete.
    pub(super) fn send(self, out: http::ResponseOutparam, id: &str) {
        let Reply { status, headers, content, length, cache } = self;
        let response = http::OutgoingResponse::new(fields(&headers, length, id));
        if response.set_status_code(status).is_err() {
            // The runtime does not accept the status. Whatever it was, it must not look like a success.
            let _ = response.set_status_code(Refusal::Broken.status());
        }
        // Even an empty body must be finished: some runtimes require it.
        let body = response.body();
        http::ResponseOutparam::set(out, Ok(response));
        // Both fail only the second time.
        let Ok(body) = body else { return };
        let Ok(stream) = body.write() else { return };
        let sent = match content {
            Content::Empty => {
                drop(stream);
                Ok(())
            }
            Content::Bytes(bytes) => write(stream, &bytes),
            Content::Stored(core::StoredPart { object, offset, length }) => {
                service::send_stored(object, offset, length, stream)
            }
            Content::Archive(plan, codec) => service::send_archive(plan, codec, stream),
        };
        match sent {
            Ok(()) => {
                // Fails if the client has gone, or for `HEAD`, whose body is shorter than announced.
                let _ = http::OutgoingBody::finish(body, None);
            }
            // The client has gone.
            Err(TransferFault::Interrupted) => {}
            // The body is not finished, so that the client notices that it is incomplete.
            Err(fault) => {
                let why = fault_texts::of_transfer(&fault);
                stderr_log::failed_request(id, "the answer could not be completed", &why);
                if let (TransferFault::Chunk(damaged), Some(cache)) = (fault, &cache) {
                    core::report_damage(cache, damaged.digest);
                }
            }
        }
    }
}

/// The headers of a response, except those that the runtime does not allow.
fn fields(headers: &[(String, String)], length: Option<u64>, id: &str) -> http::Fields {
    let fields = http::Fields::new();
    let length = length.map(|length| length.to_string());
    let own = length.as_deref().map(|length| ("content-length", length));
    let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in given.chain(own).chain([(REQUEST_ID, id)]) {
        // For btdt 0.4, the key of an entry is sent as it is, even if it is not ASCII.
        let _ = fields.append(name, value.as_bytes());
    }
    fields
}

/// Writes all bytes, in pieces of the size that the runtime accepts.
fn write(stream: OutputStream, bytes: &[u8]) -> Result<(), TransferFault> {
    let gone = |_: StreamError| TransferFault::Interrupted;
    let mut left = bytes;
    while !left.is_empty() {
        let permitted = usize::try_from(stream.check_write().map_err(gone)?).unwrap_or(usize::MAX);
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, rest) = left.split_at(permitted.min(left.len()));
        stream.write(now).map_err(gone)?;
        left = rest;
    }
    stream.blocking_flush().map_err(gone)
}
