//! `GET` of an entry: the first of the keys, then the newest of the prefixes, that can be used.

use super::access::{self, Findings};
use super::answer::{Answer, Body, Lookup, Response};
use super::negotiation::{self, Encodings, Form};
use super::problem::Problem;
use super::request::Request;
use super::route::Method;
use super::url::{Parameters, encode_for_header};
use super::{ResponseTo, Step, Trace, World};
use crate::cache::{Cache as _, LocalCache, chunk_reason, warn_unusable};
use crate::entries::{self, EntryFault};
use crate::key::{Key, Prefix};
use crate::protocol::{self, MANIFEST_TYPE};
use crate::{archiving, collect, manifest};
use btdt_ports::{
    Access, Archives, Authority, Caches, Digest, ObjectFault, ObjectKind, ObjectName, Objects,
    OpenObjects, Operation, Records, StoredCodec, Verdict,
};
use std::collections::BTreeSet;

/// What responses with entries depend on, besides what caches are told not to keep anyway.
const VARY: &str = "accept, accept-encoding";

/// Keys found by prefix that are authorized with one call: an entry that can be used is nearly
/// always among the first ones.
const AUTHORIZED_AT_ONCE: usize = 16;

/// How often an entry that is replaced while it is read is looked up.
const ATTEMPTS: u32 = 3;

/// What a request for an entry is about.
struct Search<'search> {
    request: &'search Request,
    method: Method,
    form: Form,
    encodings: Encodings,
}

/// Why an entry is not sent.
enum Obstacle {
    /// It cannot be used; another one may.
    Entry(String),
    /// It would be the same for every entry.
    Request(Problem),
}

impl From<Problem> for Obstacle {
    fn from(problem: Problem) -> Self {
        Obstacle::Request(problem)
    }
}

impl From<EntryFault> for Obstacle {
    fn from(fault: EntryFault) -> Self {
        Obstacle::Entry(fault.to_string())
    }
}

impl<C, A, P> World<'_, C, A, P>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    pub(super) fn look_up(
        &self,
        request: &Request,
        method: Method,
        cache: &str,
        trace: &mut Trace,
    ) -> Step<C, P::Plan> {
        let token = access::token(request)?;
        let Parameters { keys, prefixes, not, .. } = Parameters::parse(request.query.as_deref())?;
        if keys.is_empty() && prefixes.is_empty() {
            let detail = "The URL needs at least one parameter \"key\" or \"prefix\".";
            return Err(Problem::bad_request(detail));
        }
        // A prefix counts as a key here: whoever may read keys that begin with it may learn that
        // there are none. Whoever may not is told only once an entry was found that they may read.
        let texts = keys.iter().map(Key::as_str).chain(prefixes.iter().map(Prefix::as_str));
        let accesses: Vec<Access> = texts
            .map(|text| access::access(Operation::Get, cache, Some(text).filter(|t| !t.is_empty())))
            .collect();
        let verdicts = self.verdicts(token, &accesses)?;
        let mut findings = Findings::of(&verdicts);
        if prefixes.is_empty() {
            findings.any()?;
        }
        let form = negotiation::form(request)?;
        let search = Search { request, method, form, encodings: Encodings::of(request) };
        let Some((objects, records)) = self.caches.find(cache) else {
            findings.any()?;
            return Err(Problem::no_cache());
        };
        let unwanted: BTreeSet<Key> = not.into_iter().collect();
        for (key, verdict) in keys.iter().zip(verdicts) {
            if verdict == Verdict::Allowed
                && !unwanted.contains(key)
                && let Some(response) = self.attempt(&search, &objects, &records, key)?
            {
                trace.looked_up(cache, method, Lookup::Hit);
                return Ok(Answer::Respond(response));
            }
        }
        // Each key is authorized once, however many prefixes it has: that costs more than all else.
        let mut judged: BTreeSet<Key> = keys.into_iter().collect();
        for prefix in prefixes {
            let found = entries::newest(&records, &prefix);
            let mut found = found.map_err(|error| self.failed(cache, &error))?;
            found.retain(|key| judged.insert(key.clone()));
            for keys in found.chunks(AUTHORIZED_AT_ONCE) {
                let accesses = access::accesses(Operation::Get, cache, keys);
                let verdicts = self.verdicts(token, &accesses)?;
                findings.add(&verdicts);
                for (key, verdict) in keys.iter().zip(verdicts) {
                    if verdict == Verdict::Allowed
                        && !unwanted.contains(key)
                        && let Some(response) = self.attempt(&search, &objects, &records, key)?
                    {
                        trace.looked_up(cache, method, Lookup::Hit);
                        return Ok(Answer::Respond(response));
                    }
                }
            }
        }
        findings.any()?;
        trace.looked_up(cache, method, Lookup::Miss);
        let mut response = Response::new(204, Body::Empty);
        response.header("vary", VARY);
        Ok(Answer::Respond(response))
    }

    /// The response with the entry of a key; `None` where it has none that can be used.
    fn attempt(
        &self,
        search: &Search<'_>,
        objects: &C::Objects,
        records: &C::Records,
        key: &Key,
    ) -> Result<Option<ResponseTo<C, P>>, Problem> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let digest = match entries::find(records, key) {
                Ok(entry) => entry.record.manifest,
                Err(EntryFault::Absent) => return Ok(None),
                Err(fault) => {
                    warn_unusable(self.environment, key, &fault);
                    return Ok(None);
                }
            };
            // What was replaced while it was read is worth another look, and nothing else.
            if last == Some(digest) {
                break;
            }
            last = Some(digest);
            match self.send(search, objects, records, key, digest) {
                Ok(response) => {
                    if search.method == Method::Get {
                        records.touch(&key.record_name());
                    }
                    return Ok(Some(response));
                }
                Err(Obstacle::Request(problem)) => return Err(problem),
                Err(Obstacle::Entry(reason)) => warn_unusable(self.environment, key, &reason),
            }
        }
        Ok(None)
    }

    /// The response with the entry of that manifest.
    fn send(
        &self,
        search: &Search<'_>,
        objects: &C::Objects,
        records: &C::Records,
        key: &Key,
        digest: Digest,
    ) -> Result<ResponseTo<C, P>, Obstacle> {
        let tag = match search.form {
            Form::Manifest => format!("W/\"{}\"", digest.to_hex()),
            Form::Archive(_) => format!("W/\"{}-tar\"", digest.to_hex()),
        };
        let is_manifest = matches!(search.form, Form::Manifest);
        let mut response = match search.form {
            _ if negotiation::is_known(search.request, &tag) => Response::new(304, Body::Empty),
            Form::Manifest => self.manifest_response(search, objects, digest)?,
            Form::Archive(content_type) => {
                let mut response = self.archive_response(search, objects, records, key, digest)?;
                response.header("content-type", content_type);
                response
            }
        };
        // The original client looks for its key as it is. A key that no header can carry is
        // encoded, and a second header says so.
        let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let text = key.as_str();
        if text.bytes().all(visible) && text.trim() == text {
            response.header(protocol::CACHE_KEY, text);
        } else {
            response.header(protocol::CACHE_KEY, encode_for_header(text));
            response.header(protocol::CACHE_KEY_ENCODING, protocol::PERCENT);
        }
        if is_manifest {
            response.header(protocol::MANIFEST_DIGEST, digest.to_hex());
        }
        response.header("etag", tag);
        response.header("vary", VARY);
        Ok(response)
    }

    fn manifest_response(
        &self,
        search: &Search<'_>,
        objects: &C::Objects,
        digest: Digest,
    ) -> Result<ResponseTo<C, P>, Obstacle> {
        let kind = ObjectKind::Manifest;
        let fault = objects.check(&[ObjectName { kind, digest, sweep: None }]).pop().flatten();
        if let Some(ObjectFault::Damaged(_)) = fault {
            collect::drop_damaged(objects, kind, digest, self.environment);
        }
        if fault.is_none()
            && let Ok((object, info)) = objects.open(kind, &digest)
            && search.encodings.accept(info.codec)
        {
            let offset = u64::from(info.header_size);
            let length = info.size.saturating_sub(offset);
            let mut response = Response::new(200, Body::Stored { object, offset, length });
            response.header("content-type", MANIFEST_TYPE);
            match info.codec {
                StoredCodec::None => {}
                StoredCodec::Zstd => response.header("content-encoding", "zstd"),
                StoredCodec::Gzip => response.header("content-encoding", "gzip"),
            }
            return Ok(response);
        }
        if !search.encodings.accept(StoredCodec::None) {
            return Err(Encodings::problem().into());
        }
        // What is set aside is found here as well.
        let bytes = objects
            .get(kind, digest, manifest::MAX_ENCODED)
            .map_err(|fault| EntryFault::Manifest(digest, fault))?;
        let mut response = Response::new(200, Body::Bytes(bytes));
        response.header("content-type", MANIFEST_TYPE);
        Ok(response)
    }

    fn archive_response(
        &self,
        search: &Search<'_>,
        objects: &C::Objects,
        records: &C::Records,
        key: &Key,
        digest: Digest,
    ) -> Result<ResponseTo<C, P>, Obstacle> {
        let encoding = search.encodings.best()?;
        let manifest = entries::manifest(objects, digest, self.environment)?;
        // Once the first byte is sent, another entry cannot take this one's place.
        let digests: Vec<Digest> = manifest.chunks().iter().map(|chunk| chunk.digest).collect();
        let local = LocalCache::new(objects, records, self.environment);
        match local.missing_chunk(&digests) {
            Ok(None) => {}
            Ok(Some(chunk)) => {
                return Err(Obstacle::Entry(chunk_reason(&chunk, &ObjectFault::Missing)));
            }
            Err(error) => return Err(Obstacle::Entry(error.to_string())),
        }
        let mut plan = self.archives.plan(&objects.source());
        if search.method == Method::Get {
            let name = key.as_str().rsplit('/').next().unwrap_or_default();
            archiving::submit(&manifest, name.as_bytes(), &mut plan);
        }
        let mut response = Response::new(200, Body::Archive { plan, encoding });
        if let Some(encoding) = negotiation::content_encoding(encoding) {
            response.header("content-encoding", encoding);
        }
        Ok(response)
    }
}
