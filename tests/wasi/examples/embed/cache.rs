//! A cache in memory: what `btdt:cache/objects` and `btdt:cache/records` promise, as far as storing
//! and restoring need it. What is left out is for `clean-cache`, `verify-cache` and the server.

use crate::bindings::btdt::cache::{objects, records, types};
use crate::{Absent, Host, now};
use objects::{ObjectKind, PutOutcome};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use types::{Damage, Digest, IoError, IoErrorKind, ObjectFault, Timestamp};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

/// A cache. Its clones are one and the same, so it outlives the operations that it is lent to.
#[derive(Clone, Default)]
pub struct Cache(Arc<Mutex<Contents>>);

/// The same cache as what a tree puts chunks into, and as what it takes them from.
pub struct Sink(pub(crate) Cache);
pub struct Source(pub(crate) Cache);

/// The same cache as the place of records.
pub struct Records(pub(crate) Cache);

#[derive(Default)]
struct Contents {
    /// By kind and SHA-256. A host may keep the content compressed, encrypted or elsewhere, as
    /// long as `get` gives back what was `put`.
    objects: BTreeMap<(u8, [u64; 4]), Vec<u8>>,
    /// Value and last access by name.
    records: BTreeMap<String, (Vec<u8>, Timestamp)>,
}

/// SHA-256, as it crosses the boundary.
pub(crate) fn digest(content: &[u8]) -> Digest {
    let hash = Sha256::digest(content);
    let word = |index: usize| {
        hash[index * 8..][..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    Digest { a: word(0), b: word(1), c: word(2), d: word(3) }
}

fn words(digest: Digest) -> [u64; 4] {
    [digest.a, digest.b, digest.c, digest.d]
}

impl Cache {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `content` under its digest. On a disk, it would be written under another name and
    /// renamed, so that nobody ever finds half of it.
    pub(crate) fn put(&self, kind: ObjectKind, content: Vec<u8>) -> PutOutcome {
        let digest = digest(&content);
        let stored_size = content.len() as u64;
        let former = self.contents().objects.insert((kind as u8, words(digest)), content);
        PutOutcome { digest, stored_size, new: former.is_none() }
    }

    /// The content of an object: nothing leaves a cache unverified.
    pub(crate) fn get(&self, kind: ObjectKind, name: Digest) -> Result<Vec<u8>, ObjectFault> {
        let contents = self.contents();
        let content = contents.objects.get(&(kind as u8, words(name)));
        let content = content.ok_or(ObjectFault::Missing)?;
        if words(digest(content)) != words(name) {
            return Err(ObjectFault::Damaged(Damage::Content));
        }
        Ok(content.clone())
    }

    /// Flips a bit in a chunk, as a broken disk does.
    pub(crate) fn damage_a_chunk(&self) {
        let first = (ObjectKind::Chunk as u8, [0; 4])..(ObjectKind::Chunk as u8, [u64::MAX; 4]);
        if let Some((_, chunk)) = self.contents().objects.range_mut(first).next() {
            chunk[0] ^= 1;
        }
    }
}

impl objects::Host for Host {}

impl objects::HostObjectStore for Host {
    fn sink(&mut self, store: Resource<Cache>) -> Result<Resource<Sink>> {
        let cache = self.table.get(&store)?.clone();
        Ok(self.table.push(Sink(cache))?)
    }

    fn source(&mut self, store: Resource<Cache>) -> Result<Resource<Source>> {
        let cache = self.table.get(&store)?.clone();
        Ok(self.table.push(Source(cache))?)
    }

    /// There are no locks here. The core never relies on one.
    fn try_lock(
        &mut self,
        _: Resource<Cache>,
        _: objects::LockMode,
    ) -> Result<Option<Resource<Absent>>> {
        Ok(None)
    }

    fn missing(
        &mut self,
        store: Resource<Cache>,
        kind: ObjectKind,
        mut digests: Vec<Digest>,
    ) -> Result<Result<Vec<Digest>, IoError>> {
        let contents = self.table.get(&store)?.contents();
        digests.retain(|digest| !contents.objects.contains_key(&(kind as u8, words(*digest))));
        Ok(Ok(digests))
    }

    fn get(
        &mut self,
        store: Resource<Cache>,
        kind: ObjectKind,
        digest: Digest,
        limit: u64,
    ) -> Result<Result<Vec<u8>, ObjectFault>> {
        Ok(match self.table.get(&store)?.get(kind, digest) {
            Ok(content) if content.len() as u64 > limit => Err(ObjectFault::TooLarge),
            content => content,
        })
    }

    fn put(
        &mut self,
        store: Resource<Cache>,
        kind: ObjectKind,
        raw: Vec<u8>,
    ) -> Result<Result<PutOutcome, IoError>> {
        Ok(Ok(self.table.get(&store)?.put(kind, raw)))
    }

    /// For the age of objects, which only matters to `clean-cache`.
    fn touch(&mut self, _: Resource<Cache>, _: ObjectKind, _: Vec<Digest>) -> Result<()> {
        Ok(())
    }

    /// Nothing is ever set aside, because nothing is cleaned here.
    fn enumerate_aside(
        &mut self,
        _: Resource<Cache>,
    ) -> Result<Result<Vec<objects::AsideObject>, IoError>> {
        Ok(Ok(Vec::new()))
    }

    /// So there is nothing to be brought back.
    fn recall(
        &mut self,
        _: Resource<Cache>,
        _: Vec<objects::AsideObject>,
    ) -> Result<Result<u64, IoError>> {
        Ok(Ok(0))
    }

    fn set_aside(
        &mut self,
        _: Resource<Cache>,
        _: ObjectKind,
        _: Vec<Digest>,
        _: String,
    ) -> Result<Result<u64, IoError>> {
        left_out("set-aside")
    }

    fn discard(
        &mut self,
        _: Resource<Cache>,
        _: Vec<objects::AsideObject>,
    ) -> Result<Result<u64, IoError>> {
        left_out("discard")
    }

    fn clear_leftovers(
        &mut self,
        _: Resource<Cache>,
        _: Timestamp,
    ) -> Result<Result<objects::Leftovers, IoError>> {
        left_out("clear-leftovers")
    }

    fn enumerate(
        &mut self,
        _: Resource<Cache>,
        _: ObjectKind,
        _: u8,
    ) -> Result<Result<Vec<objects::ObjectInfo>, IoError>> {
        left_out("enumerate")
    }

    fn check(
        &mut self,
        _: Resource<Cache>,
        _: Vec<objects::ObjectName>,
    ) -> Result<Vec<Option<ObjectFault>>> {
        left_out("check")
    }

    fn open(
        &mut self,
        _: Resource<Cache>,
        _: ObjectKind,
        _: Digest,
    ) -> Result<Result<(Resource<Absent>, objects::StoredInfo), ObjectFault>> {
        left_out("open")
    }

    fn drop(&mut self, store: Resource<Cache>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

/// An error here is a trap: it ends the operation, and the instance with it.
fn left_out<T>(function: &str) -> Result<T> {
    bail!("the core called {function}, which this host has no need of")
}

impl records::Host for Host {}

impl records::HostRecordStore for Host {
    fn get(
        &mut self,
        store: Resource<Records>,
        names: Vec<String>,
    ) -> Result<Vec<Result<Option<records::StoredRecord>, IoError>>> {
        let contents = self.table.get(&store)?.0.contents();
        let stored = |(value, last_access): &(Vec<u8>, Timestamp)| records::StoredRecord {
            value: value.clone(),
            last_access: *last_access,
            version: digest(value),
        };
        Ok(names.iter().map(|name| Ok(contents.records.get(name).map(stored))).collect())
    }

    fn put(
        &mut self,
        store: Resource<Records>,
        name: String,
        value: Vec<u8>,
    ) -> Result<Result<(), IoError>> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"%_-.~".contains(&byte);
        let fits = (1..=250).contains(&name.len()) && value.len() <= 64 << 10;
        if !fits || name.starts_with('.') || !name.bytes().all(is_fine) {
            return Ok(Err(IoError { kind: IoErrorKind::Other, os_code: None }));
        }
        self.table.get(&store)?.0.contents().records.insert(name, (value, now()));
        Ok(Ok(()))
    }

    fn enumerate(
        &mut self,
        store: Resource<Records>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Result<Vec<String>, IoError>> {
        let contents = self.table.get(&store)?.0.contents();
        let wanted = |name: &&String| name.starts_with(&prefix) && Some(*name) > after.as_ref();
        let names = contents.records.keys().filter(wanted).take(limit as usize);
        Ok(Ok(names.cloned().collect()))
    }

    fn touch(&mut self, store: Resource<Records>, name: String) -> Result<()> {
        if let Some((_, last_access)) = self.table.get(&store)?.0.contents().records.get_mut(&name)
        {
            *last_access = now();
        }
        Ok(())
    }

    fn delete(
        &mut self,
        store: Resource<Records>,
        name: String,
        version: Digest,
    ) -> Result<Result<bool, IoError>> {
        let records = &mut self.table.get(&store)?.0.contents().records;
        let is_it =
            records.get(&name).is_some_and(|(value, _)| words(digest(value)) == words(version));
        if is_it {
            records.remove(&name);
        }
        Ok(Ok(is_it))
    }

    fn drop(&mut self, store: Resource<Records>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

/// All that a handle needs of which the core knows nothing more.
macro_rules! droppable {
    ($($interface:path => $resource:ty),*) => {$(
        impl $interface for Host {
            fn drop(&mut self, handle: Resource<$resource>) -> Result<()> {
                self.table.delete(handle)?;
                Ok(())
            }
        }
    )*};
}

droppable!(
    objects::HostSink => Sink,
    objects::HostSource => Source,
    objects::HostLock => Absent,
    objects::HostOpened => Absent
);
