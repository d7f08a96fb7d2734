//! One request: through the core, and back with what the core wants to be received or sent.

use super::receive::{self, ReceiveFault, Receiver};
use super::send::{self, Account, ResponseBody};
use super::sink::Counted;
use super::timed::Activity;
use super::{Service, Turn, Unanswered, problem};
use btdt_host_runtime::archive::{Compression, TarArchive};
use btdt_host_runtime::chunk_io::{Sink, StoredPutError};
use btdt_host_runtime::clock;
use btdt_host_runtime::codec::{Codec, max_stored_size};
use btdt_host_runtime::content_coding::decompress;
use btdt_host_runtime::engine::server::{self as core, Answer, Lookup, Page, UploadFault};
use btdt_host_runtime::engine::{CoreError, Session, SharedObjects};
use btdt_host_runtime::server_common::{self, REQUEST_ID, damage, pages};
use btdt_ports::{Digest, IoErrorKind, ObjectKind, PutOutcome};
use bytes::Bytes;
use http::request::Parts;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::cell::RefCell;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

pub(super) use btdt_host_runtime::engine::server::Encoding;

/// Memory, beside its bytes, that decoding a manifest takes, as a multiple of its size.
const DECODED_MANIFEST: u64 = 4;

/// Archives of at most so many bytes are read where the request is decided: a thread of their own
/// and its turn would cost more than all the rest.
const SMALL_ARCHIVE: u64 = 256 << 10;

thread_local! {
    static CODEC: RefCell<Codec> = const { RefCell::new(Codec::new()) };
}

/// A request that is being answered.
struct Exchange {
    service: Arc<Service>,
    id: String,
    head: Arc<core::Request>,
    is_head: bool,
    route: String,
    activity: Arc<Activity>,
}

/// What an answer consists of when it is ready to be sent.
struct Prepared {
    response: core::Response,
    /// Memory for what the core has made.
    memory: Option<OwnedSemaphorePermit>,
    /// The first block of an object, which was read where it may block.
    first: Option<Bytes>,
}

/// Why there is no answer of the core.
pub(super) enum Refusal {
    /// The core could not be asked.
    Unanswered(Unanswered),
    /// The body did not arrive.
    Received(ReceiveFault),
    /// Its head is too large.
    Head,
    /// The quota is used up.
    Full,
    /// What is to be sent cannot be read.
    Sent(send::SendFault),
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Self {
        Refusal::Unanswered(unanswered)
    }
}

impl From<ReceiveFault> for Refusal {
    fn from(fault: ReceiveFault) -> Self {
        Refusal::Received(fault)
    }
}

/// Answers a request. There is always an answer, unless the connection goes first.
pub(super) async fn answer(
    service: Arc<Service>,
    activity: Arc<Activity>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let began = clock::instant();
    let id = format!("{:016x}", service.services.environment.random());
    let (parts, body) = request.into_parts();
    activity.set_unread(!body.is_end_stream());
    let path = parts.uri.path().to_owned();
    let mut account = Account::begin(Arc::clone(&service), Arc::clone(&activity), began);
    account.request_id.clone_from(&id);
    account.path = plain(&path);
    let head_size = head_size(&parts);
    account.method = method_name(&parts.method);
    let head = Arc::new(core::Request {
        method: parts.method.as_str().to_owned(),
        path,
        query: parts.uri.query().map(str::to_owned),
        headers: visible(&parts.headers, &id),
    });
    let mut exchange = Exchange {
        service: Arc::clone(&service),
        is_head: parts.method == Method::HEAD,
        head,
        route: "unknown".to_owned(),
        id: id.clone(),
        activity,
    };
    // The HTTP library only limits what it keeps of an incomplete head.
    let is_too_large = head_size > service.limits.max_header_size;
    let answered = if is_too_large { Err(Refusal::Head) } else { exchange.run(body).await };
    let mut response = match answered {
        Ok(response) => response,
        Err(refusal) => exchange.refuse(&refusal),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), value);
    }
    if service.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    account.status = response.status().as_u16();
    account.route = exchange.route;
    response.map(|body| body.accounted(account))
}

/// A path for the log: anything that is not a plain letter can look like something else.
fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            plain.push(byte.into());
        } else {
            plain.push_str(&format!("%{byte:02X}"));
        }
    }
    plain
}

/// Bytes of the head of a request as it was sent, about.
fn head_size(parts: &Parts) -> u64 {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields = parts.headers.iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (target + fields) as u64
}

/// A name for metrics: clients may send any word as a method.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 6] = [
        (&Method::GET, "GET"),
        (&Method::HEAD, "HEAD"),
        (&Method::PUT, "PUT"),
        (&Method::POST, "POST"),
        (&Method::DELETE, "DELETE"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

fn visible(headers: &HeaderMap, id: &str) -> Vec<(String, String)> {
    let own = (REQUEST_ID.to_owned(), id.to_owned());
    let sent = headers.iter().filter(|(name, _)| name.as_str() != REQUEST_ID);
    let sent = sent.map(|(name, value)| {
        // What is not text is handed on all the same, and refused where it matters.
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    std::iter::once(own).chain(sent).collect()
}

impl Exchange {
    async fn run(&mut self, body: Incoming) -> Result<Response<ResponseBody>, Refusal> {
        let receive = match self.decide().await? {
            Ok(prepared) if self.wants_turn(&prepared) => return self.send_archive(prepared).await,
            Ok(prepared) => return self.send(prepared, None).await,
            Err(receive) => receive,
        };
        let receiver = Receiver::new(body, Arc::clone(&self.service), Arc::clone(&self.activity));
        let prepared = match receive {
            Answer::ReceiveBytes { limit, encoding } => {
                self.receive_bytes(receiver, limit, encoding).await?
            }
            Answer::ReceiveChunk { objects, digest, limit } => {
                self.receive_chunk(receiver, objects, digest, limit).await?
            }
            Answer::ReceiveArchive { objects, encoding } => {
                self.receive_archive(receiver, &objects, encoding).await?
            }
            Answer::Respond(_) => return Err(inconsistent()),
        };
        self.send(prepared, None).await
    }

    /// Has the core decide, and gets ready what it answers, or says what it wants to receive.
    async fn decide(&self) -> Result<Result<Prepared, Answer>, Refusal> {
        let (head, service, is_head) =
            (Arc::clone(&self.head), Arc::clone(&self.service), self.is_head);
        let decided = self.service.ask_at(&self.head.path, move |session| {
            let answer = session.handle(&head, service.settings)?;
            Ok(match answer {
                Answer::Respond(response) => Ok(prepare(response, is_head, &service)),
                receive => Err(receive),
            })
        });
        match decided.await? {
            Ok(prepared) => Ok(Ok(prepared?)),
            Err(receive) => Ok(Err(receive)),
        }
    }

    /// Whether it takes its turn to send it.
    fn wants_turn(&self, prepared: &Prepared) -> bool {
        matches!(prepared.response.body, core::Body::Archive { .. }) && !self.is_head
    }

    /// Sends an archive when its turn has come.
    ///
    /// The plan of an archive takes megabytes. Where it would have to wait, it is made again: as
    /// many requests may wait as like to, and each is answered with what is there when it is sent.
    async fn send_archive(
        &mut self,
        prepared: Prepared,
    ) -> Result<Response<ResponseBody>, Refusal> {
        if let Some(turn) = self.service.turn_at_once(super::OUTGOING_SHARE) {
            return self.send(prepared, Some(turn)).await;
        }
        drop(prepared);
        let turn = self.service.turn(super::OUTGOING_SHARE).await?;
        let prepared = self.decide().await?.map_err(|_| inconsistent())?;
        self.send(prepared, Some(turn)).await
    }

    async fn receive_bytes(
        &self,
        mut receiver: Receiver,
        limit: u64,
        encoding: Encoding,
    ) -> Result<Prepared, Refusal> {
        // What is compressed may be of any size once it is not.
        let announced = receiver.announced().filter(|_| encoding == Encoding::Identity);
        let most = announced.unwrap_or(limit).min(limit);
        let share = || self.memory(most.saturating_mul(DECODED_MANIFEST));
        let (body, memory) = receiver.collect(limit, share).await?;
        let (head, is_head) = (Arc::clone(&self.head), self.is_head);
        let service = Arc::clone(&self.service);
        let answered = self.service.ask(move |session| {
            let body = match decompress(body, compression(encoding), limit) {
                Ok(body) => body,
                Err(fault) => return Ok(Err(ReceiveFault::from(fault).into())),
            };
            let response = session.with_bytes(&head, service.settings, &body)?;
            drop((body, memory));
            Ok(prepare(response, is_head, &service))
        });
        answered.await?
    }

    async fn receive_chunk(
        &self,
        mut receiver: Receiver,
        objects: SharedObjects,
        digest: Digest,
        limit: u64,
    ) -> Result<Prepared, Refusal> {
        self.expect_room(&objects)?;
        let largest = max_stored_size(limit);
        // Its stored form and its raw content are in memory at the same time.
        let most = receiver.announced().unwrap_or(largest).min(largest);
        let share = || self.memory(most.saturating_add(limit.min(most.saturating_mul(4))));
        let (stored, memory) = match receiver.collect(largest, share).await {
            Ok((stored, memory)) => (Ok(stored), Some(memory)),
            Err(Refusal::Received(ReceiveFault::TooLarge)) => (Err(UploadFault::TooLarge), None),
            Err(refusal) => return Err(refusal),
        };
        let size = stored.as_ref().map_or(0, Vec::len) as u64;
        let Some(room) = self.service.caches.hold(&objects, size) else {
            return Err(Refusal::Full);
        };
        let (head, is_head) = (Arc::clone(&self.head), self.is_head);
        let service = Arc::clone(&self.service);
        let answered = self.service.ask(move |session| {
            let _memory = memory;
            let outcome = stored.and_then(|stored| keep(&objects, &digest, &stored, limit));
            if let Ok(outcome) = &outcome {
                service.kept(&objects, outcome, room.release());
            }
            let response = session.with_chunk(&head, service.settings, outcome)?;
            Ok(prepare(response, is_head, &service))
        });
        answered.await?
    }

    async fn receive_archive(
        &self,
        mut receiver: Receiver,
        objects: &SharedObjects,
        encoding: Encoding,
    ) -> Result<Prepared, Refusal> {
        self.expect_room(objects)?;
        let limit = self.service.limits.max_body_size;
        if receiver.announced().is_some_and(|length| length > limit) {
            return Err(ReceiveFault::TooLarge.into());
        }
        let turn = self.service.turn(super::INCOMING_SHARE).await?;
        receiver.hold();
        let (sender, reader) = receive::channel();
        let passing = tokio::spawn(receiver.pass_on(sender));
        let service = Arc::clone(&self.service);
        let sink: Sink = Arc::new(Counted::new(service, Arc::clone(objects)));
        let (head, is_head) = (Arc::clone(&self.head), self.is_head);
        let service = Arc::clone(&self.service);
        let answered = self.service.run(turn, move |session: Session| {
            let archive = TarArchive::new(Box::new(reader), compression(encoding), sink, limit)
                .map_err(|fault| CoreError::Trap(fault.to_string()))?;
            let response = session.with_archive(&head, service.settings, archive)?;
            Ok(prepare(response, is_head, &service))
        });
        let answered = answered.await;
        // A sender that was too slow is told so; for one that has gone it does not matter.
        if let Ok(Err(fault)) = passing.await {
            return Err(fault.into());
        }
        answered?
    }

    async fn memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let share = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        // Whoever needs more than there is gets all of it, alone.
        let share = share.clamp(1, super::BODY_MEMORY);
        Ok(self.service.memory(share).await?)
    }

    fn expect_room(&self, objects: &SharedObjects) -> Result<(), Refusal> {
        let full = self.service.caches.owner(objects).is_some_and(|(_, cache)| cache.is_full());
        if full { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Sends it; an archive has its turn.
    async fn send(
        &mut self,
        prepared: Prepared,
        turn: Option<Turn>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let Prepared { response, memory, first } = prepared;
        self.route = response.route;
        if let (Some(cache), Some(lookup)) = (&response.cache, response.lookup) {
            self.service.metrics.looked_up(cache, lookup == Lookup::Hit);
        }
        let mut status =
            StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::with_capacity(response.headers.len() + 4);
        for (name, value) in &response.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            // The key of an entry is sent to btdt 0.4 as it is, whatever letters it has.
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let (body, length) = match response.body {
            core::Body::Empty => (ResponseBody::full(Bytes::new()), None),
            core::Body::Bytes(bytes) => {
                let length = bytes.len() as u64;
                (ResponseBody::held(bytes, memory), Some(length))
            }
            core::Body::Stored { object, offset, length } => {
                let first = first.unwrap_or_default();
                (ResponseBody::stored(object, offset, length, first), Some(length))
            }
            core::Body::Archive { plan, encoding, memory } => match turn {
                // For HEAD, of which the core plans nothing: nobody knows the length.
                None => (ResponseBody::full(Bytes::new()), None),
                Some(turn) => {
                    let plan = plan.sharing(Arc::clone(&self.service.read_ahead));
                    let on_damage = self.chunk_dropper(response.cache.as_deref(), &headers);
                    let service = Arc::clone(&self.service);
                    ResponseBody::archive(plan, encoding, (turn, memory), service, on_damage)
                        .map_err(|fault| Refusal::Sent(send::SendFault::Archive(fault)))?
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
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Has a chunk of an entry that is being sent looked at, and taken away where it is damaged,
    /// so that the next request finds out before it is answered. Blocks.
    fn chunk_dropper(
        &self,
        cache: Option<&str>,
        headers: &HeaderMap,
    ) -> impl FnOnce(Digest) + Send + 'static + use<> {
        let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let key = header("btdt-cache-key").unwrap_or_default();
        let key = key.to_vec();
        let is_encoded = header("btdt-cache-key-encoding").is_some();
        let cache = cache.unwrap_or_default().to_owned();
        let headers = self.head.headers.clone();
        let (service, settings) = (Arc::clone(&self.service), self.service.settings);
        let runtime = tokio::runtime::Handle::current();
        move |digest| {
            let (path, query) = damage::check_request(&cache, &digest, &key, is_encoded);
            let request =
                core::Request { method: "HEAD".to_owned(), path, query: Some(query), headers };
            let dropped = service.ask(move |session| session.handle(&request, settings).map(drop));
            if let Err(error) = runtime.block_on(dropped) {
                tracing::error!(?error, chunk = digest.to_hex(), "A damaged chunk is still there");
            }
        }
    }

    fn page(&self, page: Page) -> (StatusCode, &'static str, String) {
        match page {
            Page::Docs => (StatusCode::OK, "text/html; charset=utf-8", pages::DOCS.to_owned()),
            Page::OpenApi => (StatusCode::OK, "application/json", pages::OPENAPI.to_owned()),
            Page::Metrics => {
                let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                (StatusCode::OK, media_type, self.service.metrics.text())
            }
            Page::Readiness if self.service.is_stopping() => {
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "stopping".to_owned())
            }
            Page::Readiness => (StatusCode::OK, "text/plain", "ready".to_owned()),
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
        problem::response(said, request_id)
    }
}

/// Reads the first block of an object, which is all of most chunks, and all of a small archive; for
/// what the core has made, takes memory. Blocks.
fn prepare(
    mut response: core::Response,
    is_head: bool,
    service: &Service,
) -> Result<Prepared, Refusal> {
    if let core::Body::Archive { plan, encoding, memory } = response.body {
        let plan = plan.without_root();
        let is_plain = encoding == Encoding::Identity && !is_head;
        // Where a chunk is damaged, the usual way finds out again and takes it away.
        response.body = match is_plain.then(|| plan.small(SMALL_ARCHIVE)).flatten() {
            Some(archive) => core::Body::Bytes(archive),
            None => core::Body::Archive { plan, encoding, memory },
        };
    }
    let memory = match &response.body {
        core::Body::Bytes(bytes) if !is_head => service.answer_memory(bytes.len())?,
        _ => None,
    };
    let first = match &response.body {
        core::Body::Stored { object, offset, length } if !is_head => {
            Some(send::read_block(object, *offset, *length).map_err(Refusal::Sent)?)
        }
        _ => None,
    };
    Ok(Prepared { response, memory, first })
}

/// It has answered what it wants to receive with something else, or the reverse.
fn inconsistent() -> Refusal {
    Unanswered::Broken("the core wants a body and does not".to_owned()).into()
}

/// How a body is compressed.
pub(super) fn compression(encoding: Encoding) -> Compression {
    match encoding {
        Encoding::Identity => Compression::None,
        Encoding::Gzip => Compression::Gzip,
        Encoding::Zstd => Compression::Zstd,
    }
}

/// Keeps the stored form of a chunk if it is intact. Blocks.
fn keep(
    objects: &SharedObjects,
    digest: &Digest,
    stored: &[u8],
    limit: u64,
) -> Result<PutOutcome, UploadFault> {
    let put = CODEC.with_borrow_mut(|codec| {
        objects.put_stored(ObjectKind::Chunk, digest, stored, limit, codec)
    });
    put.map_err(|error| match error {
        StoredPutError::Fault(btdt_ports::ObjectFault::TooLarge) => UploadFault::TooLarge,
        StoredPutError::Fault(fault) => UploadFault::Damaged(fault),
        StoredPutError::Io(error) if error.kind == IoErrorKind::TooLarge => UploadFault::TooLarge,
        StoredPutError::Io(error) => UploadFault::Storage(error),
    })
}
