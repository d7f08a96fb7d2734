//! What has been promised, and whether it is kept.

use crate::storage::Handle;
use crate::tree::{Content, UnitTree};
use crate::world::World;
use btdt_core::cache::LocalCache;
use btdt_core::key::Key;
use btdt_core::restore::{self, Outcome};
use btdt_ports::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the record of a key should lead to.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) key: Key,
    /// The store that put the record.
    operation: u64,
    manifest: Digest,
    pub(crate) content: Content,
    /// Whether that store, or an earlier one of the same manifest, has succeeded.
    pub(crate) binding: bool,
    /// When the record was put, and when its store had succeeded.
    put: i64,
    succeeded: i64,
    /// Different after every change.
    generation: u64,
}

/// Seconds that a commit may take, less the differences of clocks.
const COMMIT_TIME: i64 = 80_000;

impl Promise {
    /// Whether its store took so long to look after its commit that a clean may have taken it for
    /// dead.
    pub(crate) fn was_given_too_late(&self) -> bool {
        self.succeeded - self.put > COMMIT_TIME
    }
}

/// The records as they should be, by their names.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    promises: BTreeMap<String, Promise>,
    generations: u64,
}

impl Oracle {
    /// A store has put a record.
    pub(crate) fn put(
        &mut self,
        key: Key,
        operation: u64,
        manifest: Digest,
        content: &Content,
        now: i64,
    ) {
        self.generations += 1;
        let name = key.record_name();
        // The same manifest again: what was promised of it goes on.
        let before = self.promises.get(&name);
        let binding = before.is_some_and(|old| old.binding && old.manifest == manifest);
        let content = content.clone();
        let generation = self.generations;
        let (put, succeeded) = (now, now);
        let promise =
            Promise { key, operation, manifest, content, binding, put, succeeded, generation };
        self.promises.insert(name, promise);
    }

    /// A store has succeeded.
    pub(crate) fn succeed(&mut self, operation: u64, now: i64) {
        for promise in self.promises.values_mut() {
            if promise.operation == operation {
                self.generations += 1;
                promise.binding = true;
                promise.succeeded = now;
                promise.generation = self.generations;
            }
        }
    }

    /// A record was deleted. Returns what it promised.
    pub(crate) fn delete(&mut self, name: &str) -> Option<Promise> {
        self.promises.remove(name)
    }

    pub(crate) fn promise(&self, key: &Key) -> Option<&Promise> {
        self.promises.get(&key.record_name())
    }

    /// Whether what is promised of a key is still the same.
    pub(crate) fn still(&self, promise: &Promise) -> bool {
        self.promise(&promise.key).is_some_and(|now| now.generation == promise.generation)
    }

    pub(crate) fn promises(&self) -> Vec<Promise> {
        self.promises.values().cloned().collect()
    }
}

/// What a restore gives while nobody else moves.
pub(crate) fn look(world: &Arc<World>, key: &Key) -> Option<Content> {
    let handle = Handle::observer(world);
    let tree = UnitTree::default();
    let request =
        restore::Request { keys: vec![key.as_str().to_owned()], ..restore::Request::default() };
    let outcome =
        restore::restore(&request, &tree, &LocalCache::new(&handle, &handle, &handle), &handle);
    world.state().report.looks += 1;
    let restored = tree.restored.take();
    matches!(outcome, Ok(Outcome::Restored { .. })).then_some(restored).flatten()
}

/// Restores what was promised, all of it or one key by chance.
pub(crate) fn verify(world: &Arc<World>, all: bool, when: &str) {
    let mut promises = world.state().oracle.promises();
    promises.retain(|promise| promise.binding);
    if !all && !promises.is_empty() {
        let chosen = world.state().rng.below(promises.len() as u64) as usize;
        promises = vec![promises.swap_remove(chosen)];
    }
    for promise in promises {
        let found = look(world, &promise.key);
        if found.as_ref() != Some(&promise.content) {
            let Promise { key, content, .. } = &promise;
            world.lose(format!("{when}: key {key} gives {found:?} instead of {content:?}"));
        }
    }
}
