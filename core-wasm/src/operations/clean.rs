//! Cleans a cache: evicts entries that exceed its limits, then collects unreferenced objects.
//!
//! Safe beside any number of stores, restores and other cleans. Damaged objects are reported and
//! skipped. If a failure leaves references unknown, no object is collected.

use crate::storage::collect::{self, Inventory, References, Rules};
use crate::storage::reachability::Reachability;
use crate::storage::retention::{self, Limits};
use btdt_ports::client::{CleanRequest, CleanSummary, Error, Swept};
use btdt_ports::{AsideObject, Environment, LockMode, Objects, Records};

/// Cleans a cache.
///
/// # Errors
/// [`Error::Cache`] if the cache cannot be read, or nothing can be deleted.
pub fn clean<O: Objects, R: Records>(
    request: &CleanRequest,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<CleanSummary, Error> {
    let mut summary = pass(request, objects, records, environment)?;
    // Without a grace period there is no reason to wait, but the protocol still holds: objects are
    // set aside in one pass and deleted in the next.
    if let Some(first) = summary.swept
        && request.grace_period == 0
        && first.set_aside > 0
    {
        let request = CleanRequest { max_age: None, max_size: None, ..*request };
        let second = pass(&request, objects, records, environment)?;
        summary.occupied_bytes = second.occupied_bytes;
        summary.swept = Some(followed_by(first, second.swept.unwrap_or_default()));
    }
    Ok(summary)
}

/// The sum of a sweep and the one that immediately followed.
fn followed_by(first: Swept, next: Swept) -> Swept {
    Swept {
        set_aside: first.set_aside.saturating_sub(next.deleted) + next.set_aside,
        set_aside_bytes: first.set_aside_bytes.saturating_sub(next.deleted_bytes)
            + next.set_aside_bytes,
        deleted: first.deleted + next.deleted,
        deleted_bytes: first.deleted_bytes + next.deleted_bytes,
        recalled: first.recalled + next.recalled,
    }
}

fn pass<O: Objects, R: Records>(
    request: &CleanRequest,
    objects: &O,
    records: &R,
    environment: &dyn Environment,
) -> Result<CleanSummary, Error> {
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

    let mut summary = CleanSummary { leftovers, ..CleanSummary::default() };
    for (name, version) in &reachability.damaged {
        let deleted = records.delete(name, version).map_err(Error::deleting)?;
        summary.damaged += u64::from(deleted);
    }
    let (usage, entries) = reachability.usage(&live);
    let limits = Limits { max_age: request.max_age, max_size: request.max_size };
    let (evicted, kept_bytes) = retention::evictions(&entries, &usage, limits, began);
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
