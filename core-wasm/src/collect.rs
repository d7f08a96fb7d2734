//! Garbage collection that loses nothing: the one place that decides when an object may go.
//!
//! Stores, restores and collectors run at once, in processes and pods that know nothing of each
//! other, that may stall for any time between two steps and may die at each of them. Locks cannot
//! be relied upon (some network volumes have none), and neither can clocks. The protocol:
//!
//! 1. A store writes its objects, then its records, and **then** looks whether all objects are
//!    live; what was set aside it brings back, and what is gone it writes again. Only then has it
//!    succeeded ([`revive`]).
//! 2. A collector never deletes a live object. It sets it aside: a rename to a name that belongs
//!    to this sweep alone. Readers look there too, so nothing is lost by that.
//! 3. A collector deletes an object only under a name that it saw set aside **before** it began to
//!    read the records, only if no record refers to the object, and only when it was set aside at
//!    least a grace period ago. What is referred to is brought back.
//!
//! Why that suffices: say an object is deleted that a store which has succeeded refers to. The
//! deletion was decided after reading all records, without finding that store's; so its records
//! came later, and so did its look at the objects. At that time the object was live, or it was
//! brought back. Bringing back takes away the very name that the deletion aims at; and if the
//! object was set aside again later, it has the name of another sweep. So either the deletion hits
//! nothing, or it came before the look, which then found the object gone and had it written again.
//!
//! No step of this argument needs the grace period or the lock. The grace period lets restores
//! that are under way finish. The lock tells a collector whether nobody is at work: then young
//! objects which nothing refers to are garbage and not those of a store in progress, and a grace
//! period that is shorter than a restore does no harm.
//!
//! Records are deleted only while they are what they were when the decision fell, and count until
//! they are gone for good. One decision needs a time all the same: that an entry of which a part is
//! missing is dead (see `survey`), for its store may be about to write that part.
//!
//! `tests/simulation` plays tens of thousands of commits against stalling and dying processes, and
//! loses entries as soon as any of the three rules is taken out.

use crate::error::Error;
use btdt_ports::{
    AsideObject, Digest, Environment, ObjectFault, ObjectInfo, ObjectKind, ObjectName, Objects,
    SweepId, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the records refer to.
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

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that were set aside.
    pub set_aside: u64,
    /// Their size in bytes.
    pub set_aside_bytes: u64,
    /// Objects that had been set aside before and were deleted.
    pub deleted: u64,
    /// Their size in bytes.
    pub deleted_bytes: u64,
    /// Objects that were brought back because they are needed after all.
    pub recalled: u64,
}

impl Swept {
    /// What both sweeps have done together, if the second came right after this one.
    #[must_use]
    pub fn followed_by(self, next: Swept) -> Self {
        Swept {
            set_aside: self.set_aside.saturating_sub(next.deleted) + next.set_aside,
            set_aside_bytes: self.set_aside_bytes.saturating_sub(next.deleted_bytes)
                + next.set_aside_bytes,
            deleted: self.deleted + next.deleted,
            deleted_bytes: self.deleted_bytes + next.deleted_bytes,
            recalled: self.recalled + next.recalled,
        }
    }
}

/// When something counts as garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Seconds that an object stays set aside, and that an object nothing refers to is taken for
    /// one of a store in progress.
    pub grace_period: u64,
    /// Since when nobody else has been at work, if that is known.
    pub alone_since: Option<Timestamp>,
}

/// What is set aside stays for at least this many seconds if others are at work: a restore may
/// have read a record that is gone now, and still need the objects.
const RESTORE_TIME: u64 = 600;

impl Rules {
    fn time_aside(&self) -> u64 {
        match self.alone_since {
            Some(_) => self.grace_period,
            None => self.grace_period.max(RESTORE_TIME),
        }
    }
}

/// Brings back those of these objects that were set aside, and says which are missing all the same.
///
/// # Errors
/// [`Error::Cache`].
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
    // Nobody has read these for a while, and a damaged object must not count as one that is there.
    let recalled: Vec<Digest> = missing.into_iter().collect();
    drop_all_damaged(objects, kind, &recalled, environment);
    objects.missing(kind, &recalled).map_err(Error::reading)
}

/// Takes a damaged object away, so that the next store writes it anew. Best effort: the cache may
/// be read-only.
///
/// The object may have been written anew since it was found damaged. So it is set aside first and
/// looked at under that name, which is nobody else's.
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
    // Where this fails the object stays aside, and the next collector finds it there.
    let _ = match faults.first() {
        Some(Some(ObjectFault::Damaged(_))) => objects.discard(&[aside]),
        _ => objects.recall(&[aside]),
    };
}

/// Deletes what was set aside before and nothing refers to, and sets aside what nothing refers to
/// now. `aside` was listed before `references` were read; `live` may have been listed at any time.
///
/// # Errors
/// [`Error::Cache`] when nothing more can be moved or deleted.
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

/// What so many of these objects take at least, in bytes. Another process may have brought some of
/// them back, and nobody shall rely on room that is not there.
fn least_sum(objects: &[AsideObject], count: u64) -> u64 {
    let mut sizes: Vec<u64> = objects.iter().map(|object| object.stored_size).collect();
    sizes.sort_unstable();
    sizes.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)).sum()
}

fn is_garbage(object: &ObjectInfo, now: Timestamp, rules: Rules) -> bool {
    let old = now.seconds_since(object.modified) >= rules.grace_period;
    old || rules.alone_since.is_some_and(|since| object.modified < since)
}

/// Takes all damaged objects away that are among these, so that the next store writes each of them
/// anew: whoever finds one damaged chunk of an entry has to look at the others, or every one of them
/// costs another build.
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

/// All live objects.
///
/// # Errors
/// [`Error::Cache`].
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
