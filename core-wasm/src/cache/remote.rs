//! A cache on a server, from the client's side: requests, retries, and the meaning of responses.
//!
//! Servers of this version transfer manifests and chunks, so that only new content travels. Servers
//! of btdt 0.4, recognised by the lack of a header, transfer whole archives: chunks are spooled on
//! this machine on their way into or out of one.

use super::interface::{Cache, Candidate, Wanted};
use crate::archive::{export, import};
use crate::digest::sha256;
use crate::key::Key;
use crate::manifest::{self, Manifest};
use crate::protocol::{
    CACHE_KEY, CACHE_KEY_ENCODING, HTTP_STATUSES, MANIFEST_DIGEST, MANIFEST_TYPE, Missing, PERCENT,
    Problem, TAR_TYPE, TOOL, VERSION, VERSION_HEADER,
};
use crate::storage::commit::{Committed, NewEntry};
use btdt_ports::client::{Error, ServerFault, ServerRefusal};
use btdt_ports::{
    ChunkEndpoint, Digest, Environment, HeldLock, HttpRequest, HttpResponse, IncomingBody, Method,
    Operation, Remote, RetryPolicy, Scope, Severity, TransferFailure, TransferFault,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What keys in URLs percent-encode: all but `unreserved` (RFC 3986).
pub(crate) const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Lifetime in seconds of the tokens sent to a server, as for btdt 0.4. The host derives a new one
/// when a transfer takes longer.
const TOKEN_LIFE: u32 = 300;

/// Largest body in bytes for responses with a message or a list.
pub(crate) const MAX_PROBLEM: u64 = 16 << 20;

/// Four attempts within about four seconds: long enough for a server that restarts during a rollout,
/// short enough not to hold up a build if the server is down.
const ATTEMPTS: u32 = 4;

/// In milliseconds.
const FIRST_DELAY: u32 = 500;

/// Most unusable entries under a prefix before giving up. Servers limit the number of unwanted keys.
const MAX_UNUSABLE: usize = 200;

/// Longest query in bytes. Servers limit the head of a request.
const MAX_QUERY: usize = 16 << 10;

/// Statuses of temporary failures of a server, or of a proxy in front of it.
const TEMPORARY: [u16; 5] = [408, 429, 502, 503, 504];

/// A cache on a server.
pub struct RemoteCache<'cache, R: Remote> {
    remote: &'cache R,
    environment: &'cache dyn Environment,
    name: String,
    /// The operation that tokens are restricted to.
    operation: Operation,
    /// URL of the cache, without a trailing slash.
    pub(crate) url: String,
    /// The keys that authorize access to chunks, as a query with its question mark: all keys of a
    /// store, or the key of the restored entry.
    keys: RefCell<String>,
    /// The chunks that went to [`Cache::sink`], if the server does not support chunks.
    spool: RefCell<Option<R::Source>>,
}

impl<'cache, R: Remote> RemoteCache<'cache, R> {
    /// The cache at `url`, for one operation on these keys.
    ///
    /// # Errors
    /// [`Error::Server`] if this is not the URL of a cache.
    pub fn new(
        remote: &'cache R,
        url: &str,
        operation: Operation,
        keys: &[String],
        environment: &'cache dyn Environment,
    ) -> Result<Self, Error> {
        let url = url.trim_end_matches('/');
        let name = url.rsplit_once("/api/caches/").map(|(_, name)| name);
        let Some(name) = name.filter(|name| !name.is_empty() && !name.contains(['/', '?', '#']))
        else {
            let reason = "a cache is at http(s)://HOST:PORT/api/caches/NAME".to_owned();
            return Err(Error::server(url, ServerFault::Unexpected(reason)));
        };
        let cache = RemoteCache {
            remote,
            environment,
            name: percent_decode_str(name).decode_utf8_lossy().into_owned(),
            operation,
            url: url.to_owned(),
            keys: RefCell::new(query(keys.iter().map(|key| ("key", key.as_str())))),
            spool: RefCell::default(),
        };
        cache.restrict(operation);
        Ok(cache)
    }

    /// Restricts the tokens that are sent to one operation.
    fn restrict(&self, operation: Operation) {
        let cache = self.name.clone();
        self.remote.restrict(&Scope { operation, cache, seconds: TOKEN_LIFE });
    }

    fn endpoint(&self) -> ChunkEndpoint {
        let keys = self.keys.borrow();
        let separator = if keys.is_empty() { '?' } else { '&' };
        ChunkEndpoint {
            missing: self.missing_url(),
            chunk: format!("{}/chunks/", self.url),
            query: keys.clone(),
            verify_query: format!("{keys}{separator}verify=true"),
            retries: retries(),
        }
    }

    fn missing_url(&self) -> String {
        format!("{}/chunks/missing{}", self.url, self.keys.borrow())
    }

    pub(crate) fn send(&self, request: &HttpRequest) -> Result<HttpResponse<R::Body>, Error> {
        let sent = self.remote.send(request);
        sent.map_err(|error| Error::server(&request.url, ServerFault::NoAnswer(error)))
    }

    /// The body of a response, of at most `limit` bytes.
    pub(crate) fn body(&self, url: &str, body: R::Body, limit: u64) -> Result<Vec<u8>, Error> {
        body.bytes(limit).map_err(|error| Error::server(url, ServerFault::NoAnswer(error)))
    }

    pub(crate) fn refused(&self, url: &str, response: HttpResponse<R::Body>) -> Error {
        let status = response.status;
        // Without a message if the body does not arrive.
        let body = response.body.bytes(MAX_PROBLEM).unwrap_or_default();
        Error::server(url, refusal(status, &body))
    }

    pub(crate) fn unexpected(&self, url: &str, what: impl Into<String>) -> Error {
        Error::server(url, ServerFault::Unexpected(what.into()))
    }

    /// Asks which of these chunks the server does not have. `None` for a server of btdt 0.4, which
    /// does not support chunks.
    pub(crate) fn missing(&self, digests: &[Digest]) -> Result<Option<Vec<Digest>>, Error> {
        let url = self.missing_url();
        let mut request = request(Method::Post, url.clone());
        request.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
        request.body = Missing::encode(digests).into_bytes();
        let response = self.send(&request)?;
        let own = is_own(&response);
        match response.status {
            200 if own => {}
            400 | 404 | 405 | 501 if !own => return Ok(None),
            _ => return Err(self.refused(&url, response)),
        }
        let body = self.body(&url, response.body, MAX_PROBLEM)?;
        match Missing::decode(&body) {
            Ok(missing) => Ok(Some(missing)),
            Err(_) => Err(self.unexpected(&url, "its list of chunks is not one")),
        }
    }

    fn commit_manifest(&self, entry: &NewEntry<'_>) -> Result<Committed, Error> {
        let encoded = manifest::encode(entry.manifest).map_err(|_| Error::SourceTooLarge)?;
        let digest = sha256(&encoded);
        let url = format!("{}{}", self.url, key_query(entry.keys));
        let mut request = request(Method::Put, url.clone());
        request.headers.extend([
            ("content-type".to_owned(), MANIFEST_TYPE.to_owned()),
            (MANIFEST_DIGEST.to_owned(), digest.to_hex()),
            (TOOL.to_owned(), entry.tool.to_owned()),
        ]);
        request.body = encoded;
        let response = self.send(&request)?;
        match response.status {
            200..=299 if is_own(&response) => Ok(Committed::Done(digest)),
            409 if is_own(&response) => {
                let body = self.body(&url, response.body, MAX_PROBLEM)?;
                let missing = Problem::decode(&body).missing;
                Ok(Committed::Missing(missing))
            }
            200..=299 => Err(self.unexpected(&url, "it does not know manifests")),
            _ => Err(self.refused(&url, response)),
        }
    }

    fn commit_archive(&self, entry: &NewEntry<'_>, source: &R::Source) -> Result<Committed, Error> {
        let url = format!("{}{}", self.url, key_query(entry.keys));
        if !entry.manifest.is_directory() {
            return Err(Error::NotRemote(
                "the server is one of btdt 0.4, which keeps directories only".to_owned(),
            ));
        }
        let mut plan = self.remote.plan(source);
        export::export(entry.manifest, b"", &mut plan);
        let mut request = request(Method::Put, url.clone());
        request.headers.push(("content-type".to_owned(), TAR_TYPE.to_owned()));
        let response = self.remote.upload(&request, plan);
        let response =
            response.map_err(|error| Error::server(&url, ServerFault::NoAnswer(error)))?;
        match response.status {
            // The server does not use manifests, but the summary has a digest.
            201 | 204 => {
                let encoded =
                    manifest::encode(entry.manifest).map_err(|_| Error::SourceTooLarge)?;
                Ok(Committed::Done(sha256(&encoded)))
            }
            // Other web servers may answer so without storing anything.
            200..=299 => Err(self.unexpected(&url, "it does not answer as a cache does")),
            _ => Err(self.refused(&url, response)),
        }
    }

    /// Requests the first of the wanted entries.
    fn first(
        &self,
        query: &str,
        wanted: Wanted<'_>,
    ) -> Result<Option<Candidate<R::Source>>, Error> {
        let url = format!("{}{query}", self.url);
        let mut request = request(Method::Get, url.clone());
        let accepted = format!("{MANIFEST_TYPE}, {TAR_TYPE};q=0.5, */*;q=0.1");
        request.headers.push(("accept".to_owned(), accepted));
        let response = self.send(&request)?;
        match response.status {
            200 => {}
            204 => return Ok(None),
            _ => return Err(self.refused(&url, response)),
        }
        let own = is_own(&response);
        let Some(key) = response.header(CACHE_KEY) else {
            return Err(self.unexpected(&url, format!("it has no header {CACHE_KEY}")));
        };
        let encoded = response.header(CACHE_KEY_ENCODING) == Some(PERCENT);
        let key = if encoded { percent_decode_str(key).decode_utf8_lossy() } else { key.into() };
        let key = Key::new(key).map_err(|_| self.unexpected(&url, "its key is not one"))?;
        let is_wanted =
            wanted.keys.contains(&key) || wanted.prefixes.iter().any(|prefix| prefix.matches(&key));
        if !is_wanted {
            let what = format!("it has the entry of key {key}, which was not asked for");
            return Err(self.unexpected(&url, what));
        }
        self.keys.replace(key_query(std::slice::from_ref(&key)));
        if own && is_manifest(&response) {
            let manifest = self.manifest(&url, response)?;
            return Ok(Some(Candidate {
                key,
                manifest,
                source: self.remote.source(&self.endpoint()),
            }));
        }
        let (manifest, source) = self.archive(&url, response)?;
        Ok(Some(Candidate { key, manifest, source }))
    }

    fn manifest(&self, url: &str, response: HttpResponse<R::Body>) -> Result<Manifest, Error> {
        let digest = response.header(MANIFEST_DIGEST).and_then(Digest::from_hex);
        let body = self.body(url, response.body, manifest::MAX_ENCODED)?;
        if digest != Some(sha256(&body)) {
            return Err(self.unexpected(url, "the manifest was altered on its way"));
        }
        manifest::decode(&body)
            .map_err(|fault| self.unexpected(url, format!("its manifest is invalid: {fault}")))
    }

    /// The manifest of an entry, if the server supports manifests.
    fn manifest_of(&self, key: &Key) -> Result<Option<Manifest>, Error> {
        let url = format!("{}{}", self.url, key_query(std::slice::from_ref(key)));
        let mut request = request(Method::Get, url.clone());
        request.headers.push(("accept".to_owned(), MANIFEST_TYPE.to_owned()));
        let response = self.send(&request)?;
        match response.status {
            200 if is_own(&response) && is_manifest(&response) => {
                self.manifest(&url, response).map(Some)
            }
            200 | 204 => Ok(None),
            _ => Err(self.refused(&url, response)),
        }
    }

    fn archive(
        &self,
        url: &str,
        response: HttpResponse<R::Body>,
    ) -> Result<(Manifest, R::Source), Error> {
        let (sink, source) = self.remote.spool().map_err(Error::spooling)?;
        let unexpected =
            |fault: &dyn std::fmt::Display| self.unexpected(url, format!("its archive: {fault}"));
        let reader = response.body.unarchive(&sink).map_err(|fault| unexpected(&fault))?;
        let imported = import::import(reader, manifest::MAX_ENCODED, self.environment);
        let (manifest, _) = imported.map_err(|fault| unexpected(&fault))?;
        Ok((manifest, source))
    }
}

impl<R: Remote> Cache for RemoteCache<'_, R> {
    type Sink = R::Sink;
    type Source = R::Source;

    fn in_use(&self) -> Option<HeldLock> {
        None
    }

    fn sink(&self) -> Result<R::Sink, Error> {
        if self.missing(&[])?.is_some() {
            return Ok(self.remote.sink(&self.endpoint()));
        }
        let (sink, source) = self.remote.spool().map_err(Error::spooling)?;
        self.spool.replace(Some(source));
        Ok(sink)
    }

    fn commit(&self, entry: &NewEntry<'_>) -> Result<Committed, Error> {
        match &*self.spool.borrow() {
            None => self.commit_manifest(entry),
            Some(source) => self.commit_archive(entry, source),
        }
    }

    fn candidate(
        &self,
        wanted: Wanted<'_>,
        tried: &mut BTreeSet<Key>,
    ) -> Result<Option<Candidate<R::Source>>, Error> {
        let keys = wanted.keys.iter().filter(|key| !tried.contains(*key));
        let keys = keys.map(|key| ("key", key.as_str()));
        let prefixes = wanted.prefixes.iter().map(|prefix| ("prefix", prefix.as_str()));
        // Without this, the server would find the same entries under a prefix again.
        let not: Vec<_> = match wanted.prefixes {
            [] => Vec::new(),
            _ => tried.iter().map(|key| ("not", key.as_str())).collect(),
        };
        let query = query(keys.chain(prefixes).chain(not.iter().copied()));
        if query.is_empty() {
            return Ok(None);
        }
        if not.len() > MAX_UNUSABLE || (!not.is_empty() && query.len() > MAX_QUERY) {
            let message = format!(
                "{} entries cannot be used: older ones with the same prefix are not tried any more",
                not.len()
            );
            self.environment.log(Severity::Warning, &message);
            return Ok(None);
        }
        let candidate = self.first(&query, wanted)?;
        Ok(candidate.filter(|candidate| tried.insert(candidate.key.clone())))
    }

    fn replaced(&self, key: &Key) -> Result<Option<Manifest>, Error> {
        // From a server of btdt 0.4 this would take the whole archive.
        if self.spool.borrow().is_some() {
            return Ok(None);
        }
        self.restrict(Operation::Get);
        let manifest = self.manifest_of(key);
        self.restrict(self.operation);
        manifest
    }

    fn missing_chunk(&self, chunks: &[Digest]) -> Result<Option<Digest>, Error> {
        let missing = self.missing(chunks)?;
        Ok(missing.and_then(|missing| missing.first().copied()))
    }

    fn found_damaged(&self, _: &[Digest]) {
        // The client asked the server to verify the chunk, so the server has removed it.
    }

    fn used(&self, _: &Key) {
        // The server updated it when it sent the entry.
    }

    fn explain(&self, error: Error) -> Error {
        match (self.remote.failure(), error) {
            (Some(TransferFailure { url, reason }), Error::Cache { .. }) => {
                let fault = match reason {
                    TransferFault::NoAnswer(error) => ServerFault::NoAnswer(error),
                    TransferFault::Refused(refused) => refusal(refused.status, &refused.body),
                };
                Error::server(&url, fault)
            }
            (_, error) => error,
        }
    }
}

pub(crate) fn request(method: Method, url: String) -> HttpRequest {
    HttpRequest { method, url, headers: Vec::new(), body: Vec::new(), retries: retries() }
}

/// For all requests but the upload of an archive, which is not idempotent.
fn retries() -> RetryPolicy {
    RetryPolicy { attempts: ATTEMPTS, delay: FIRST_DELAY, statuses: TEMPORARY.to_vec() }
}

pub(crate) fn is_own<B>(response: &HttpResponse<B>) -> bool {
    response.header(VERSION_HEADER) == Some(VERSION)
}

fn is_manifest<B>(response: &HttpResponse<B>) -> bool {
    let media_type = response.header("content-type").and_then(|value| value.split(';').next());
    media_type == Some(MANIFEST_TYPE)
}

/// A refusal for the user: the server's message, or the meaning of the status.
pub(crate) fn refusal(status: u16, body: &[u8]) -> ServerFault {
    let known = HTTP_STATUSES.iter().find(|(code, _)| *code == status);
    let meaning = known.map_or("no reason given", |(_, meaning)| meaning);
    let message = Problem::decode(body).detail.unwrap_or_else(|| meaning.to_owned());
    ServerFault::Refused(ServerRefusal { status, message })
}

fn key_query(keys: &[Key]) -> String {
    query(keys.iter().map(|key| ("key", key.as_str())))
}

/// A query with its question mark, without empty parameters; empty if none is left.
pub(crate) fn query<'q>(parameters: impl Iterator<Item = (&'q str, &'q str)>) -> String {
    let mut query = String::new();
    for (name, value) in parameters.filter(|(_, value)| !value.is_empty()) {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.extend(utf8_percent_encode(value, QUERY));
    }
    query
}
