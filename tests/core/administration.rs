//! Listing, inspecting and deleting entries, and verifying a cache, whatever it contains.

use crate::support::{Cache, noise, rich_tree, tree};
use btdt_core::cache::LocalCache;
use btdt_core::operations::administration;
use btdt_core::operations::administration::verify;
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::client::{DeletePage, DeleteRequest, Error, Part, TreeTotals, VerifySummary};
use btdt_ports::{
    Digest, IoError, ObjectKind, Objects, RecordVersion, Records, StoredRecord, SweepId, Timestamp,
};
use std::cell::RefCell;

type Local<'cache> = LocalCache<'cache, MemoryStorage, MemoryStorage>;

fn local(cache: &Cache) -> Local<'_> {
    LocalCache::new(&cache.storage, &cache.storage, &cache.environment)
}

/// All keys with a prefix, sorted; the number of pages, and of unusable records.
fn list(cache: &Cache, prefix: &str) -> (Vec<String>, usize, u64) {
    let (mut keys, mut pages, mut unusable) = (Vec::new(), 0, 0);
    let mut after: Option<String> = None;
    loop {
        let page = administration::list(prefix, after.as_deref(), &local(cache)).unwrap();
        keys.extend(page.entries.iter().map(|entry| entry.record.key.as_str().to_owned()));
        unusable += page.unusable;
        pages += 1;
        after = page.next;
        if after.is_none() {
            keys.sort();
            return (keys, pages, unusable);
        }
    }
}

fn delete(cache: &Cache, keys: &[&str], prefix: Option<&str>) -> DeletePage {
    let request = DeleteRequest {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        prefix: prefix.map(str::to_owned),
        after: None,
    };
    administration::delete(&request, &local(cache)).unwrap()
}

fn put(cache: &Cache, name: &str, value: &[u8]) {
    Records::put(&cache.storage, name, value).unwrap();
}

fn verify(cache: &Cache, repair: bool) -> VerifySummary {
    verify::verify(repair, &local(cache)).unwrap()
}

/// Expects exactly one finding, and returns its problem.
#[track_caller]
fn expect_finding(summary: &VerifySummary, part: Part, name: &str, keys: &[&str]) -> String {
    assert_eq!((summary.findings.len(), summary.faults), (1, 1), "{summary:?}");
    let finding = &summary.findings[0];
    assert_eq!((finding.part, finding.name.as_str()), (part, name));
    assert_eq!(finding.keys, keys);
    assert_eq!((finding.affected, summary.affected), (keys.len() as u64, keys.len() as u64));
    finding.problem.clone()
}

#[test]
fn all_entries_are_listed_page_by_page() {
    let cache = Cache::new();
    let mut keys: Vec<String> = (0..1500).map(|number| format!("ci/{number:04}")).collect();
    cache.store(&keys.join(","), &tree(&[("a", b"a")]));
    let odd = ["%41", "..", "~", "é ü", &"k".repeat(500), &format!("{}x", "k".repeat(499))];
    cache.store(&odd.join(","), &tree(&[("b", b"b")]));
    put(&cache, "junk", b"no record");
    let (found, pages, unusable) = list(&cache, "ci/");
    assert_eq!((&found, unusable), (&keys, 0));
    assert!(pages > 1);
    assert_eq!(list(&cache, "ci/00").0, keys[..100]);
    assert_eq!(list(&cache, &"k".repeat(500)).0, ["k".repeat(500)]);
    assert_eq!(list(&cache, "none").0, [""; 0]);
    keys.extend(odd.iter().map(|key| (*key).to_owned()));
    keys.sort();
    assert_eq!((list(&cache, "").0, list(&cache, "").2), (keys, 1));
    let wrong = administration::list("a,b", None, &local(&cache));
    assert!(matches!(wrong, Err(Error::InvalidKey { .. })), "{wrong:?}");
}

#[test]
fn an_entry_is_shown_as_it_is() {
    let cache = Cache::new();
    let summary = cache.store("k", &rich_tree());
    let show = |key| administration::inspect(key, &local(&cache)).unwrap();
    let shown = show("k").unwrap();
    assert_eq!(shown.entry.record.manifest, summary.manifest);
    assert_eq!(shown.entry.record.stored_size, summary.stored_size);
    assert_eq!(shown.missing_chunks, 0);
    let totals = shown.totals().unwrap();
    let expected = TreeTotals {
        files: 4,
        directories: 3,
        symlinks: 1,
        hard_links: 1,
        raw_size: summary.raw_size,
        chunks: summary.chunks,
        chunks_size: summary.raw_size,
        missing_chunks: 0,
    };
    assert_eq!(totals, expected);
    assert_eq!(show("other"), None);
    assert!(administration::inspect("", &local(&cache)).is_err());

    let chunk = cache.live(ObjectKind::Chunk)[0];
    cache.storage.set_aside(ObjectKind::Chunk, &[chunk], &sweep()).unwrap();
    assert_eq!(show("k").unwrap().missing_chunks, 0, "what is aside is there");
    let aside = cache.storage.list_aside().unwrap();
    cache.storage.discard(&aside).unwrap();
    assert_eq!(show("k").unwrap().missing_chunks, 1);
    damage(&cache, ObjectKind::Manifest, summary.manifest);
    let before = cache.storage.stored(ObjectKind::Manifest, summary.manifest);
    assert_eq!(show("k").unwrap().manifest, None);
    cache.environment.expect_warning(&["key k", "manifest"]);
    assert!(before.is_some());
    assert_eq!(cache.storage.stored(ObjectKind::Manifest, summary.manifest), before, "unchanged");
    put(&cache, "k", b"no record");
    assert_eq!(show("k"), None);
    cache.environment.expect_warning(&["key k", "record is damaged"]);
}

fn sweep() -> SweepId {
    SweepId::new(Timestamp { seconds: 5, nanoseconds: 0 }, 5)
}

fn damage(cache: &Cache, kind: ObjectKind, digest: Digest) {
    let mut stored = cache.storage.stored(kind, digest).unwrap().to_vec();
    *stored.last_mut().unwrap() ^= 1;
    cache.storage.replace_stored(kind, digest, &stored);
}

#[test]
fn only_what_was_named_is_deleted() {
    let cache = Cache::new();
    cache.store("a,b,ci/1,ci/2,cj", &tree(&[("a", b"a")]));
    put(&cache, "damaged", b"no record");
    let page = delete(&cache, &["b", "", "gone", "damaged", "b"], None);
    assert_eq!(page.deleted, ["b", "damaged"]);
    assert_eq!(page.missing, ["gone"]);
    assert_eq!((page.next, page.failure), (None, None));
    assert_eq!(list(&cache, "").0, ["a", "ci/1", "ci/2", "cj"]);
    let page = delete(&cache, &[], Some("ci/"));
    assert_eq!(page.deleted, ["ci/1", "ci/2"]);
    assert_eq!(list(&cache, "").0, ["a", "cj"]);
    for keys in [&[][..], &["", ""], &["a,b"], &["a", "b\n"]] {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let request = DeleteRequest { keys, ..DeleteRequest::default() };
        assert!(administration::delete(&request, &local(&cache)).is_err());
    }
    assert_eq!(list(&cache, "").0, ["a", "cj"], "nothing is deleted if any key is invalid");
    assert_eq!(verify(&cache, false).faults, 0);
}

#[test]
fn many_entries_are_deleted_page_by_page() {
    let cache = Cache::new();
    let keys: Vec<String> = (0..2500).map(|number| format!("ci/{number:04}")).collect();
    cache.store(&format!("a,{},z", keys.join(",")), &tree(&[("a", b"a")]));
    let mut request = DeleteRequest { prefix: Some("ci/".to_owned()), ..DeleteRequest::default() };
    let mut deleted = Vec::new();
    loop {
        let page = administration::delete(&request, &local(&cache)).unwrap();
        assert_eq!((page.missing.len(), page.failure), (0, None));
        deleted.extend(page.deleted.iter().map(|key| key.as_str().to_owned()));
        request.after = page.next;
        if request.after.is_none() {
            break;
        }
    }
    assert_eq!(deleted, keys);
    assert_eq!(list(&cache, "").0, ["a", "z"]);
}

#[test]
fn an_intact_cache_has_nothing_wrong() {
    let cache = Cache::new();
    assert_eq!(verify(&cache, false), VerifySummary::default());
    cache.store("k,l", &rich_tree());
    cache.store("m", &tree(&[("z", &noise(3, 3_000_000))]));
    let chunks = cache.live(ObjectKind::Chunk);
    let summary = verify(&cache, true);
    assert_eq!((summary.faults, summary.entries, summary.manifests), (0, 3, 2));
    assert_eq!(summary.chunks, chunks.len() as u64);
    assert!(summary.stored_size > 4_000_000, "{summary:?}");
    // Missing objects that no entry needs are no fault, and neither are objects set aside.
    delete(&cache, &["m"], None);
    cache.storage.set_aside(ObjectKind::Chunk, &chunks, &sweep()).unwrap();
    let manifests = cache.live(ObjectKind::Manifest);
    cache.storage.set_aside(ObjectKind::Manifest, &manifests, &sweep()).unwrap();
    assert_eq!(verify(&cache, true).faults, 0);
    assert_eq!(cache.storage.list_aside().unwrap().len(), chunks.len() + manifests.len());
    cache.expect("k", &rich_tree());
}

#[test]
fn a_missing_object_is_reported_with_its_keys() {
    for kind in [ObjectKind::Chunk, ObjectKind::Manifest] {
        let cache = Cache::new();
        cache.store("other", &tree(&[("z", b"another tree")]));
        let others = cache.live(kind);
        cache.store("k,l", &tree(&[("a", b"alpha")]));
        let mine = *cache.live(kind).iter().find(|digest| !others.contains(digest)).unwrap();
        cache.remove(kind, mine);
        let part = if kind == ObjectKind::Chunk { Part::Chunk } else { Part::Manifest };
        for repair in [false, true] {
            let summary = verify(&cache, repair);
            let problem = expect_finding(&summary, part, &mine.to_hex(), &["k", "l"]);
            assert_eq!(problem, "it is missing");
            assert!(!summary.findings[0].repaired);
        }
        cache.store("k,l", &tree(&[("a", b"alpha")]));
        assert_eq!(verify(&cache, false).faults, 0);
    }
}

#[test]
fn damage_is_reported_and_taken_out_only_if_asked_for() {
    for kind in [ObjectKind::Chunk, ObjectKind::Manifest] {
        let cache = Cache::new();
        cache.store("k", &tree(&[("a", b"alpha")]));
        let digest = cache.live(kind)[0];
        damage(&cache, kind, digest);
        let stored = cache.storage.stored(kind, digest);
        let part = if kind == ObjectKind::Chunk { Part::Chunk } else { Part::Manifest };
        for _ in 0..2 {
            let summary = verify(&cache, false);
            expect_finding(&summary, part, &digest.to_hex(), &["k"]);
            assert!(!summary.findings[0].repaired);
        }
        assert_eq!(cache.storage.stored(kind, digest), stored, "nothing is changed");
        let summary = verify(&cache, true);
        expect_finding(&summary, part, &digest.to_hex(), &["k"]);
        assert!(summary.findings[0].repaired);
        assert_eq!(cache.storage.stored(kind, digest), None);
        assert_eq!(verify(&cache, true).findings[0].problem, "it is missing");
        cache.store("k", &tree(&[("a", b"alpha")]));
        assert_eq!(verify(&cache, false).faults, 0);
        cache.expect("k", &tree(&[("a", b"alpha")]));
    }
}

#[test]
fn damage_that_no_entry_needs_is_reported_too() {
    let cache = Cache::new();
    cache.store("k", &tree(&[("a", b"alpha")]));
    let chunk = cache.live(ObjectKind::Chunk)[0];
    damage(&cache, ObjectKind::Chunk, chunk);
    delete(&cache, &["k"], None);
    // Nothing refers to the chunk, but a store would reuse it.
    expect_finding(&verify(&cache, true), Part::Chunk, &chunk.to_hex(), &[]);
    assert_eq!(verify(&cache, false).faults, 0);
}

#[test]
fn useless_records_are_reported() {
    let cache = Cache::new();
    cache.store("k", &tree(&[("a", b"alpha")]));
    let record = Records::get(&cache.storage, &["k".to_owned()]).pop().unwrap().unwrap().unwrap();
    for value in [&b"no record"[..], &[], &record.value] {
        put(&cache, "other", value);
        expect_finding(&verify(&cache, false), Part::Entry, "other", &[]);
        expect_finding(&verify(&cache, true), Part::Entry, "other", &[]);
        assert_eq!(verify(&cache, false).faults, 0);
    }
    // An intact object that is not a manifest.
    let nonsense = Objects::put(&cache.storage, ObjectKind::Manifest, b"nonsense").unwrap();
    assert_eq!(verify(&cache, false).faults, 0, "nobody needs it");
    let mut decoded = btdt_core::storage::record::Record::decode(&record.value).unwrap();
    decoded.manifest = nonsense.digest;
    put(&cache, "k", &decoded.encode());
    let summary = verify(&cache, true);
    let problem = expect_finding(&summary, Part::Manifest, &nonsense.digest.to_hex(), &["k"]);
    assert!(problem.contains("not a btdt manifest"), "{problem}");
}

/// Records that change once all of them have been listed for the first time.
struct Changing<'cache, F> {
    inner: &'cache MemoryStorage,
    change: RefCell<Option<F>>,
}

impl<F: FnOnce()> Records for Changing<'_, F> {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        Records::get(self.inner, names)
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        Records::put(self.inner, name, value)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        let listed = Records::list(self.inner, prefix, after, limit)?;
        if listed.is_empty()
            && let Some(change) = self.change.take()
        {
            change();
        }
        Ok(listed)
    }

    fn touch(&self, name: &str) {
        Records::touch(self.inner, name);
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        Records::delete(self.inner, name, version)
    }
}

#[test]
fn what_goes_because_an_entry_went_is_not_reported() {
    for replaced in [false, true] {
        for kind in [ObjectKind::Chunk, ObjectKind::Manifest] {
            let cache = Cache::new();
            cache.store("k", &tree(&[("a", b"alpha")]));
            let old = cache.live(kind)[0];
            let change = || {
                if replaced {
                    cache.store("k", &tree(&[("b", b"beta")]));
                } else {
                    delete(&cache, &["k"], None);
                }
                cache.remove(kind, old);
            };
            let records = Changing { inner: &cache.storage, change: RefCell::new(Some(change)) };
            let local = LocalCache::new(&cache.storage, &records, &cache.environment);
            let summary = verify::verify(true, &local).unwrap();
            assert!(records.change.borrow().is_none(), "the change was made");
            assert_eq!(summary.faults, 0, "{summary:?}");
        }
    }
}
