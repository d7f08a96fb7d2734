//! Those who use the cache: writers, readers and collectors.

use crate::oracle::{self, look};
use crate::storage::{Handle, Operation};
use crate::tree::UnitTree;
use crate::world::{Death, Step, World};
use btdt_core::cache::LocalCache;
use btdt_core::error::Error;
use btdt_core::key::Key;
use btdt_core::manifest;
use btdt_core::record::Record;
use btdt_core::restore::Outcome;
use btdt_core::retention::Limits;
use btdt_core::{clean, restore, store};
use btdt_ports::{ObjectKind, Objects, Records};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// One process after the other, until the world is over.
pub(crate) fn run(world: &Arc<World>, actor: usize) {
    world.enter(actor);
    while !world.is_over() {
        let operation = AssertUnwindSafe(|| {
            let nature = &world.nature;
            if actor < nature.writers {
                write(world, actor);
            } else if actor < nature.writers + nature.readers {
                read(world, actor);
            } else {
                collect(world, actor);
            }
        });
        if let Err(payload) = catch_unwind(operation)
            && !payload.is::<Death>()
        {
            world.lose(format!("{} panicked", world.nature.name(actor)));
        }
        // Where a process comes after another, others may come in between.
        world.step(actor, Step::Begin, 0);
    }
    world.leave(actor);
}

fn key(number: u64) -> String {
    format!("k{number}")
}

fn write(world: &Arc<World>, actor: usize) {
    let (keys, content) = {
        let rng = &mut world.state().rng;
        let count = if rng.chance(2000) { 2 } else { 1 };
        let keys = (0..count).map(|_| key(rng.below(world.nature.keys))).collect();
        let chosen = rng.below(world.nature.contents.len() as u64) as usize;
        (keys, world.nature.contents[chosen].clone())
    };
    let number = world.new_operation();
    let operation = Operation { number, content: Some(content.clone()), ..Operation::default() };
    let handle = Handle::new(world, actor, operation);
    let request = store::Request { keys, ..store::Request::default() };
    match store::store(
        &request,
        &UnitTree::of(content),
        &LocalCache::new(&handle, &handle, &handle),
        &handle,
    ) {
        Ok(_) => {
            let mut state = world.state();
            state.oracle.succeed(number, world.time());
            state.report.commits += 1;
            drop(state);
            oracle::verify(world, true, "after a commit");
        }
        Err(Error::CacheUnstable) => world.state().report.unstable += 1,
        Err(error) => world.lose(format!("a store failed: {error}")),
    }
}

fn read(world: &Arc<World>, actor: usize) {
    let key = Key::new(key(world.state().rng.below(world.nature.keys))).unwrap();
    let promise = world.state().oracle.promise(&key).cloned();
    let handle = Handle::new(world, actor, Operation::default());
    let tree = UnitTree::default();
    let request =
        restore::Request { keys: vec![key.as_str().to_owned()], ..restore::Request::default() };
    let outcome =
        restore::restore(&request, &tree, &LocalCache::new(&handle, &handle, &handle), &handle);
    let mut state = world.state();
    state.report.reads += 1;
    let unchanged = promise.filter(|promise| promise.binding && state.oracle.still(promise));
    drop(state);
    let restored = tree.restored.take();
    match outcome {
        Ok(Outcome::Missed) => world.state().report.misses += 1,
        Ok(Outcome::Restored { .. }) => {}
        Err(error) => world.lose(format!("a restore failed: {error}")),
    }
    // An entry that was there all the time is found, whoever is at work.
    if let Some(promise) = unchanged
        && restored.as_ref() != Some(&promise.content)
    {
        world.lose(format!("a reader of key {key} got {restored:?}"));
    }
}

fn collect(world: &Arc<World>, actor: usize) {
    let nature = &world.nature;
    let mut limits = Limits::default();
    let mut state = world.state();
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
    let handle = Handle::new(world, actor, operation);
    match clean::clean(&clean::Request { limits, grace_period }, &handle, &handle, &handle) {
        Ok(_) => world.state().report.cleans += 1,
        Err(error) => world.lose(format!("a clean failed: {error}")),
    }
}

/// When all have gone, two cleans leave what is referred to and nothing else.
pub(crate) fn quiet_end(world: &Arc<World>) {
    oracle::verify(world, true, "in the end");
    let promises = world.state().oracle.promises();
    for promise in promises {
        if !promise.binding && look(world, &promise.key).as_ref() != Some(&promise.content) {
            world.state().report.unfinished += 1;
        }
    }
    let observer = Handle::observer(world);
    for _ in 0..2 {
        let request = clean::Request { limits: Limits::default(), grace_period: 0 };
        if let Err(error) = clean::clean(&request, &observer, &observer, &observer) {
            world.lose(format!("the last clean failed: {error}"));
        }
    }
    oracle::verify(world, true, "after the last cleans");

    let mut needed = BTreeSet::new();
    let names = Records::list(&world.inner, "", None, u32::MAX).unwrap();
    for record in Records::get(&world.inner, &names) {
        let record = Record::decode(&record.unwrap().unwrap().value).unwrap();
        let kind = ObjectKind::Manifest;
        needed.insert((kind, record.manifest));
        // A store that died in its commit may have left a record of something incomplete.
        let Ok(encoded) = Objects::get(&world.inner, kind, record.manifest, u64::MAX) else {
            continue;
        };
        let chunks = manifest::decode_chunks(&encoded).unwrap();
        needed.extend(chunks.iter().map(|chunk| (ObjectKind::Chunk, chunk.digest)));
    }
    for kind in [ObjectKind::Manifest, ObjectKind::Chunk] {
        for shard in 0..=u8::MAX {
            for object in Objects::list(&world.inner, kind, shard).unwrap() {
                if !needed.contains(&(kind, object.digest)) {
                    world.lose(format!("{kind:?} {} is left over", object.digest));
                }
            }
        }
    }
    let aside = world.inner.list_aside().unwrap();
    if !aside.is_empty() {
        world.lose(format!("{aside:?} is left aside"));
    }
}
