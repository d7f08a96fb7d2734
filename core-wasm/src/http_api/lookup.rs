//! `GET` of an entry: the first usable one by key, then the newest usable one by prefix.

use super::access::{self, Findings};
use super::answer::{Answer, Body, Lookup, Response};
use super::context::{Decision, ResponseTo, ServerContext};
use super::negotiation::{self, Encodings, Form};
use super::problem::Problem;
use super::request::Request;
use super::route::Method;
use super::trace::Trace;
use super::url::{Parameters, encode_for_header};
use crate::archive::export;
use crate::cache::{Cache as _, LocalCache, chunk_reason, warn_unusable};
use crate::key::{Key, Prefix};
use crate::manifest;
use crate::protocol::{self, MANIFEST_TYPE};
use crate::storage::collect;
use crate::storage::record_lookup::{self, EntryFault};
use btdt_ports::{
    Access, Archives, Authority, Caches, Digest, ObjectFault, ObjectKind, ObjectName, Objects,
    OpenObjects, Operation, Records, StoredCodec, Verdict,
};
use std::collections::BTreeSet;

/// The request headers that responses with entries depend on.
const VARY: &str = "accept, accept-encoding";

/// Keys found by prefix to authorize per call: a usable entry is nearly always among the first.
const AUTHORIZED_AT_ONCE: usize = 16;

/// Attempts in total for an entry that is replaced while it is read.
const ATTEMPTS: u32 = 3;

/// A request for an entry, and the cache that it is about.
struct Search<'search, C: Caches> {
    request: &'search Request,
    method: Method,
    form: Form,
    encodings: Encodings,
    unwanted: BTreeSet<Key>,
    objects: C::Objects,
    records: C::Records,
}

/// Why an entry is not sent.
enum Obstacle {
    /// This entry is unusable; another one may be usable.
    Entry(String),
    /// The request fails whatever the entry.
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

impl<C, A, P> ServerContext<'_, C, A, P>
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
    ) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let Parameters { keys, prefixes, not, .. } = Parameters::parse(request.query.as_deref())?;
        if keys.is_empty() && prefixes.is_empty() {
            let detail = "The URL needs at least one parameter \"key\" or \"prefix\".";
            return Err(Problem::bad_request(detail));
        }
        // A prefix is authorized like a key: a token for all keys that begin with it may learn that
        // there are none. A narrower token may not, and succeeds only if an entry that it permits
        // is found.
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
        let Some((objects, records)) = self.caches.find(cache) else {
            findings.any()?;
            return Err(Problem::no_cache());
        };
        let encodings = Encodings::of(request);
        let unwanted = not.into_iter().collect();
        let search = Search { request, method, form, encodings, unwanted, objects, records };
        let found = match self.first_usable(&search, &keys, &verdicts)? {
            None => self.newest_usable(&search, cache, token, keys, &prefixes, &mut findings)?,
            found => found,
        };
        if let Some(response) = found {
            trace.looked_up(cache, method, Lookup::Hit);
            return Ok(Answer::Respond(response));
        }
        findings.any()?;
        trace.looked_up(cache, method, Lookup::Miss);
        let mut response = Response::new(204, Body::Empty);
        response.header("vary", VARY);
        Ok(Answer::Respond(response))
    }

    /// The response with the first usable entry that is allowed and not unwanted.
    fn first_usable(
        &self,
        search: &Search<'_, C>,
        keys: &[Key],
        verdicts: &[Verdict],
    ) -> Result<Option<ResponseTo<C, P>>, Problem> {
        for (key, verdict) in keys.iter().zip(verdicts) {
            if *verdict == Verdict::Allowed
                && !search.unwanted.contains(key)
                && let Some(response) = self.attempt(search, key)?
            {
                return Ok(Some(response));
            }
        }
        Ok(None)
    }

    /// The response with the newest usable entry of the first prefix that has one.
    fn newest_usable(
        &self,
        search: &Search<'_, C>,
        cache: &str,
        token: &str,
        tried: Vec<Key>,
        prefixes: &[Prefix],
        findings: &mut Findings,
    ) -> Result<Option<ResponseTo<C, P>>, Problem> {
        // Authorize each key only once, even if it matches several prefixes: that is the most
        // expensive part.
        let mut tried: BTreeSet<Key> = tried.into_iter().collect();
        for prefix in prefixes {
            let newest = record_lookup::newest(&search.records, prefix);
            let mut newest = newest.map_err(|error| self.failed(cache, &error))?;
            newest.retain(|key| tried.insert(key.clone()));
            for keys in newest.chunks(AUTHORIZED_AT_ONCE) {
                let accesses = access::accesses(Operation::Get, cache, keys);
                let verdicts = self.verdicts(token, &accesses)?;
                findings.add(&verdicts);
                if let Some(response) = self.first_usable(search, keys, &verdicts)? {
                    return Ok(Some(response));
                }
            }
        }
        Ok(None)
    }

    /// The response with the entry of a key; `None` if it has no usable one.
    fn attempt(
        &self,
        search: &Search<'_, C>,
        key: &Key,
    ) -> Result<Option<ResponseTo<C, P>>, Problem> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let digest = match record_lookup::find(&search.records, key) {
                Ok(entry) => entry.record.manifest,
                Err(EntryFault::Absent) => return Ok(None),
                Err(fault) => {
                    warn_unusable(self.environment, key, &fault);
                    return Ok(None);
                }
            };
            // Try again only if the entry was replaced while it was read.
            if last == Some(digest) {
                break;
            }
            last = Some(digest);
            match self.send(search, key, digest) {
                Ok(response) => {
                    if search.method == Method::Get {
                        search.records.touch(&key.record_name());
                    }
                    return Ok(Some(response));
                }
                Err(Obstacle::Request(problem)) => return Err(problem),
                Err(Obstacle::Entry(reason)) => warn_unusable(self.environment, key, &reason),
            }
        }
        Ok(None)
    }

    /// The response with the entry of a manifest.
    fn send(
        &self,
        search: &Search<'_, C>,
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
            Form::Manifest => self.manifest_response(search, digest)?,
            Form::Archive(content_type) => {
                let mut response = self.archive_response(search, key, digest)?;
                response.header("content-type", content_type);
                response
            }
        };
        // The original client compares the key verbatim. A key that a header cannot carry is
        // encoded, which a second header indicates.
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
        search: &Search<'_, C>,
        digest: Digest,
    ) -> Result<ResponseTo<C, P>, Obstacle> {
        let (kind, objects) = (ObjectKind::Manifest, &search.objects);
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
        // This also finds objects that were set aside.
        let bytes = objects
            .get(kind, digest, manifest::MAX_ENCODED)
            .map_err(|fault| EntryFault::Manifest(digest, fault))?;
        let mut response = Response::new(200, Body::Bytes(bytes));
        response.header("content-type", MANIFEST_TYPE);
        Ok(response)
    }

    fn archive_response(
        &self,
        search: &Search<'_, C>,
        key: &Key,
        digest: Digest,
    ) -> Result<ResponseTo<C, P>, Obstacle> {
        let (objects, records) = (&search.objects, &search.records);
        let encoding = search.encodings.best()?;
        let manifest = record_lookup::manifest(objects, digest, self.environment)?;
        // Check now: once the first byte is sent, there is no way to try another entry.
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
            export::export(&manifest, name.as_bytes(), &mut plan);
        }
        let mut response = Response::new(200, Body::Archive { plan, encoding });
        if let Some(encoding) = negotiation::content_encoding(encoding) {
            response.header("content-encoding", encoding);
        }
        Ok(response)
    }
}
