//! A cache in memory: what `btdt:cache/objects` and `btdt:cache/records` promise.

use crate::bindings::btdt::cache::{objects, records, types};
use crate::{Absent, Host, now};
use objects::{AsideObject, ObjectInfo, ObjectKind, ObjectName, PutOutcome};
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
    /// What is live, and what a sweep of that name has set aside.
    objects: BTreeMap<(Option<String>, Name), Object>,
    /// Value and last access by name.
    records: BTreeMap<String, (Vec<u8>, Timestamp)>,
}

/// Kind and SHA-256.
type Name = (u8, [u64; 4]);

struct Object {
    kind: ObjectKind,
    digest: Digest,
    /// As it is kept: compressed, encrypted or elsewhere, if a host likes, as long as `get` gives
    /// back what was `put`.
    content: Vec<u8>,
    /// When it was written or touched.
    modified: Timestamp,
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

fn live(kind: ObjectKind, digest: Digest) -> (Option<String>, Name) {
    (None, (kind as u8, words(digest)))
}

fn aside(object: &AsideObject) -> (Option<String>, Name) {
    (Some(object.sweep.clone()), (object.kind as u8, words(object.digest)))
}

impl Object {
    /// Nothing leaves a cache unverified.
    fn verified(&self) -> Result<&Vec<u8>, ObjectFault> {
        let intact = words(digest(&self.content)) == words(self.digest);
        if intact { Ok(&self.content) } else { Err(ObjectFault::Damaged(Damage::Content)) }
    }
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
        let object = Object { kind, digest, content, modified: now() };
        let former = self.contents().objects.insert(live(kind, digest), object);
        PutOutcome { digest, stored_size, new: former.is_none() }
    }

    /// The content of an object, live or set aside.
    pub(crate) fn get(&self, kind: ObjectKind, digest: Digest) -> Result<Vec<u8>, ObjectFault> {
        let contents = self.contents();
        let name = live(kind, digest);
        let anywhere = || contents.objects.iter().find(|((_, other), _)| *other == name.1);
        let object = contents.objects.get(&name).or_else(|| Some(anywhere()?.1));
        object.ok_or(ObjectFault::Missing)?.verified().cloned()
    }

    /// Flips a bit in a chunk, as a broken disk does.
    pub(crate) fn damage_a_chunk(&self) {
        let mut contents = self.contents();
        let mut objects = contents.objects.values_mut();
        if let Some(chunk) = objects.find(|object| object.kind == ObjectKind::Chunk) {
            chunk.content[0] ^= 1;
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
        digests.retain(|digest| !contents.objects.contains_key(&live(kind, *digest)));
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

    /// So that no sweep that is going on takes them for old ones.
    fn touch(
        &mut self,
        store: Resource<Cache>,
        kind: ObjectKind,
        digests: Vec<Digest>,
    ) -> Result<()> {
        let mut contents = self.table.get(&store)?.contents();
        for digest in digests {
            if let Some(object) = contents.objects.get_mut(&live(kind, digest)) {
                object.modified = now();
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        store: Resource<Cache>,
        names: Vec<ObjectName>,
    ) -> Result<Vec<Option<ObjectFault>>> {
        let contents = self.table.get(&store)?.contents();
        let fault = |name: ObjectName| {
            let object = contents.objects.get(&(name.sweep, live(name.kind, name.digest).1));
            object.map_or(Err(ObjectFault::Missing), |object| object.verified()).err()
        };
        Ok(names.into_iter().map(fault).collect())
    }

    fn enumerate(
        &mut self,
        store: Resource<Cache>,
        kind: ObjectKind,
        shard: u8,
    ) -> Result<Result<Vec<ObjectInfo>, IoError>> {
        let contents = self.table.get(&store)?.contents();
        let first = |digest: Digest| (digest.a >> 56) as u8;
        let info = |((sweep, _), object): (&(Option<String>, Name), &Object)| {
            let Object { digest, modified, ref content, .. } = *object;
            let wanted = sweep.is_none() && object.kind == kind && first(digest) == shard;
            let stored_size = content.len() as u64;
            wanted.then_some(ObjectInfo { digest, stored_size, modified })
        };
        Ok(Ok(contents.objects.iter().filter_map(info).collect()))
    }

    /// Where nobody but readers and later sweeps look.
    fn set_aside(
        &mut self,
        store: Resource<Cache>,
        kind: ObjectKind,
        digests: Vec<Digest>,
        sweep: String,
    ) -> Result<Result<u64, IoError>> {
        let mut contents = self.table.get(&store)?.contents();
        let mut moved = 0;
        for digest in digests {
            let name = live(kind, digest);
            if let Some(object) = contents.objects.remove(&name) {
                contents.objects.insert((Some(sweep.clone()), name.1), object);
                moved += 1;
            }
        }
        Ok(Ok(moved))
    }

    fn enumerate_aside(
        &mut self,
        store: Resource<Cache>,
    ) -> Result<Result<Vec<AsideObject>, IoError>> {
        let contents = self.table.get(&store)?.contents();
        let info = |((sweep, _), object): (&(Option<String>, Name), &Object)| {
            let (sweep, stored_size) = (sweep.clone()?, object.content.len() as u64);
            Some(AsideObject { kind: object.kind, digest: object.digest, sweep, stored_size })
        };
        Ok(Ok(contents.objects.iter().filter_map(info).collect()))
    }

    /// The way back. What is live already is not touched.
    fn recall(
        &mut self,
        store: Resource<Cache>,
        objects: Vec<AsideObject>,
    ) -> Result<Result<u64, IoError>> {
        let mut contents = self.table.get(&store)?.contents();
        let mut recalled = 0;
        for name in objects {
            if let Some(object) = contents.objects.remove(&aside(&name)) {
                contents.objects.entry(live(name.kind, name.digest)).or_insert(object);
                recalled += 1;
            }
        }
        Ok(Ok(recalled))
    }

    fn discard(
        &mut self,
        store: Resource<Cache>,
        objects: Vec<AsideObject>,
    ) -> Result<Result<u64, IoError>> {
        let mut contents = self.table.get(&store)?.contents();
        let gone = objects.iter().filter(|name| contents.objects.remove(&aside(name)).is_some());
        Ok(Ok(gone.count() as u64))
    }

    /// Nothing is written in steps here, so nothing is ever left behind.
    fn clear_leftovers(
        &mut self,
        _: Resource<Cache>,
        _: Timestamp,
    ) -> Result<Result<objects::Leftovers, IoError>> {
        Ok(Ok(objects::Leftovers { files: 0, bytes: 0 }))
    }

    /// For a server that sends objects as they are stored. An error here is a trap: it ends the
    /// operation, and the instance with it.
    fn open(
        &mut self,
        _: Resource<Cache>,
        _: ObjectKind,
        _: Digest,
    ) -> Result<Result<(Resource<Absent>, objects::StoredInfo), ObjectFault>> {
        bail!("the core wants to send an object, which only a server does")
    }

    fn drop(&mut self, store: Resource<Cache>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
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
