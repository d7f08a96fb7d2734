//! Cleans a cache: evicts entries that exceed its limits, then collects unreferenced objects.
//!
//! Safe beside any number of stores, restores and other cleans. Damaged objects are reported and
//! skipped. If a failure leaves references unknown, no object is collected.

use crate::error::Error;
use crate::storage::collect::{self, Inventory, References, Rules, Swept};
use crate::storage::reachability::Reachability;
use crate::storage::retention::{self, Limits};
use btdt_ports::{AsideObject, Environment, Leftovers, LockMode, Objects, Records};

/// What to clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Limits for the entries.
    pub limits: Limits,
    /// Seconds for which unreferenced objects are kept (see [`collect`]).
    pub grace_period: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries that were evicted.
    pub removed: u64,
    /// Entries that are left.
    pub kept: u64,
    /// Stored size of those entries in bytes, with shared objects counted once.
    pub kept_bytes: u64,
    /// Stored size in bytes of all remaining objects, including those set aside and unreferenced
    /// ones. An upper bound: objects recalled by other processes meanwhile are counted twice.
    pub occupied_bytes: u64,
    /// Entries that were removed because they are damaged; not among `removed`.
    pub damaged: u64,
    /// What the collection did; `None` if it would not have been safe.
    pub swept: Option<Swept>,
    /// Temporary files of processes that died.
    pub leftovers: Leftovers,
}

/// Cleans a cache.
///
/// # Errors
/// [`Error::Cache`] if the cache cannot be read, or nothing can be deleted.
pub fn clean<O: Objects, R: Records>(
    request: &Request,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<Summary, Error> {
    let mut summary = pass(request, objects, records, environment)?;
    // Without a grace period there is no reason to wait, but the protocol still holds: objects are
    // set aside in one pass and deleted in the next.
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
    // Released at once: processes that start now must get the shared lock, so that the next clean
    // notices them.
    let alone = objects.lock(LockMode::Exclusive).is_some();
    let _in_use = objects.lock(LockMode::Shared);
    let rules = Rules { grace_period: request.grace_period, alone_since: alone.then_some(began) };
    // This comes first because it also restores records that a dead process was about to delete.
    let mut before = began;
    before.seconds = began.seconds.saturating_sub_unsigned(request.grace_period);
    let leftovers = objects.clear_leftovers(before).map_err(Error::deleting)?;
    // This order is part of the collection protocol: list the objects set aside before reading the
    // records.
    let aside = objects.list_aside().map_err(Error::reading)?;
    let mut reachability = Reachability::read(objects, records, environment)?;
    let live = collect::inventory(objects)?;
    reachability.find_incomplete(objects, &live, &aside, environment);

    let mut summary = Summary { leftovers, ..Summary::default() };
    for (name, version) in &reachability.damaged {
        let deleted = records.delete(name, version).map_err(Error::deleting)?;
        summary.damaged += u64::from(deleted);
    }
    let (usage, entries) = reachability.usage(&live);
    let (evicted, kept_bytes) = retention::evictions(&entries, &usage, request.limits, began);
    summary.kept_bytes = kept_bytes;
    let mut references = References::default();
    for (found, evicted) in reachability.entries.iter().zip(evicted) {
        // An entry that was replaced in the meantime stays, with what its old record refers to.
        if evicted && records.delete(&found.name, &found.version).map_err(Error::deleting)? {
            summary.removed += 1;
            continue;
        }
        summary.kept += 1;
        references.manifests.insert(found.manifest);
        references.chunks.extend(&reachability.manifests[&found.manifest]);
    }
    if reachability.complete {
        let swept = collect::sweep(objects, &aside, &references, &live, rules, environment)?;
        summary.swept = Some(swept);
    }
    let freed = summary.swept.map_or(0, |swept| swept.deleted_bytes);
    summary.occupied_bytes = occupied(&live, &aside).saturating_sub(freed);
    Ok(summary)
}

/// Stored size of all these objects in bytes.
fn occupied(live: &Inventory, aside: &[AsideObject]) -> u64 {
    let live = live.values().map(|object| object.stored_size);
    let aside = aside.iter().map(|object| object.stored_size);
    live.chain(aside).fold(0, u64::saturating_add)
}
