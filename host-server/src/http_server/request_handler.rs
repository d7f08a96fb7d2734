//! Takes one request through the core: receives the body that the core asks for, and sends what it
//! answers.

use super::archive_sender::OutgoingArchive;
use super::body_receiver::{self, Receiver};
use super::chunk_intake::ChunkIntake;
use super::faults::{ReceiveFault, Refusal, SendFault};
use super::io_timeouts::Activity;
use super::request_head;
use super::request_record::RequestRecord;
use super::response_body::{self, ResponseBody};
use crate::admission::{Claims, FREE_ANSWER, Permit, Transfer};
use crate::service::{Service, Unanswered};
use btdt_host_runtime::archive::TarArchive;
use btdt_host_runtime::codec::max_stored_size;
use btdt_host_runtime::content_coding::decompress;
use btdt_host_runtime::engine::server::{
    self as core, Answer, ChunkUpload, Encoding, Lookup, Page, UploadFault,
};
use btdt_host_runtime::engine::{CoreError, SharedObjects};
use btdt_host_runtime::server_common::{self, REQUEST_ID, pages};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;

/// Memory that decoding a manifest takes, as a multiple of its size. An answer about it takes less.
const DECODED_MANIFEST: u64 = 4;

/// Archives of at most so many bytes are read where the request is decided: waiting for a transfer
/// and a thread for it would take longer than all the rest.
const SMALL_ARCHIVE: u64 = 256 << 10;

/// A request that is being answered.
struct RequestHandler {
    service: Arc<Service>,
    claims: Claims,
    id: String,
    head: Arc<core::Request>,
    is_head: bool,
    route: String,
    activity: Arc<Activity>,
}

/// What the core decided.
enum Decided {
    Respond(Prepared),
    /// The body has to be received first.
    Receive(Answer),
}

/// A response that is ready to be sent.
struct Prepared {
    response: Box<core::Response>,
    /// A transfer for an archive, memory for a large answer.
    permit: Option<Permit>,
    /// The first block of an object, read where reading may block.
    first: Option<Bytes>,
}

/// Why a response cannot be sent yet, or at all.
enum Unprepared {
    /// It needs answer memory for so many bytes.
    Memory(usize),
    Fault(SendFault),
}

impl From<Unprepared> for Refusal {
    fn from(unprepared: Unprepared) -> Self {
        match unprepared {
            Unprepared::Memory(_) => Unanswered::Saturated.into(),
            Unprepared::Fault(fault) => fault.into(),
        }
    }
}

/// Answers a request. There is always an answer, unless the connection breaks first.
pub(super) async fn answer(
    service: Arc<Service>,
    activity: Arc<Activity>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let id = format!("{:016x}", service.random());
    let mut record = RequestRecord::begin(Arc::clone(&service), Arc::clone(&activity), &id);
    let (head, body) = request.into_parts();
    activity.set_unread(!body.is_end_stream());
    record.path = request_head::plain_path(head.uri.path());
    record.method = request_head::method_name(&head.method);
    let mut handler = RequestHandler {
        service: Arc::clone(&service),
        claims: service.admission.claims(),
        is_head: head.method == Method::HEAD,
        head: Arc::new(request_head::for_core(&head, &id)),
        route: "unknown".to_owned(),
        id,
        activity,
    };
    // The HTTP library only limits what it keeps of an incomplete head.
    let is_too_large = request_head::size(&head) > service.limits.max_header_size;
    let answered = if is_too_large { Err(Refusal::Head) } else { handler.run(body).await };
    let mut response = answered.unwrap_or_else(|refusal| handler.refuse(&refusal));
    if let Ok(value) = HeaderValue::from_str(&handler.id) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), value);
    }
    if service.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    record.status = response.status().as_u16();
    record.route = handler.route;
    response.map(|body| body.recorded(record))
}

impl RequestHandler {
    async fn run(&mut self, body: Incoming) -> Result<Response<ResponseBody>, Refusal> {
        let answer = match self.decide().await? {
            Decided::Respond(prepared) if prepared.is_archive() && !self.is_head => {
                let prepared = self.admit_archive(prepared).await?;
                return self.respond(prepared);
            }
            Decided::Respond(prepared) => return self.respond(prepared),
            Decided::Receive(answer) => answer,
        };
        let receiver = Receiver::new(body, Arc::clone(&self.service), Arc::clone(&self.activity));
        let prepared = match answer {
            Answer::ReceiveBytes { limit, encoding } => {
                self.receive_bytes(receiver, limit, encoding).await?
            }
            Answer::ReceiveChunk(upload) => self.receive_chunk(receiver, *upload).await?,
            Answer::ReceiveArchive { objects, encoding } => {
                self.receive_archive(receiver, objects, encoding).await?
            }
            Answer::Respond(_) => return Err(inconsistent()),
        };
        self.respond(prepared)
    }

    /// Has the core decide, and prepares the response if it gives one.
    ///
    /// An answer whose memory is not there at once is dropped and made again later, so that a
    /// request that waits for memory holds nothing else.
    async fn decide(&self) -> Result<Decided, Refusal> {
        match self.decide_with(None).await? {
            Ok(decided) => Ok(decided),
            Err(Unprepared::Memory(bytes)) => {
                let memory = self.claims.answer_memory(bytes).await?;
                Ok(self.decide_with(Some(memory)).await??)
            }
            Err(unprepared) => Err(unprepared.into()),
        }
    }

    /// The same with what it has of the memory for answers.
    async fn decide_with(
        &self,
        memory: Option<Permit>,
    ) -> Result<Result<Decided, Unprepared>, Unanswered> {
        let permit = self.claims.decision_about(&self.head.path).await?;
        let (head, claims, is_head) = (Arc::clone(&self.head), self.claims.clone(), self.is_head);
        let decided = self.service.run(permit, move |service, _permit| {
            Ok(match service.call(|session| session.handle(&head, service.settings))? {
                Answer::Respond(response) => {
                    let memory = |bytes| {
                        let enough = memory.filter(|memory| memory.covers(bytes));
                        enough.or_else(|| claims.answer_memory_at_once(bytes))
                    };
                    prepare(*response, is_head, memory).map(Decided::Respond)
                }
                receive => Ok(Decided::Receive(receive)),
            })
        });
        decided.await
    }

    /// Gets a permit for the transfer of an archive.
    ///
    /// The plan of an archive takes megabytes. If it has to wait, it is dropped and made again: any
    /// number of requests may wait, and each gets the entry as it is when it is sent.
    async fn admit_archive(&self, prepared: Prepared) -> Result<Prepared, Refusal> {
        if let Some(permit) = self.claims.transfer_at_once(Transfer::Outgoing) {
            return Ok(Prepared { permit: Some(permit), ..prepared });
        }
        drop(prepared);
        let permit = self.claims.transfer(Transfer::Outgoing).await?;
        let head = Arc::clone(&self.head);
        let decided = self.service.run(permit, move |service, permit| {
            let answer = service.call(|session| session.handle(&head, service.settings))?;
            let Answer::Respond(response) = answer else { return Ok(None) };
            let mut permit = Some(permit);
            // The entry may be another one by now; the permit is enough for any answer.
            Ok(Some(prepare(*response, false, |_| permit.take()).map(|prepared| {
                let permit = if prepared.is_archive() { permit.take() } else { prepared.permit };
                Prepared { permit, ..prepared }
            })))
        });
        Ok(decided.await?.ok_or_else(inconsistent)??)
    }

    async fn receive_bytes(
        &self,
        mut receiver: Receiver,
        limit: u64,
        encoding: Encoding,
    ) -> Result<Prepared, Refusal> {
        // A compressed body may become any size.
        let announced = receiver.announced().filter(|_| encoding == Encoding::Identity);
        let most = announced.unwrap_or(limit).min(limit);
        let memory = self.claims.body_memory(most.saturating_mul(DECODED_MANIFEST));
        let (body, memory) = receiver.collect(limit, memory).await?;
        let permit = self.claims.decision().await?;
        let (head, claims, is_head) = (Arc::clone(&self.head), self.claims.clone(), self.is_head);
        let answered = self.service.run(permit, move |service, _permit| {
            let body = match decompress(body, encoding.into(), limit) {
                Ok(body) => body,
                Err(fault) => return Ok(Err(ReceiveFault::from(fault).into())),
            };
            let response =
                service.call(|session| session.with_bytes(&head, service.settings, &body))?;
            drop(body);
            // The memory of the body is enough for an answer about it, but others wait for it.
            let memory = |bytes| claims.answer_memory_at_once(bytes).or(Some(memory));
            Ok(prepare(response, is_head, memory).map_err(Refusal::from))
        });
        answered.await?
    }

    async fn receive_chunk(
        &self,
        mut receiver: Receiver,
        upload: ChunkUpload,
    ) -> Result<Prepared, Refusal> {
        let ChunkUpload { objects, digest, limit, created, existing } = upload;
        let intake = ChunkIntake::new(Arc::clone(&self.service), objects)?;
        let largest = max_stored_size(limit);
        // Its stored form and its raw content are in memory at the same time.
        let most = receiver.announced().unwrap_or(largest).min(largest);
        let memory = most.saturating_add(limit.min(most.saturating_mul(4)));
        let received = match receiver.collect(largest, self.claims.body_memory(memory)).await {
            Ok((stored, memory)) => {
                let reserved = intake.reserve(stored.len() as u64)?;
                Ok((stored, memory, reserved))
            }
            Err(Refusal::Received(ReceiveFault::TooLarge)) => Err(UploadFault::TooLarge),
            Err(refusal) => return Err(refusal),
        };
        let permit = self.claims.decision().await?;
        let (head, claims, is_head) = (Arc::clone(&self.head), self.claims.clone(), self.is_head);
        let answered = self.service.run(permit, move |service, _permit| {
            let kept = received.and_then(|(stored, _memory, reserved)| {
                intake.keep(&digest, &stored, limit, reserved)
            });
            let response = match kept {
                Ok(outcome) if outcome.new => created,
                Ok(_) => existing,
                Err(fault) => {
                    service.call(|session| session.refuse_chunk(&head, service.settings, fault))?
                }
            };
            Ok(prepare(response, is_head, |bytes| claims.answer_memory_at_once(bytes)))
        });
        Ok(answered.await??)
    }

    async fn receive_archive(
        &self,
        mut receiver: Receiver,
        objects: SharedObjects,
        encoding: Encoding,
    ) -> Result<Prepared, Refusal> {
        let intake = ChunkIntake::new(Arc::clone(&self.service), objects)?;
        let limit = self.service.limits.max_body_size;
        if receiver.announced().is_some_and(|length| length > limit) {
            return Err(ReceiveFault::TooLarge.into());
        }
        let permit = self.claims.transfer(Transfer::Incoming).await?;
        receiver.hold();
        let (sender, reader) = body_receiver::channel();
        let passing = tokio::spawn(receiver.pass_on(sender));
        let (head, claims, is_head) = (Arc::clone(&self.head), self.claims.clone(), self.is_head);
        let answered = self.service.run(permit, move |service, _permit| {
            let (reader, sink) = (Box::new(reader), intake.into_sink());
            let archive = TarArchive::new(reader, encoding.into(), sink, limit)
                .map_err(|fault| CoreError::Trap(fault.to_string()))?;
            let response =
                service.call(|session| session.with_archive(&head, service.settings, archive))?;
            Ok(prepare(response, is_head, |bytes| claims.answer_memory_at_once(bytes)))
        });
        let answered = answered.await;
        // A sender that was too slow is told so; if it is gone, it does not matter.
        if let Ok(Err(fault)) = passing.await {
            return Err(fault.into());
        }
        Ok(answered??)
    }

    fn respond(&mut self, prepared: Prepared) -> Result<Response<ResponseBody>, Refusal> {
        let Prepared { response, permit, first } = prepared;
        let response = *response;
        self.route = response.route;
        if let (Some(cache), Some(lookup)) = (&response.cache, response.lookup) {
            self.service.metrics.looked_up(cache, lookup == Lookup::Hit);
        }
        let mut status = response.status;
        let mut headers = header_map(&response.headers);
        let (body, length) = match response.body {
            core::Body::Empty => (ResponseBody::full(Bytes::new()), None),
            core::Body::Bytes(bytes) => {
                let length = bytes.len() as u64;
                (ResponseBody::held(bytes, permit), Some(length))
            }
            core::Body::Stored { object, offset, length } => {
                let first = first.unwrap_or_default();
                (ResponseBody::stored(object, offset, length, first), Some(length))
            }
            core::Body::Archive { plan, encoding, memory } => match permit {
                // For HEAD, the core plans nothing, and the length is not known.
                None => (ResponseBody::full(Bytes::new()), None),
                Some(permit) => {
                    let plan = plan.sharing(Arc::clone(&self.service.read_ahead));
                    let cache = response.cache.unwrap_or_default();
                    let held = (permit, memory);
                    let archive = OutgoingArchive { plan, encoding, cache, held };
                    ResponseBody::archive(Arc::clone(&self.service), archive)
                        .map_err(SendFault::from)?
                }
            },
            core::Body::Page(page) => {
                let (own_status, media_type, text) = self.page(page);
                status = own_status;
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                let length = text.len() as u64;
                (ResponseBody::full(text), Some(length))
            }
        };
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let body = if self.is_head { ResponseBody::full(Bytes::new()) } else { body };
        Ok(with_status(status, headers, body))
    }

    /// Status, media type and text of a page of the server itself.
    fn page(&self, page: Page) -> (u16, &'static str, String) {
        match page {
            Page::Docs => (200, "text/html; charset=utf-8", pages::DOCS.to_owned()),
            Page::OpenApi => (200, "application/json", pages::OPENAPI.to_owned()),
            Page::Metrics => {
                let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                (200, media_type, self.service.metrics.text())
            }
            Page::Readiness if self.service.is_stopping() => {
                (503, "text/plain", "stopping".to_owned())
            }
            Page::Readiness => (200, "text/plain", "ready".to_owned()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<ResponseBody> {
        let request_id = self.id.as_str();
        let said = match refusal {
            Refusal::Unanswered(Unanswered::Saturated) => server_common::Refusal::Saturated,
            Refusal::Unanswered(Unanswered::TooLarge) => server_common::Refusal::TooLarge,
            Refusal::Unanswered(Unanswered::Broken(reason)) => {
                tracing::error!(request_id, ?reason, "The core could not answer");
                server_common::Refusal::Broken
            }
            Refusal::Received(ReceiveFault::TooSlow) => server_common::Refusal::TooSlow,
            Refusal::Received(ReceiveFault::TooLarge) => server_common::Refusal::TooLarge,
            Refusal::Received(ReceiveFault::Interrupted) => server_common::Refusal::Incomplete,
            Refusal::Head => server_common::Refusal::Head,
            Refusal::Full => server_common::Refusal::Full,
            Refusal::Sent(fault) => {
                tracing::error!(request_id, %fault, "The answer could not be sent");
                server_common::Refusal::Unreadable
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in said.headers() {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        with_status(said.status(), headers, ResponseBody::full(said.body(request_id)))
    }
}

impl Prepared {
    fn is_archive(&self) -> bool {
        matches!(self.response.body, core::Body::Archive { .. })
    }
}

/// Reads the first block of an object, which is all of most chunks, and all of a small archive, and
/// gets `memory` for a large answer. Blocks.
fn prepare(
    mut response: core::Response,
    is_head: bool,
    memory: impl FnOnce(usize) -> Option<Permit>,
) -> Result<Prepared, Unprepared> {
    let (mut permit, mut first) = (None, None);
    if is_head {
        return Ok(Prepared { response: Box::new(response), permit, first });
    }
    if let core::Body::Archive { plan, encoding, memory } = response.body {
        let plan = plan.without_root();
        let is_plain = encoding == Encoding::Identity;
        // If a chunk is damaged, sending it as a large archive finds out again, and reports it.
        response.body = match is_plain.then(|| plan.small(SMALL_ARCHIVE)).flatten() {
            Some(archive) => core::Body::Bytes(archive),
            None => core::Body::Archive { plan, encoding, memory },
        };
    }
    match &response.body {
        core::Body::Bytes(bytes) if bytes.len() > FREE_ANSWER => {
            permit = Some(memory(bytes.len()).ok_or(Unprepared::Memory(bytes.len()))?);
        }
        core::Body::Stored { object, offset, length } => {
            let block = response_body::read_block(object, *offset, *length);
            first = Some(block.map_err(Unprepared::Fault)?);
        }
        _ => {}
    }
    Ok(Prepared { response: Box::new(response), permit, first })
}

/// The core wants a body after it has answered, or the other way round.
fn inconsistent() -> Refusal {
    Unanswered::Broken("the core wants a body and does not".to_owned()).into()
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        // The key of an entry is sent to btdt 0.4 as it is, whatever characters it has.
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

fn with_status(status: u16, headers: HeaderMap, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}
