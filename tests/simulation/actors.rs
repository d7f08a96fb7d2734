//! The processes that use the cache: writers, readers and collectors.

use crate::oracle::{self, look};
use crate::scheduler::{Death, Simulation, Step};
use crate::storage::{Handle, Operation};
use crate::tree::UnitTree;
use btdt_core::cache::LocalCache;
use btdt_core::key::Key;
use btdt_core::manifest;
use btdt_core::operations::{clean, restore, store};
use btdt_core::storage::record::Record;
use btdt_core::storage::retention::Limits;
use btdt_ports::client::{CleanRequest, Error, RestoreRequest, Restored, StoreRequest};
use btdt_ports::{ObjectKind, Objects, Records};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Runs one process after another until the simulation ends.
pub(crate) fn run(simulation: &Arc<Simulation>, actor: usize) {
    simulation.enter(actor);
    while !simulation.is_over() {
        let operation = AssertUnwindSafe(|| {
            let nature = &simulation.nature;
            if actor < nature.writers {
                write(simulation, actor);
            } else if actor < nature.writers + nature.readers {
                read(simulation, actor);
            } else {
                collect(simulation, actor);
            }
        });
        if let Err(payload) = catch_unwind(operation)
            && !payload.is::<Death>()
        {
            simulation.lose(format!("{} panicked", simulation.nature.name(actor)));
        }
        // Between two processes of an actor, others may run.
        simulation.step(actor, Step::Begin, 0);
    }
    simulation.leave(actor);
}

fn key(number: u64) -> String {
    format!("k{number}")
}

fn write(simulation: &Arc<Simulation>, actor: usize) {
    let (keys, content) = {
        let rng = &mut simulation.state().rng;
        let count = if rng.chance(2000) { 2 } else { 1 };
        let keys = (0..count).map(|_| key(rng.below(simulation.nature.keys))).collect();
        let chosen = rng.below(simulation.nature.contents.len() as u64) as usize;
        (keys, simulation.nature.contents[chosen].clone())
    };
    let number = simulation.new_operation();
    let operation = Operation { number, content: Some(content.clone()), ..Operation::default() };
    let handle = Handle::new(simulation, actor, operation);
    let request = StoreRequest { keys, ..StoreRequest::default() };
    match store::store(
        &request,
        &UnitTree::of(content),
        &LocalCache::new(&handle, &handle, &handle),
        &handle,
    ) {
        Ok(_) => {
            let mut state = simulation.state();
            state.oracle.succeed(number, simulation.time());
            state.report.commits += 1;
            drop(state);
            oracle::verify(simulation, true, "after a commit");
        }
        Err(Error::CacheUnstable) => simulation.state().report.unstable += 1,
        Err(error) => simulation.lose(format!("a store failed: {error}")),
    }
}

fn read(simulation: &Arc<Simulation>, actor: usize) {
    let key = Key::new(key(simulation.state().rng.below(simulation.nature.keys))).unwrap();
    let promise = simulation.state().oracle.promise(&key).cloned();
    let handle = Handle::new(simulation, actor, Operation::default());
    let tree = UnitTree::default();
    let request =
        RestoreRequest { keys: vec![key.as_str().to_owned()], ..RestoreRequest::default() };
    let outcome =
        restore::restore(&request, &tree, &LocalCache::new(&handle, &handle, &handle), &handle);
    let mut state = simulation.state();
    state.report.reads += 1;
    let unchanged = promise.filter(|promise| promise.binding && state.oracle.still(promise));
    drop(state);
    let restored = tree.restored.take();
    match outcome {
        Ok(None) => simulation.state().report.misses += 1,
        Ok(Some(Restored { .. })) => {}
        Err(error) => simulation.lose(format!("a restore failed: {error}")),
    }
    // An entry that existed throughout is found, whatever other processes do.
    if let Some(promise) = unchanged
        && restored.as_ref() != Some(&promise.content)
    {
        simulation.lose(format!("a reader of key {key} got {restored:?}"));
    }
}

fn collect(simulation: &Arc<Simulation>, actor: usize) {
    let nature = &simulation.nature;
    let mut limits = Limits::default();
    let mut state = simulation.state();
    if state.rng.chance(nature.evictions) {
        if state.rng.chance(5000) {
            limits.max_age = Some(state.rng.below(3000));
        } else {
            limits.max_size = Some(state.rng.below(2000));
        }
    }
    drop(state);
    let grace_period = nature.grace_periods[actor - nature.writers - nature.readers];
    let evicts = limits != Limits::default();
    let operation = Operation { evicts, grace_period, ..Operation::default() };
    let handle = Handle::new(simulation, actor, operation);
    match clean::clean(
        &CleanRequest { max_age: limits.max_age, max_size: limits.max_size, grace_period },
        &handle,
        &handle,
        &handle,
    ) {
        Ok(_) => simulation.state().report.cleans += 1,
        Err(error) => simulation.lose(format!("a clean failed: {error}")),
    }
}

/// After all processes have ended, two cleans leave exactly the referenced objects.
pub(crate) fn quiet_end(simulation: &Arc<Simulation>) {
    oracle::verify(simulation, true, "in the end");
    let promises = simulation.state().oracle.promises();
    for promise in promises {
        if !promise.binding && look(simulation, &promise.key).as_ref() != Some(&promise.content) {
            simulation.state().report.unfinished += 1;
        }
    }
    let observer = Handle::observer(simulation);
    for _ in 0..2 {
        let request = CleanRequest { max_age: None, max_size: None, grace_period: 0 };
        if let Err(error) = clean::clean(&request, &observer, &observer, &observer) {
            simulation.lose(format!("the last clean failed: {error}"));
        }
    }
    oracle::verify(simulation, true, "after the last cleans");

    let mut needed = BTreeSet::new();
    let names = Records::list(&simulation.inner, "", None, u32::MAX).unwrap();
    for record in Records::get(&simulation.inner, &names) {
        let record = Record::decode(&record.unwrap().unwrap().value).unwrap();
        let kind = ObjectKind::Manifest;
        needed.insert((kind, record.manifest));
        // A store that died during its commit may have left a record of an incomplete entry.
        let Ok(encoded) = Objects::get(&simulation.inner, kind, record.manifest, u64::MAX) else {
            continue;
        };
        let chunks = manifest::decode_chunks(&encoded).unwrap();
        needed.extend(chunks.iter().map(|chunk| (ObjectKind::Chunk, chunk.digest)));
    }
    for kind in [ObjectKind::Manifest, ObjectKind::Chunk] {
        for shard in 0..=u8::MAX {
            for object in Objects::list(&simulation.inner, kind, shard).unwrap() {
                if !needed.contains(&(kind, object.digest)) {
                    simulation.lose(format!("{kind:?} {} is left over", object.digest));
                }
            }
        }
    }
    let aside = simulation.inner.list_aside().unwrap();
    if !aside.is_empty() {
        simulation.lose(format!("{aside:?} is left aside"));
    }
}
