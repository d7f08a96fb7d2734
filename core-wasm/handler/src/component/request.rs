//! Handles one request: asks the core, receives the body if the core wants it, and replies.

use super::bindings::wasi::io::streams::InputStream;
use super::bindings::{core, http, service};
use super::reply::{Content, Reply};
use super::{fault_texts, setup, stderr_log};
use crate::request_head::Head;
use btdt_host_runtime::server_common::{Refusal, pages};
use btdt_server_config::Config;
use service::{StoredCodec, TransferFault};

/// A request that is being answered.
struct ActiveRequest {
    /// Identifies the request in the log and for the client.
    id: String,
    is_head: bool,
    request: core::Request,
    settings: core::Settings,
    /// The `Content-Length`.
    announced: Option<u64>,
    /// For archives, in bytes.
    max_body: u64,
}

/// Answers a request. Only if something traps is there no answer; then the runtime sends one.
pub(super) fn answer(request: &http::IncomingRequest, out: http::ResponseOutparam) {
    let id = format!("{:016x}", wasip2::random::random::get_random_u64());
    let is_head = matches!(request.method(), http::Method::Head);
    let Some(config) = setup::config() else {
        stderr_log::failed_request(&id, "it cannot be answered", "the configuration is wrong");
        return Reply::refusal(Refusal::Broken, &id, is_head).send(out, &id);
    };
    let head = Head::new(
        request.path_with_query().as_deref().unwrap_or_default(),
        request.headers().entries(),
        &id,
    );
    if head.size > config.limits.max_header_size {
        return Reply::refusal(Refusal::Head, &id, is_head).send(out, &id);
    }
    let active = ActiveRequest::new(id, request.method(), head, config);
    let replied = active.run(request);
    let reply = replied.unwrap_or_else(|refusal| Reply::refusal(refusal, &active.id, is_head));
    reply.send(out, &active.id);
}

impl ActiveRequest {
    fn new(id: String, method: http::Method, head: Head, config: &Config) -> Self {
        let announced = head.announced();
        let Head { path, query, headers, .. } = head;
        ActiveRequest {
            id,
            is_head: matches!(method, http::Method::Head),
            request: core::Request { method: method_name(method), path, query, headers },
            settings: core::Settings {
                api_docs: config.enable_api_docs,
                metrics: false,
                max_manifest: config.limits.max_manifest_size,
            },
            announced,
            max_body: config.limits.max_body_size,
        }
    }

    fn run(&self, request: &http::IncomingRequest) -> Result<Reply, Refusal> {
        let response = match core::handle(&self.request, self.settings) {
            core::Answer::Respond(response) => response,
            core::Answer::ReceiveBytes(upload) => {
                self.receive_bytes(&Body::of(request)?, upload)?
            }
            core::Answer::ReceiveChunk(upload) => {
                self.receive_chunk(&Body::of(request)?, upload)?
            }
            core::Answer::ReceiveArchive(upload) => {
                self.receive_archive(&Body::of(request)?, upload)?
            }
        };
        self.reply(response)
    }

    fn receive_bytes(
        &self,
        body: &Body,
        upload: core::BytesUpload,
    ) -> Result<core::Response, Refusal> {
        let core::BytesUpload { limit, encoding } = upload;
        self.check_announced(limit)?;
        let received = service::receive_bytes(body.stream()?, codec(encoding), limit);
        let received = received.map_err(|fault| self.refused(fault))?;
        Ok(core::with_bytes(&self.request, self.settings, &received))
    }

    fn receive_chunk(
        &self,
        body: &Body,
        upload: core::ChunkUpload,
    ) -> Result<core::Response, Refusal> {
        let core::ChunkUpload { objects, digest, limit, created, existing } = upload;
        let kept = service::receive_chunk(body.stream()?, &objects, digest, limit);
        let fault = match kept {
            Ok(outcome) => return Ok(if outcome.new { created } else { existing }),
            Err(TransferFault::TooLarge) => core::UploadFault::TooLarge,
            Err(TransferFault::Object(fault)) => core::UploadFault::Damaged(fault),
            Err(TransferFault::Storage(error)) => core::UploadFault::Storage(error),
            Err(fault) => return Err(self.refused(fault)),
        };
        Ok(core::refuse_chunk(&self.request, self.settings, fault))
    }

    fn receive_archive(
        &self,
        body: &Body,
        upload: core::ArchiveUpload,
    ) -> Result<core::Response, Refusal> {
        let core::ArchiveUpload { objects, encoding } = upload;
        self.check_announced(self.max_body)?;
        let (stream, codec) = (body.stream()?, codec(encoding));
        let archive = service::receive_archive(stream, codec, &objects, self.max_body);
        let archive = archive.map_err(|fault| {
            stderr_log::failed_request(
                &self.id,
                "the archive cannot be read",
                &format!("{fault:?}"),
            );
            Refusal::Broken
        })?;
        Ok(core::with_archive(&self.request, self.settings, archive))
    }

    /// Refuses early what is announced as too large.
    fn check_announced(&self, limit: u64) -> Result<(), Refusal> {
        if self.announced.is_some_and(|length| length > limit) {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }

    fn refused(&self, fault: TransferFault) -> Refusal {
        match fault {
            TransferFault::TooLarge => Refusal::TooLarge,
            TransferFault::Malformed | TransferFault::Interrupted => Refusal::Incomplete,
            TransferFault::Object(_) | TransferFault::Chunk(_) | TransferFault::Storage(_) => {
                self.failed("the body cannot be received", &fault);
                Refusal::Broken
            }
        }
    }

    fn failed(&self, what: &str, fault: &TransferFault) {
        stderr_log::failed_request(&self.id, what, &fault_texts::of_transfer(fault));
    }

    fn reply(&self, response: core::Response) -> Result<Reply, Refusal> {
        let mut headers = response.headers;
        let (content, length) = match response.body {
            core::Body::Empty => {
                let may_have_one = !self.is_head && !matches!(response.status, 204 | 304);
                (Content::Empty, may_have_one.then_some(0))
            }
            core::Body::Bytes(bytes) => {
                let length = bytes.len() as u64;
                (Content::Bytes(bytes.into()), Some(length))
            }
            core::Body::Stored(part) => {
                let length = part.length;
                (Content::Stored(part), Some(length))
            }
            core::Body::Archive(core::ArchiveBody { plan, encoding }) => {
                let codec = codec(encoding);
                let length = match codec {
                    // A response to `HEAD` has no plan.
                    _ if self.is_head => None,
                    StoredCodec::None => Some(service::archive_length(&plan).map_err(|fault| {
                        self.failed("the archive cannot be sent", &fault);
                        Refusal::Unreadable
                    })?),
                    StoredCodec::Gzip | StoredCodec::Zstd => None,
                };
                (Content::Archive(plan, codec), length)
            }
            core::Body::Page(page) => {
                let (media_type, text) = page_text(page);
                headers.retain(|(name, _)| name != "content-type");
                headers.push(("content-type".to_owned(), media_type.to_owned()));
                (Content::Bytes(text.as_bytes().into()), Some(text.len() as u64))
            }
        };
        Ok(Reply {
            status: response.status,
            headers,
            content: if self.is_head { Content::Empty } else { content },
            length,
            cache: response.cache,
        })
    }
}

/// The body of a request. Dropping it discards what was not read.
struct Body(http::IncomingBody);

impl Body {
    fn of(request: &http::IncomingRequest) -> Result<Self, Refusal> {
        // This fails only the second time.
        request.consume().map(Body).map_err(|()| Refusal::Broken)
    }

    fn stream(&self) -> Result<InputStream, Refusal> {
        self.0.stream().map_err(|()| Refusal::Broken)
    }
}

fn page_text(page: core::Page) -> (&'static str, &'static str) {
    match page {
        core::Page::Docs => ("text/html; charset=utf-8", pages::DOCS),
        core::Page::OpenApi => ("application/json", pages::OPENAPI),
        core::Page::Readiness => ("text/plain", "ready"),
        // Never asked for: the settings of the core say that there are no metrics.
        core::Page::Metrics => ("text/plain", ""),
    }
}

fn codec(encoding: core::Encoding) -> StoredCodec {
    match encoding {
        core::Encoding::Identity => StoredCodec::None,
        core::Encoding::Gzip => StoredCodec::Gzip,
        core::Encoding::Zstd => StoredCodec::Zstd,
    }
}

fn method_name(method: http::Method) -> String {
    let name = match method {
        http::Method::Get => "GET",
        http::Method::Head => "HEAD",
        http::Method::Post => "POST",
        http::Method::Put => "PUT",
        http::Method::Delete => "DELETE",
        http::Method::Connect => "CONNECT",
        http::Method::Options => "OPTIONS",
        http::Method::Trace => "TRACE",
        http::Method::Patch => "PATCH",
        http::Method::Other(name) => return name,
    };
    name.to_owned()
}
