//! Failing calls to a cache: every operation fails or is right, and nothing committed is lost.

use crate::support::{Cache, rich_tree, snapshot, store_in, tree};
use btdt_core::cache::LocalCache;
use btdt_core::operations::clean;
use btdt_core::operations::restore;
use btdt_core::storage::retention::Limits;
use btdt_host_runtime::chunk_io::{ChunkSink, ChunkSource, Sink, Source};
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::client::{CleanRequest, Error, RestoreRequest, Restored};
use btdt_ports::{
    AsideObject, Digest, HeldLock, IoError, IoErrorKind, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, PutOutcome, RecordVersion, Records, StoredRecord,
    SweepId, Timestamp, Tree,
};
use btdt_test_support::memory_tree::MemoryTree;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// Only the call with that number.
    Once(u64),
    /// Every n-th call.
    Every(u64),
}

/// Fails some calls, half of them after they have taken effect.
#[derive(Clone)]
struct Faulty {
    inner: MemoryStorage,
    plan: Plan,
    calls: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
}

impl Faulty {
    fn new(inner: &MemoryStorage, plan: Plan) -> Self {
        Faulty { inner: inner.clone(), plan, calls: Arc::default(), failures: Arc::default() }
    }

    fn run<T>(&self, call: impl FnOnce() -> Result<T, IoError>) -> Result<T, IoError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = match self.plan {
            Plan::Once(chosen) => number == chosen,
            Plan::Every(count) => number.is_multiple_of(count),
        };
        if !fails {
            return call();
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        if (number + failures).is_multiple_of(2) {
            call()?;
        }
        let kind = if number.is_multiple_of(3) { IoErrorKind::NoSpace } else { IoErrorKind::Other };
        Err(IoError::new(kind))
    }

    fn has_failed(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }
}

impl ChunkSink for Faulty {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        self.run(|| ChunkSink::existing(&self.inner, digest))
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        self.run(|| ChunkSink::put(&self.inner, digest, raw, codec))
    }
}

impl ChunkSource for Faulty {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        self.run(|| Ok(())).map_err(ObjectFault::Unreadable)?;
        ChunkSource::read(&self.inner, digest, raw_size, codec)
    }
}

impl Objects for Faulty {
    type Sink = Sink;
    type Source = Source;

    fn sink(&self) -> Sink {
        Arc::new(self.clone())
    }

    fn source(&self) -> Source {
        Arc::new(self.clone())
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        self.inner.lock(mode)
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        self.run(|| self.inner.missing(kind, digests))
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.run(|| Ok(())).map_err(ObjectFault::Unreadable)?;
        Objects::get(&self.inner, kind, digest, limit)
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        self.run(|| Objects::put(&self.inner, kind, raw))
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        match self.run(|| Ok(())) {
            Ok(()) => self.inner.check(names),
            Err(error) => vec![Some(ObjectFault::Unreadable(error)); names.len()],
        }
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        // A clean makes 512 of these calls; a few of them are enough.
        if shard.is_multiple_of(64) {
            self.run(|| Objects::list(&self.inner, kind, shard))
        } else {
            Objects::list(&self.inner, kind, shard)
        }
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        Objects::touch(&self.inner, kind, digests);
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        self.run(|| self.inner.set_aside(kind, digests, sweep))
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        self.run(|| self.inner.list_aside())
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.run(|| self.inner.recall(objects))
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        self.run(|| self.inner.discard(objects))
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.run(|| self.inner.clear_leftovers(before))
    }
}

impl Records for Faulty {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let each = names.iter().map(std::slice::from_ref);
        each.map(|name| self.run(|| Records::get(&self.inner, name).remove(0))).collect()
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        self.run(|| Records::put(&self.inner, name, value))
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        self.run(|| Records::list(&self.inner, prefix, after, limit))
    }

    fn touch(&self, name: &str) {
        Records::touch(&self.inner, name);
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        self.run(|| self.inner.delete(name, version))
    }
}

/// Runs `test` with each plan, until a single failure comes after the last call.
fn with_every_failure(test: impl Fn(Plan) -> bool) {
    let hit = (1..).take_while(|number| test(Plan::Once(*number))).count();
    assert!(hit >= 5, "only {hit} calls");
    for count in 1..40 {
        test(Plan::Every(count));
    }
}

fn old() -> MemoryTree {
    tree(&[("a", b"alpha"), ("old", b"old")])
}

/// A cache with two keys, and unreferenced objects, both live and set aside.
fn lived_in() -> Cache {
    let cache = Cache::new();
    cache.store("k", &tree(&[("garbage", b"1")]));
    cache.store("k", &tree(&[("garbage", b"2")]));
    cache.clean(Limits::default(), 0);
    cache.store("k", &old());
    cache.store("kept", &rich_tree());
    cache
}

#[test]
fn a_store_fails_or_is_right() {
    with_every_failure(|plan| {
        let cache = lived_in();
        let faulty = Faulty::new(&cache.storage, plan);
        let outcome = store_in(&faulty, &cache.environment, "k,new", &rich_tree());
        match outcome {
            Ok(_) => {
                cache.expect("k", &rich_tree());
                cache.expect("new", &rich_tree());
            }
            Err(error) => {
                assert!(matches!(error, Error::Cache { .. }), "{plan:?}: {error}");
                let (_, found) = cache.restore("k").unwrap();
                let found = snapshot(&found);
                assert!(found == snapshot(&old()) || found == snapshot(&rich_tree()), "{plan:?}");
            }
        }
        cache.expect("kept", &rich_tree());
        // Once calls succeed again, everything works.
        cache.store("k,new", &rich_tree());
        cache.expect("new", &rich_tree());
        faulty.has_failed()
    });
}

#[test]
fn a_restore_fails_misses_or_is_right() {
    for in_place in [false, true] {
        with_every_failure(|plan| {
            let cache = lived_in();
            let faulty = Faulty::new(&cache.storage, plan);
            let destination = if in_place { tree(&[("a", b"?")]) } else { MemoryTree::new() };
            let request = RestoreRequest {
                keys: vec!["none".into(), "kept".into()],
                prefixes: vec!["k".into()],
                exact: true,
                checksum: false,
            };
            let outcome = restore::restore(
                &request,
                &destination,
                &LocalCache::new(&faulty, &faulty, &cache.environment),
                &cache.environment,
            );
            let found = snapshot(&destination);
            match outcome {
                Ok(Some(Restored { key, .. })) => {
                    let right = if key.as_str() == "k" { old() } else { rich_tree() };
                    assert_eq!(found, snapshot(&right), "{plan:?}");
                }
                Ok(None) if in_place => {
                    assert_eq!(found, snapshot(&tree(&[("a", b"?")])), "{plan:?}");
                }
                Ok(None) => assert_eq!(destination.root(), Ok(None), "{plan:?}"),
                Err(error) => {
                    let fits = match error {
                        Error::Cache { .. } => true,
                        Error::Incomplete => in_place,
                        _ => false,
                    };
                    assert!(fits, "{plan:?}: {error}");
                }
            }
            cache.expect("kept", &rich_tree());
            cache.expect("k", &old());
            faulty.has_failed()
        });
    }
}

#[test]
fn a_clean_fails_or_is_right_and_loses_nothing() {
    with_every_failure(|plan| {
        let cache = lived_in();
        let faulty = Faulty::new(&cache.storage, plan);
        let request = CleanRequest { max_age: None, max_size: None, grace_period: 0 };
        for _ in 0..3 {
            let outcome = clean::clean(&request, &faulty, &faulty, &cache.environment);
            if let Err(error) = outcome {
                assert!(matches!(error, Error::Cache { .. }), "{plan:?}: {error}");
            }
            cache.expect("k", &old());
            cache.expect("kept", &rich_tree());
        }
        // Once calls succeed again, the cache gets clean.
        cache.clean(Limits::default(), 0);
        cache.clean(Limits::default(), 0);
        assert_eq!(cache.storage.list_aside(), Ok(Vec::new()));
        assert_eq!(cache.live(ObjectKind::Manifest).len(), 2);
        faulty.has_failed()
    });
}

#[test]
fn a_clean_that_cannot_read_an_entry_collects_nothing() {
    let cache = lived_in();
    let garbage = cache.storage.list_aside().unwrap();
    let live = cache.live(ObjectKind::Manifest);
    let mut stopped = 0;
    for number in 1..60 {
        let faulty = Faulty::new(&cache.storage, Plan::Once(number));
        let request = CleanRequest { max_age: None, max_size: None, grace_period: 1 << 40 };
        let summary = clean::clean(&request, &faulty, &faulty, &cache.environment);
        let warnings = cache.environment.warnings();
        if let Ok(summary) = summary
            && summary.swept.is_none()
        {
            stopped += 1;
            assert!(warnings.iter().any(|line| line.contains("not collected")), "{warnings:?}");
            assert_eq!((summary.removed, summary.damaged), (0, 0), "{number}");
            assert_eq!(cache.storage.list_aside().unwrap(), garbage);
            assert_eq!(cache.live(ObjectKind::Manifest), live);
        }
        if !faulty.has_failed() {
            break;
        }
    }
    assert!(stopped >= 4, "two records and two manifests: {stopped}");
}
