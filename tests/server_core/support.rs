//! A server to send requests to, with every response checked against the documentation.

use crate::memory_host::{
    Member, OneCache, Plain, Plan, Plans, Reader, Shelf, TestEnvironment, receive_chunk,
};
use btdt_core::cache::LocalCache;
use btdt_core::digest::sha256;
use btdt_core::http_api::{
    self, Answer, Body, Encoding, Lookup, Page, Request, ServerContext, Settings,
};
use btdt_core::operations::store;
use btdt_host_runtime::chunk_io::Sink;
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::client::StoreRequest;
use btdt_ports::{
    ArchiveContent, ArchiveEntry, ArchiveFault, Digest, HttpError, HttpErrorKind, Objects,
    Timestamp, Tree,
};
use btdt_test_support::memory_tree::MemoryTree;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) type Reply = http_api::Response<Arc<[u8]>, Plan>;

/// The OpenAPI document.
pub(crate) fn openapi() -> Value {
    serde_json::from_str(include_str!("../../host-runtime/src/server_common/pages/openapi.json"))
        .unwrap()
}

/// What follows the head of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Sent {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    Archive(Vec<Member>, Option<ArchiveFault>),
    /// The connection breaks.
    Cut,
}

/// A request, and what follows its head.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) sent: Sent,
}

/// A request with a token that permits everything.
pub(crate) fn call(method: &str, url: &str) -> Call {
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (url, None),
    };
    let request =
        Request { method: method.to_owned(), path: path.to_owned(), query, headers: Vec::new() };
    Call { request, sent: Sent::Nothing }.token("all")
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.without("authorization").header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.request.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.sent = Sent::Bytes(bytes.into());
        self
    }

    pub(crate) fn archive(mut self, members: Vec<Member>) -> Self {
        self.sent = Sent::Archive(members, None);
        self
    }

    pub(crate) fn broken_archive(mut self, members: Vec<Member>, fault: ArchiveFault) -> Self {
        self.sent = Sent::Archive(members, Some(fault));
        self
    }
}

/// An archive member.
pub(crate) fn member(path: &str, content: ArchiveContent) -> Member {
    let modified = Timestamp { seconds: 7, nanoseconds: 8 };
    (ArchiveEntry { path: path.into(), content, mode: 0o100_640, modified }, Vec::new())
}

pub(crate) fn file(path: &str, content: &[u8]) -> Member {
    let (entry, _) = member(path, ArchiveContent::File(content.len() as u64));
    (entry, content.to_vec())
}

pub(crate) fn directory(path: &str) -> Member {
    member(path, ArchiveContent::Directory)
}

/// A server with one cache, `main`.
pub(crate) struct Server {
    pub(crate) shelf: Shelf,
    pub(crate) environment: TestEnvironment,
    pub(crate) authority: Plain,
    pub(crate) settings: Settings,
    documentation: Value,
    /// Template, method and status of all responses.
    pub(crate) seen: RefCell<BTreeSet<(String, String, u16)>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let environment = TestEnvironment::new();
        let clock = Arc::clone(&environment.clock);
        let now = move || Timestamp { seconds: clock.load(Ordering::Relaxed), nanoseconds: 1 };
        let shelf = Shelf { storage: MemoryStorage::new(now), fault: Rc::new(Cell::new(None)) };
        let settings = Settings { api_docs: true, metrics: true, max_manifest: 1 << 20 };
        let documentation = openapi();
        Server {
            shelf,
            environment,
            authority: Plain::default(),
            settings,
            documentation,
            seen: RefCell::default(),
        }
    }

    pub(crate) fn storage(&self) -> &MemoryStorage {
        &self.shelf.storage
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.environment.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The warnings since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.environment.log.take()
    }

    pub(crate) fn store<T: Tree<Sink = Sink>>(&self, keys: &[&str], tree: &T) -> Digest {
        self.pass(1);
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let request = StoreRequest { keys, tool: "test 1".to_owned(), ..Default::default() };
        let cache = LocalCache::new(self.storage(), self.storage(), &self.environment);
        store::store(&request, tree, &cache, &self.environment).unwrap().manifest
    }

    /// Stores a directory with one file under each of the keys.
    pub(crate) fn store_file(&self, key: &str, content: &[u8]) -> Digest {
        self.store(&[key], &tree(content))
    }

    /// Acts as the host.
    pub(crate) fn send(&self, call: &Call) -> Reply {
        let caches = OneCache(self.shelf.clone());
        let context = ServerContext {
            caches: &caches,
            authority: &self.authority,
            archives: &Plans,
            environment: &self.environment,
            settings: self.settings,
        };
        let request = &call.request;
        let reply = match context.handle(request) {
            Answer::Respond(reply) => reply,
            Answer::ReceiveBytes { limit, encoding } => {
                assert_eq!(encoding, Encoding::Identity, "the tests do not compress small bodies");
                let Sent::Bytes(body) = &call.sent else { panic!("{call:?} needs bytes") };
                assert!(body.len() as u64 <= limit);
                context.with_bytes(request, body)
            }
            Answer::ReceiveChunk { objects, digest, limit, created, existing } => {
                let body = match &call.sent {
                    Sent::Bytes(body) => body.as_slice(),
                    _ => &[],
                };
                match receive_chunk(&objects, digest, limit, body) {
                    Ok(outcome) if outcome.new => created,
                    Ok(_) => existing,
                    Err(fault) => context.refuse_chunk(request, fault),
                }
            }
            Answer::ReceiveArchive { objects, .. } => {
                let (members, end) = match &call.sent {
                    Sent::Archive(members, end) => (members.clone(), end.clone()),
                    Sent::Nothing => (vec![], Some(ArchiveFault::Truncated)),
                    Sent::Bytes(_) => (vec![], Some(ArchiveFault::Malformed)),
                    Sent::Cut => (vec![], Some(ArchiveFault::Interrupted(broken()))),
                };
                let reader = Reader::new(members, end, objects.sink());
                context.with_archive(request, reader)
            }
        };
        self.check(request, &reply);
        reply
    }

    /// Acts as the host that found a chunk damaged while it sent it.
    pub(crate) fn report_damage(&self, cache: &str, digest: Digest) {
        let caches = OneCache(self.shelf.clone());
        http_api::report_damage(cache, digest, &caches, &self.environment);
    }

    /// Expects that status for a request.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, call: &Call) -> Reply {
        let reply = self.send(call);
        assert_eq!(reply.status, status, "{:?}: {}", call.request, text(&reply));
        reply
    }

    /// Checks what holds for every response.
    fn check(&self, request: &Request, reply: &Reply) {
        let about = || format!("{request:?}: {}", reply.status);
        assert_eq!(header(reply, "btdt-protocol"), Some("1"), "{}", about());
        assert!(header(reply, "cache-control").is_some());
        for (name, value) in &reply.headers {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}: {value:?}");
            assert_eq!(value, value.trim());
        }
        let content_type = header(reply, "content-type");
        if reply.status >= 400 {
            assert_eq!(content_type, Some("application/problem+json"));
            let problem = json(reply);
            assert_eq!(problem["status"], reply.status, "{}", about());
            assert!(problem["title"].is_string() && problem["detail"].is_string());
        }
        if let Some(cache) = &reply.cache {
            assert_eq!(cache, "main");
        }
        if reply.route == "none" || reply.status == 405 {
            return;
        }
        let route = http_api::ROUTES.iter().find(|route| route.name == reply.route).unwrap();
        let method = request.method.to_ascii_lowercase();
        let answers = &self.documentation["paths"][route.template][&method]["responses"];
        let answer = &answers[reply.status.to_string()];
        assert!(answer.is_object(), "{}: not documented", about());
        let answer = match answer["$ref"].as_str() {
            Some(reference) => self.documentation.pointer(&reference[1..]).unwrap(),
            None => answer,
        };
        if let (Some(content_type), false) = (content_type, method == "head") {
            let essence = content_type.split(';').next().unwrap();
            assert!(answer["content"][essence].is_object(), "{}: {essence}", about());
        }
        let place = (route.template.to_owned(), method, reply.status);
        self.seen.borrow_mut().insert(place);
    }

    /// The content of all files in a response's archive, by path.
    pub(crate) fn archive(&self, reply: &Reply) -> Vec<Member> {
        let Body::Archive { plan, .. } = &reply.body else { panic!("no archive") };
        plan.expand(self.storage())
    }
}

/// The host's error for a broken connection.
pub(crate) fn broken() -> HttpError {
    HttpError { kind: HttpErrorKind::Interrupted, detail: "broken".to_owned() }
}

/// A directory with one file, `file`.
pub(crate) fn tree(content: &[u8]) -> MemoryTree {
    let tree = MemoryTree::new();
    tree.insert_directory(b"", 0o755, Timestamp::default()).unwrap();
    tree.insert_file(b"file", content, 0o644, Timestamp::default()).unwrap();
    tree
}

/// The stored form of a chunk, and its digest.
pub(crate) fn chunk(content: &[u8]) -> (Digest, Vec<u8>) {
    (sha256(content), Codec::new().encode(content).unwrap().to_vec())
}

/// Pseudo-random bytes.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn header<'reply>(reply: &'reply Reply, name: &str) -> Option<&'reply str> {
    let mut named = reply.headers.iter().filter(|(other, _)| other == name);
    let value = named.next().map(|(_, value)| value.as_str());
    assert!(named.next().is_none(), "{name} comes twice");
    value
}

/// The bytes of a body.
pub(crate) fn bytes(reply: &Reply) -> Vec<u8> {
    match &reply.body {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) => bytes.clone(),
        Body::Stored { object, offset, length } => {
            object[*offset as usize..][..*length as usize].to_vec()
        }
        Body::Archive { .. } => b"an archive".to_vec(),
        Body::Page(Page::Docs) => b"docs".to_vec(),
        Body::Page(page) => format!("{page:?}").into_bytes(),
    }
}

pub(crate) fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&bytes(reply)).into_owned()
}

pub(crate) fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&bytes(reply)).unwrap()
}

pub(crate) fn lookup(reply: &Reply) -> Option<Lookup> {
    reply.lookup
}
