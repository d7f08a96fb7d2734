//! Garbage collection: the only place that decides when an object may be deleted.
//!
//! Stores, restores and collectors run concurrently, in processes and pods that do not know of each
//! other, and may stall or die between any two steps. Neither locks (some network volumes have
//! none) nor clocks are reliable. The protocol:
//!
//! 1. A store writes its objects, then its records, and **then** checks that all its objects are
//!    live. It recalls those that were set aside and writes again those that are gone. Only then
//!    has it succeeded ([`revive`]).
//! 2. A collector never deletes a live object. It sets it aside, by renaming it to a name that is
//!    unique to this sweep. Readers look there too, so nothing is lost.
//! 3. A collector deletes an object only under a name that it saw set aside **before** it started
//!    to read the records, only if no record refers to the object, and only if it was set aside at
//!    least a grace period ago. It recalls objects that records refer to.
//!
//! Why this is enough: suppose an object is deleted that a successful store refers to. The
//! collector decided on the deletion after reading all records without finding that store's. So the
//! store put its records later, and checked its objects later still. At that time the object was
//! live, or the store recalled it. Recalling removes the very name that the deletion targets, and
//! if the object is set aside again, it gets the name of another sweep. So either the deletion
//! misses, or it came before the check, which then found the object gone and had it written again.
//!
//! The argument depends neither on the grace period nor on the lock. The grace period lets running
//! restores finish. The lock tells a collector whether it is alone: if so, young unreferenced
//! objects are garbage rather than part of a store in progress, and a grace period shorter than a
//! restore does no harm.
//!
//! A record is deleted only if it has not changed since the decision, and counts until it is gone.
//! One decision does depend on time: that an entry with a missing part is dead (see
//! `reachability`), because its store may be about to write that part.
//!
//! `tests/simulation` runs tens of thousands of commits against stalling and dying processes, and
//! loses entries as soon as one of the three rules is removed.

use btdt_ports::client::{Error, Swept};
use btdt_ports::{
    AsideObject, Digest, Environment, ObjectFault, ObjectInfo, ObjectKind, ObjectName, Objects,
    SweepId, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// All objects that records refer to.
#[derive(Debug, Default)]
pub struct References {
    /// Digests of manifests.
    pub manifests: BTreeSet<Digest>,
    /// Digests of chunks.
    pub chunks: BTreeSet<Digest>,
}

impl References {
    fn contain(&self, kind: ObjectKind, digest: &Digest) -> bool {
        match kind {
            ObjectKind::Manifest => self.manifests.contains(digest),
            ObjectKind::Chunk => self.chunks.contains(digest),
        }
    }
}

/// The live objects of a cache, by kind and digest.
pub type Inventory = BTreeMap<(ObjectKind, Digest), ObjectInfo>;

/// When an unreferenced object may be set aside and deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Seconds for which an object stays set aside, and for which an unreferenced object counts as
    /// part of a store in progress.
    pub grace_period: u64,
    /// Since when no other process has used the cache, if known.
    pub alone_since: Option<Timestamp>,
}

/// While other processes use the cache, objects stay set aside for at least this many seconds: a
/// restore may have read a record that is gone by now, and still need its objects.
const RESTORE_TIME: u64 = 600;

impl Rules {
    fn time_aside(&self) -> u64 {
        match self.alone_since {
            Some(_) => self.grace_period,
            None => self.grace_period.max(RESTORE_TIME),
        }
    }
}

/// Recalls those of these objects that were set aside. Returns the ones that are still missing.
pub fn revive<O: Objects>(
    objects: &O,
    kind: ObjectKind,
    digests: &[Digest],
    environment: &dyn Environment,
) -> Result<Vec<Digest>, Error> {
    let missing = objects.missing(kind, digests).map_err(Error::reading)?;
    if missing.is_empty() {
        return Ok(missing);
    }
    let missing: BTreeSet<Digest> = missing.into_iter().collect();
    let mut aside = objects.list_aside().map_err(Error::reading)?;
    aside.retain(|object| object.kind == kind && missing.contains(&object.digest));
    objects.recall(&aside).map_err(Error::writing)?;
    // These have not been read for a while, and a damaged object must not count as present.
    let recalled: Vec<Digest> = missing.into_iter().collect();
    drop_all_damaged(objects, kind, &recalled, environment);
    objects.missing(kind, &recalled).map_err(Error::reading)
}

/// Removes a damaged object, so that the next store writes it again. Best effort: the cache may be
/// read-only.
///
/// The object may have been rewritten since the damage was found. So it is first set aside, and
/// checked again under a name that no other process uses.
pub fn drop_damaged<O: Objects>(
    objects: &O,
    kind: ObjectKind,
    digest: Digest,
    environment: &dyn Environment,
) {
    let sweep = SweepId::new(environment.now(), environment.random());
    if objects.set_aside(kind, &[digest], &sweep) != Ok(1) {
        return;
    }
    let aside = AsideObject { kind, digest, sweep: sweep.clone(), stored_size: 0 };
    let faults = objects.check(&[ObjectName { kind, digest, sweep: Some(sweep) }]);
    // If this fails, the object stays aside until the next collection.
    let _ = match faults.first() {
        Some(Some(ObjectFault::Damaged(_))) => objects.discard(&[aside]),
        _ => objects.recall(&[aside]),
    };
}

/// Deletes unreferenced objects that were set aside long enough ago, and sets aside live objects
/// that are unreferenced. `aside` must have been listed before `references` were read; `live` may
/// have been listed at any time.
///
/// # Errors
/// [`Error::Cache`] if objects cannot be moved or deleted.
pub fn sweep<O: Objects>(
    objects: &O,
    aside: &[AsideObject],
    references: &References,
    live: &Inventory,
    rules: Rules,
    environment: &dyn Environment,
) -> Result<Swept, Error> {
    let now = environment.now();
    let mut swept = Swept::default();
    let (needed, garbage): (Vec<_>, Vec<_>) =
        aside.iter().cloned().partition(|object| references.contain(object.kind, &object.digest));
    swept.recalled = objects.recall(&needed).map_err(Error::writing)?;
    let expired: Vec<AsideObject> = garbage
        .into_iter()
        .filter(|object| now.seconds_since(object.sweep.began()) >= rules.time_aside())
        .collect();
    swept.deleted = objects.discard(&expired).map_err(Error::deleting)?;
    swept.deleted_bytes = least_sum(&expired, swept.deleted);

    let sweep = SweepId::new(now, environment.random());
    for kind in [ObjectKind::Manifest, ObjectKind::Chunk] {
        let unused: Vec<&ObjectInfo> = live
            .iter()
            .filter(|((of, digest), object)| {
                *of == kind && !references.contain(kind, digest) && is_garbage(object, now, rules)
            })
            .map(|(_, object)| object)
            .collect();
        let digests: Vec<Digest> = unused.iter().map(|object| object.digest).collect();
        swept.set_aside += objects.set_aside(kind, &digests, &sweep).map_err(Error::deleting)?;
        swept.set_aside_bytes += unused.iter().map(|object| object.stored_size).sum::<u64>();
    }
    Ok(swept)
}

/// A lower bound for the size of `count` of these objects in bytes. Other processes may have
/// recalled some, and callers must not count on space that was not freed.
fn least_sum(objects: &[AsideObject], count: u64) -> u64 {
    let mut sizes: Vec<u64> = objects.iter().map(|object| object.stored_size).collect();
    sizes.sort_unstable();
    sizes.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)).sum()
}

fn is_garbage(object: &ObjectInfo, now: Timestamp, rules: Rules) -> bool {
    let old = now.seconds_since(object.modified) >= rules.grace_period;
    old || rules.alone_since.is_some_and(|since| object.modified < since)
}

/// Removes all damaged objects among these, so that the next store writes them again. After finding
/// one damaged chunk of an entry, check the others too: otherwise each one costs another build.
pub fn drop_all_damaged<O: Objects>(
    objects: &O,
    kind: ObjectKind,
    digests: &[Digest],
    environment: &dyn Environment,
) {
    let name = |digest: &Digest| ObjectName { kind, digest: *digest, sweep: None };
    let names: Vec<ObjectName> = digests.iter().map(name).collect();
    for (name, fault) in names.iter().zip(objects.check(&names)) {
        if let Some(ObjectFault::Damaged(_)) = fault {
            drop_damaged(objects, kind, name.digest, environment);
        }
    }
}

/// Lists all live objects.
pub fn inventory<O: Objects>(objects: &O) -> Result<Inventory, Error> {
    let mut live = Inventory::new();
    for kind in [ObjectKind::Manifest, ObjectKind::Chunk] {
        for shard in 0..=u8::MAX {
            let listed = objects.list(kind, shard).map_err(Error::reading)?;
            live.extend(listed.into_iter().map(|object| ((kind, object.digest), object)));
        }
    }
    Ok(live)
}
