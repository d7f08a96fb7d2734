//! Tracks which entries must be restorable, and checks that they are.

use crate::scheduler::Simulation;
use crate::storage::Handle;
use crate::tree::{Content, UnitTree};
use btdt_core::cache::LocalCache;
use btdt_core::key::Key;
use btdt_core::operations::restore;
use btdt_ports::Digest;
use btdt_ports::client::{RestoreRequest, Restored};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the record of a key should refer to.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) key: Key,
    /// The store that put the record.
    operation: u64,
    manifest: Digest,
    pub(crate) content: Content,
    /// Whether that store, or an earlier one with the same manifest, has succeeded.
    pub(crate) binding: bool,
    /// When the record was put, and when its store succeeded.
    put: i64,
    succeeded: i64,
    /// Changes with every update.
    generation: u64,
}

/// Seconds that a commit may take, minus the clock skew.
const COMMIT_TIME: i64 = 80_000;

impl Promise {
    /// Whether its store took so long for its commit that a clean may have considered the entry
    /// dead.
    pub(crate) fn was_given_too_late(&self) -> bool {
        self.succeeded - self.put > COMMIT_TIME
    }
}

/// The expected records by name.
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
        // The same manifest again: it stays promised.
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

    /// A record was deleted. Returns what it referred to.
    pub(crate) fn delete(&mut self, name: &str) -> Option<Promise> {
        self.promises.remove(name)
    }

    pub(crate) fn promise(&self, key: &Key) -> Option<&Promise> {
        self.promises.get(&key.record_name())
    }

    /// Whether the promise about a key is unchanged.
    pub(crate) fn still(&self, promise: &Promise) -> bool {
        self.promise(&promise.key).is_some_and(|now| now.generation == promise.generation)
    }

    pub(crate) fn promises(&self) -> Vec<Promise> {
        self.promises.values().cloned().collect()
    }
}

/// Restores while no other thread runs.
pub(crate) fn look(simulation: &Arc<Simulation>, key: &Key) -> Option<Content> {
    let handle = Handle::observer(simulation);
    let tree = UnitTree::default();
    let request =
        RestoreRequest { keys: vec![key.as_str().to_owned()], ..RestoreRequest::default() };
    let outcome =
        restore::restore(&request, &tree, &LocalCache::new(&handle, &handle, &handle), &handle);
    simulation.state().report.looks += 1;
    let restored = tree.restored.take();
    matches!(outcome, Ok(Some(Restored { .. }))).then_some(restored).flatten()
}

/// Restores what was promised: everything, or one random key.
pub(crate) fn verify(simulation: &Arc<Simulation>, all: bool, when: &str) {
    let mut promises = simulation.state().oracle.promises();
    promises.retain(|promise| promise.binding);
    if !all && !promises.is_empty() {
        let chosen = simulation.state().rng.below(promises.len() as u64) as usize;
        promises = vec![promises.swap_remove(chosen)];
    }
    for promise in promises {
        let found = look(simulation, &promise.key);
        if found.as_ref() != Some(&promise.content) {
            let Promise { key, content, .. } = &promise;
            simulation.lose(format!("{when}: key {key} gives {found:?} instead of {content:?}"));
        }
    }
}
