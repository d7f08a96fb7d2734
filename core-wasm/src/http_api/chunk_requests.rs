//! Requests for chunks: `GET` and `PUT` in stored form, and `POST` to ask which are missing.

use super::access::{self, Findings};
use super::answer::{Answer, Body, Encoding, Response, UploadFault};
use super::context::{Decision, ResponseTo, ServerContext};
use super::negotiation::{self, Range};
use super::problem::Problem;
use super::request::Request;
use super::route::Method;
use super::trace::Trace;
use super::url::Parameters;
use crate::manifest::MAX_CHUNK;
use crate::protocol;
use crate::storage::collect;
use btdt_ports::client::Error;
use btdt_ports::{
    Archives, Authority, Caches, Digest, Environment, LockMode, ObjectFault, ObjectKind,
    ObjectName, Objects, OpenObjects, Operation,
};
use std::collections::BTreeSet;

/// Most digests in a request.
pub const MAX_DIGESTS: usize = 100_000;

/// Largest body with those digests in bytes, with lines that end in CRLF.
const MAX_DIGESTS_BODY: u64 = MAX_DIGESTS as u64 * (2 * Digest::LENGTH as u64 + 2);

/// Largest stored form of a chunk in bytes: incompressible content grows by a header, and by a
/// little more with the gzip of other writers.
const MAX_STORED: u64 = MAX_CHUNK as u64 + MAX_CHUNK as u64 / 128 + 2048;

/// A chunk never changes, so clients may keep it forever.
const FOREVER: &str = "private, max-age=31536000, immutable";

impl<C, A, P> ServerContext<'_, C, A, P>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    /// Decides whether to receive a list of digests.
    pub(super) fn begin_missing(&self, request: &Request, cache: &str) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let Parameters { keys, .. } = Parameters::parse(request.query.as_deref())?;
        // A store asks what to send. A restore asks whether everything is there, before it touches
        // a destination.
        let accesses = access::accesses(Operation::Put, cache, &keys);
        let mut findings = Findings::of(&self.verdicts(token, &accesses)?);
        if findings.all().is_err() {
            let accesses = access::accesses(Operation::Get, cache, &keys);
            let reading = self.verdicts(token, &accesses)?;
            if Findings::of(&reading).all().is_err() {
                // The token may be for reading only, and expired.
                findings.add(&reading);
                return Err(findings.refusal());
            }
        }
        if self.caches.find(cache).is_none() {
            return Err(Problem::no_cache());
        }
        negotiation::require_text(request)?;
        negotiation::require_length(request, MAX_DIGESTS_BODY)?;
        let encoding = negotiation::body_encoding(request)?;
        Ok(Answer::ReceiveBytes { limit: MAX_DIGESTS_BODY, encoding })
    }

    /// Responds with the missing ones of the digests. Touches the others, so that they are not
    /// collected before the entry is committed.
    pub(super) fn missing(&self, body: &[u8], cache: &str) -> Result<ResponseTo<C, P>, Problem> {
        let digests = digests(body)?;
        let (objects, _) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        let _in_use = objects.lock(LockMode::Shared);
        let kind = ObjectKind::Chunk;
        let missing = collect::revive(&objects, kind, &digests, self.environment)
            .map_err(|error| self.failed(cache, &error))?;
        let absent: BTreeSet<Digest> = missing.iter().copied().collect();
        let found: Vec<Digest> =
            digests.into_iter().filter(|digest| !absent.contains(digest)).collect();
        if !found.is_empty() {
            objects.touch(kind, &found);
        }
        let text = protocol::Missing::encode(&missing);
        let mut response = Response::new(200, Body::Bytes(text.into_bytes()));
        response.header("content-type", "text/plain; charset=utf-8");
        Ok(response)
    }

    pub(super) fn get_chunk(
        &self,
        request: &Request,
        method: Method,
        cache: &str,
        digest: Option<Digest>,
        trace: &mut Trace,
    ) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let digest = digest.ok_or_else(no_digest)?;
        let Parameters { keys, verify, .. } = Parameters::parse(request.query.as_deref())?;
        let accesses = access::accesses(Operation::Get, cache, &keys);
        Findings::of(&self.verdicts(token, &accesses)?).any()?;
        let (objects, _) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        trace.cache = Some(cache.to_owned());
        if verify
            && !drop_if_damaged(&objects, digest, self.environment)
            // One that was set aside may be intact.
            && objects.get(ObjectKind::Chunk, digest, u64::from(MAX_CHUNK)).is_err()
        {
            return Err(no_chunk());
        }
        let (object, info) = match objects.open(ObjectKind::Chunk, &digest) {
            Ok(opened) => opened,
            Err(ObjectFault::Unreadable(error)) => {
                let error = Error::reading(error);
                return Err(self.failed(cache, &error));
            }
            Err(fault) => {
                if let ObjectFault::Damaged(_) = fault {
                    collect::drop_damaged(&objects, ObjectKind::Chunk, digest, self.environment);
                }
                return Err(no_chunk());
            }
        };
        let tag = format!("W/\"{}\"", digest.to_hex());
        let whole = Body::Stored { object, offset: 0, length: info.size };
        let mut response = if negotiation::is_known(request, &tag) {
            Response::new(304, Body::Empty)
        } else if method == Method::Get {
            let range = negotiation::range(request, info.size);
            part(whole, range, info.size)?
        } else {
            Response::new(200, whole)
        };
        if response.status != 304 {
            response.header("content-type", negotiation::BYTES_TYPE);
            response.header("accept-ranges", "bytes");
        }
        response.header("etag", tag);
        response.header("cache-control", FOREVER);
        Ok(Answer::Respond(response))
    }

    /// Decides whether to receive a chunk.
    pub(super) fn begin_chunk(
        &self,
        request: &Request,
        cache: &str,
        digest: Option<Digest>,
        trace: &mut Trace,
    ) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let digest = digest.ok_or_else(no_digest)?;
        let Parameters { keys, .. } = Parameters::parse(request.query.as_deref())?;
        let accesses = access::accesses(Operation::Put, cache, &keys);
        Findings::of(&self.verdicts(token, &accesses)?).all()?;
        let (objects, _) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        // The stored form has its own compression.
        if negotiation::body_encoding(request)? != Encoding::Identity {
            let problem = Problem::new(415, "Chunks are sent in their stored form, not encoded.");
            return Err(problem.with_header("accept-encoding", "identity"));
        }
        negotiation::require_length(request, MAX_STORED)?;
        trace.cache = Some(cache.to_owned());
        Ok(Answer::ReceiveChunk {
            objects,
            digest,
            limit: u64::from(MAX_CHUNK),
            created: Response::new(201, Body::Empty),
            existing: Response::new(204, Body::Empty),
        })
    }

    /// Why a chunk that was received is not kept.
    pub(super) fn refused_chunk(&self, fault: UploadFault, cache: &str) -> Problem {
        match fault {
            UploadFault::TooLarge | UploadFault::Damaged(ObjectFault::TooLarge) => {
                negotiation::too_large(MAX_STORED)
            }
            UploadFault::Damaged(fault) => {
                Problem::new(422, format!("This is not the stored form of that chunk: {fault}."))
            }
            UploadFault::Storage(error) => self.failed(cache, &Error::writing(error)),
        }
    }
}

/// Removes a chunk that the host found damaged while it sent an archive, if it really is.
pub fn report_damage<C: Caches>(
    cache: &str,
    digest: Digest,
    caches: &C,
    environment: &dyn Environment,
) {
    if let Some((objects, _)) = caches.find(cache) {
        drop_if_damaged(&objects, digest, environment);
    }
}

/// Reads a live chunk, and removes it if it is damaged. Whether it is there and intact.
fn drop_if_damaged<O: Objects>(objects: &O, digest: Digest, environment: &dyn Environment) -> bool {
    let kind = ObjectKind::Chunk;
    let fault = objects.check(&[ObjectName { kind, digest, sweep: None }]).pop().flatten();
    if let Some(ObjectFault::Damaged(_)) = fault {
        collect::drop_damaged(objects, kind, digest, environment);
    }
    fault.is_none()
}

/// The response with the requested part of a chunk.
fn part<Opened, Plan>(
    whole: Body<Opened, Plan>,
    range: Range,
    size: u64,
) -> Result<Response<Opened, Plan>, Problem> {
    match (range, whole) {
        (Range::Part(first, last), Body::Stored { object, .. }) => {
            let body = Body::Stored { object, offset: first, length: last - first + 1 };
            let mut response = Response::new(206, body);
            response.header("content-range", format!("bytes {first}-{last}/{size}"));
            Ok(response)
        }
        (Range::Unsatisfiable, _) => {
            let problem = Problem::new(416, format!("The stored form has {size} bytes."));
            Err(problem.with_header("content-range", format!("bytes */{size}")))
        }
        (_, whole) => Ok(Response::new(200, whole)),
    }
}

/// Parses a body with one digest per line.
fn digests(body: &[u8]) -> Result<Vec<Digest>, Problem> {
    let mut digests = Vec::with_capacity((body.len() / (2 * Digest::LENGTH)).min(MAX_DIGESTS));
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if matches!(line, b"" | b"\r") {
            continue;
        }
        let digest = protocol::Missing::digest(line).ok_or_else(|| {
            let line = index + 1;
            Problem::bad_request(format!("Line {line} is not a SHA-256 in lower-case hexadecimal."))
        })?;
        if digests.len() == MAX_DIGESTS {
            let detail = format!("A request may ask about at most {MAX_DIGESTS} digests.");
            return Err(Problem::new(413, detail));
        }
        digests.push(digest);
    }
    Ok(digests)
}

fn no_digest() -> Problem {
    Problem::bad_request("A chunk is named by its SHA-256 in lower-case hexadecimal.")
}

fn no_chunk() -> Problem {
    Problem::new(404, "This cache has no such chunk.")
}
