//! Cleans a cache: entries that are too old or too many, then objects that nothing refers to.
//!
//! Works beside any number of stores, restores and other cleans. One damaged object is reported
//! and passed over; only what makes it impossible to know what is needed stops the collection.

use crate::collect::{self, Inventory, References, Rules, Swept};
use crate::error::Error;
use crate::retention::{self, Limits};
use crate::survey::Survey;
use btdt_ports::{AsideObject, Environment, Leftovers, LockMode, Objects, Records};

/// What to clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Limits for the entries.
    pub limits: Limits,
    /// Seconds that objects which nothing refers to are kept (see [`collect`]).
    pub grace_period: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries that were removed.
    pub removed: u64,
    /// Entries that are left.
    pub kept: u64,
    /// Stored size in bytes of what is left, shared objects counted once.
    pub kept_bytes: u64,
    /// Stored size in bytes of all objects that are left, those that are set aside included and
    /// whether anything refers to them or not. Rather too much than too little where others are at
    /// work: what they bring back meanwhile is counted at both places.
    pub occupied_bytes: u64,
    /// Entries that were removed because they are damaged; not among `removed`.
    pub damaged: u64,
    /// The collection of objects that nothing refers to; `None` where it was not safe.
    pub swept: Option<Swept>,
    /// Temporary files of processes that died.
    pub leftovers: Leftovers,
}

/// Cleans a cache.
///
/// # Errors
/// [`Error::Cache`] when it cannot be read or nothing can be deleted.
pub fn clean<O: Objects, R: Records>(
    request: &Request,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Summary, Error> {
    let mut summary = pass(request, objects, records, environment)?;
    // Without a grace period there is nothing to wait for, but the rules of deletion still hold:
    // what was set aside is deleted by a pass of its own.
    if let Some(first) = summary.swept
        && request.grace_period == 0
        && first.set_aside > 0
    {
        let request = Request { limits: Limits::default(), ..*request };
        let second = pass(&request, objects, records, environment)?;
        summary.occupied_bytes = second.occupied_bytes;
        summary.swept = Some(first.followed_by(second.swept.unwrap_or_default()));
    }
    Ok(summary)
}

fn pass<O: Objects, R: Records>(
    request: &Request,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Summary, Error> {
    let began = environment.now();
    // Held for an instant only: whoever comes now shall find the lock free, so that the next clean
    // knows of them.
    let alone = objects.lock(LockMode::Exclusive).is_some();
    let _in_use = objects.lock(LockMode::Shared);
    let rules = Rules { grace_period: request.grace_period, alone_since: alone.then_some(began) };
    // First of all, because it also brings back records that a dead process was about to delete.
    let mut before = began;
    before.seconds = began.seconds.saturating_sub_unsigned(request.grace_period);
    let leftovers = objects.clear_leftovers(before).map_err(Error::deleting)?;
    // The order of these three is the second half of the collection protocol: what is set aside
    // is listed before the records are read.
    let aside = objects.list_aside().map_err(Error::reading)?;
    let mut survey = Survey::read(objects, records, environment)?;
    let live = collect::inventory(objects)?;
    survey.find_incomplete(objects, &live, &aside, environment);

    let mut summary = Summary { leftovers, ..Summary::default() };
    for (name, version) in &survey.damaged {
        let deleted = records.delete(name, version).map_err(Error::deleting)?;
        summary.damaged += u64::from(deleted);
    }
    let (usage, entries) = survey.usage(&live);
    let (goes, kept_bytes) = retention::select(&entries, &usage, request.limits, began);
    summary.kept_bytes = kept_bytes;
    let mut references = References::default();
    for (found, goes) in survey.entries.iter().zip(goes) {
        // An entry that was stored anew in this moment stays, and so does what it referred to.
        if goes && records.delete(&found.name, &found.version).map_err(Error::deleting)? {
            summary.removed += 1;
            continue;
        }
        summary.kept += 1;
        references.manifests.insert(found.manifest);
        references.chunks.extend(&survey.manifests[&found.manifest]);
    }
    if survey.complete {
        let swept = collect::sweep(objects, &aside, &references, &live, rules, environment)?;
        summary.swept = Some(swept);
    }
    let freed = summary.swept.map_or(0, |swept| swept.deleted_bytes);
    summary.occupied_bytes = occupied(&live, &aside).saturating_sub(freed);
    Ok(summary)
}

/// What these objects take, in bytes.
fn occupied(live: &Inventory, aside: &[AsideObject]) -> u64 {
    let live = live.values().map(|object| object.stored_size);
    let aside = aside.iter().map(|object| object.stored_size);
    live.chain(aside).fold(0, u64::saturating_add)
}
