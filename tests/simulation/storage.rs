//! A cache in memory whose calls are scheduling points, and which breaks a rule of the protocol for
//! a mutant.

use crate::oracle;
use crate::scenario::{Locks, Mutant};
use crate::scheduler::{Simulation, Step};
use crate::tree::{Content, raw};
use btdt_core::manifest;
use btdt_core::storage::record::Record;
use btdt_host_runtime::chunk_io::{ChunkSink, ChunkSource};
use btdt_ports::{
    AsideObject, Digest, Environment, HeldLock, IoError, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, PutOutcome, RecordVersion, Records, Severity,
    StoredRecord, SweepId, Timestamp,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

/// Shards to list between two scheduling points, so that a clean does not mostly list.
const SHARDS: u8 = 64;

/// What a process is doing.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    pub(crate) number: u64,
    /// Storing this content.
    pub(crate) content: Option<Content>,
    /// A clean, and whether it may evict intact entries.
    pub(crate) evicts: bool,
    pub(crate) grace_period: u64,
}

/// What the operation has done so far.
#[derive(Debug, Default)]
struct Progress {
    /// Whether a record was put.
    committed: Cell<bool>,
    /// Whether an exclusive lock was granted.
    alone: Cell<bool>,
    log: RefCell<Vec<String>>,
    /// For a mutant: what the records read so far refer to.
    references: RefCell<BTreeMap<String, BTreeSet<(ObjectKind, Digest)>>>,
}

/// The cache, and the environment, as one process sees them.
#[derive(Clone)]
pub(crate) struct Handle {
    simulation: Arc<Simulation>,
    /// `None` for the observer, which uses the cache while no thread runs, without a trace.
    actor: Option<usize>,
    operation: Rc<Operation>,
    progress: Rc<Progress>,
}

impl Handle {
    pub(crate) fn new(simulation: &Arc<Simulation>, actor: usize, operation: Operation) -> Self {
        Handle {
            simulation: Arc::clone(simulation),
            actor: Some(actor),
            operation: Rc::new(operation),
            progress: Rc::default(),
        }
    }

    pub(crate) fn observer(simulation: &Arc<Simulation>) -> Self {
        Handle {
            simulation: Arc::clone(simulation),
            actor: None,
            operation: Rc::default(),
            progress: Rc::default(),
        }
    }

    fn step(&self, step: Step, what: u64) {
        if let Some(actor) = self.actor {
            self.simulation.step(actor, step, what);
        }
    }

    fn mutant(&self) -> Mutant {
        if self.actor.is_some() { self.simulation.mutant } else { Mutant::None }
    }

    fn is_observer(&self) -> bool {
        self.actor.is_none()
    }

    /// The sweep that objects are set aside under.
    fn sweep(&self, sweep: &SweepId) -> SweepId {
        match self.mutant() {
            Mutant::OneSweepName => SweepId::new(Timestamp::default(), 0),
            _ => sweep.clone(),
        }
    }

    pub(crate) fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        self.step(Step::Existing, short(digest));
        ChunkSink::existing(&self.simulation.inner, digest)
    }

    pub(crate) fn put_chunk(&self, digest: &Digest, raw: &[u8]) -> Result<PutOutcome, IoError> {
        self.step(Step::PutChunk, short(digest));
        let mut codec = self.simulation.codec.lock().unwrap_or_else(PoisonError::into_inner);
        ChunkSink::put(&self.simulation.inner, digest, raw, &mut codec)
    }

    /// The unit that a chunk holds.
    pub(crate) fn read_chunk(&self, digest: &Digest) -> Result<u8, ObjectFault> {
        self.step(Step::ReadChunk, short(digest));
        let mut codec = self.simulation.codec.lock().unwrap_or_else(PoisonError::into_inner);
        let size = raw(0).len() as u32;
        let content = ChunkSource::read(&self.simulation.inner, digest, size, &mut codec)?;
        Ok(content[content.len() - 1])
    }

    /// The mutant's deletion: everything set aside by now that it knows no reference to.
    fn discard_late(&self) -> Result<u64, IoError> {
        let references = self.progress.references.borrow();
        let mut aside = self.simulation.inner.list_aside()?;
        let restore_time = if self.progress.alone.get() { 0 } else { 600 };
        let grace_period = self.operation.grace_period.max(restore_time);
        aside.retain(|object| {
            let name = (object.kind, object.digest);
            let age = self.now().seconds_since(object.sweep.began());
            age >= grace_period && !references.values().any(|needed| needed.contains(&name))
        });
        self.simulation.inner.discard(&aside)
    }

    fn note_references(&self, name: &str, value: &[u8]) {
        let Ok(record) = Record::decode(value) else { return };
        let kind = ObjectKind::Manifest;
        let Ok(encoded) = Objects::get(&self.simulation.inner, kind, record.manifest, u64::MAX)
        else {
            return;
        };
        let chunks = manifest::decode_chunks(&encoded).unwrap();
        let mut needed = BTreeSet::from([(kind, record.manifest)]);
        needed.extend(chunks.iter().map(|chunk| (ObjectKind::Chunk, chunk.digest)));
        self.progress.references.borrow_mut().insert(name.to_owned(), needed);
    }
}

fn short(digest: &Digest) -> u64 {
    digest.a >> 32
}

impl Objects for Handle {
    type Sink = Handle;
    type Source = Handle;

    fn sink(&self) -> Handle {
        self.clone()
    }

    fn source(&self) -> Handle {
        self.clone()
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        self.step(Step::Lock, mode as u64);
        let lock = match self.simulation.nature.locks {
            // No other thread runs.
            _ if self.is_observer() => Some(HeldLock::new(())),
            Locks::Work => self.simulation.inner.lock(mode),
            Locks::AlwaysGranted => Some(HeldLock::new(())),
            Locks::NeverGranted => None,
        };
        if mode == LockMode::Exclusive {
            self.progress.alone.set(lock.is_some());
        }
        lock
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        if self.mutant() == Mutant::NoLookAfterCommit && self.progress.committed.get() {
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        for digest in digests {
            self.step(Step::Missing, short(digest));
            missing.extend(self.simulation.inner.missing(kind, &[*digest])?);
        }
        Ok(missing)
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.step(Step::Get, short(&digest));
        Objects::get(&self.simulation.inner, kind, digest, limit)
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        self.step(Step::PutManifest, raw.len() as u64);
        Objects::put(&self.simulation.inner, kind, raw)
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        let mut faults = Vec::new();
        for name in names {
            self.step(Step::Check, short(&name.digest));
            let sweep = name.sweep.as_ref().map(|sweep| self.sweep(sweep));
            faults.extend(self.simulation.inner.check(&[ObjectName { sweep, ..name.clone() }]));
        }
        faults
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        if shard.is_multiple_of(SHARDS) {
            self.step(Step::List, u64::from(shard));
        }
        Objects::list(&self.simulation.inner, kind, shard)
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        if !self.is_observer() {
            self.step(Step::Touch, digests.len() as u64);
            Objects::touch(&self.simulation.inner, kind, digests);
        }
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        let sweep = self.sweep(sweep);
        let mut moved = 0;
        for digest in digests {
            self.step(Step::SetAside, short(digest));
            let count = self.simulation.inner.set_aside(kind, &[*digest], &sweep)?;
            self.simulation.state().report.set_aside += count;
            moved += count;
            if self.mutant() == Mutant::DeletesAtOnce && count > 0 {
                let digest = *digest;
                let gone = AsideObject { kind, digest, sweep: sweep.clone(), stored_size: 0 };
                self.simulation.inner.discard(&[gone])?;
                oracle::verify(&self.simulation, true, "after a deletion at once");
            }
        }
        Ok(moved)
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        // Reading a directory is not atomic either.
        let mut aside = Vec::new();
        for half in 0..2 {
            self.step(Step::ListAside, half);
            let mut listed = self.simulation.inner.list_aside()?;
            listed.retain(|object| short(&object.digest) % 2 == half);
            aside.extend(listed);
        }
        Ok(aside)
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let mut recalled = 0;
        for object in objects {
            self.step(Step::Recall, short(&object.digest));
            let sweep = self.sweep(&object.sweep);
            let count = self.simulation.inner.recall(&[AsideObject { sweep, ..object.clone() }])?;
            self.simulation.state().report.recalled += count;
            recalled += count;
        }
        Ok(recalled)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        if self.mutant() == Mutant::ListsTooLate {
            self.step(Step::Discard, 0);
            let count = self.discard_late()?;
            oracle::verify(&self.simulation, true, "after a late deletion");
            return Ok(count);
        }
        let mut discarded = 0;
        for object in objects {
            self.step(Step::Discard, short(&object.digest));
            let sweep = self.sweep(&object.sweep);
            let count =
                self.simulation.inner.discard(&[AsideObject { sweep, ..object.clone() }])?;
            discarded += count;
            if count > 0 && !self.is_observer() {
                self.simulation.state().report.discarded += count;
                oracle::verify(&self.simulation, true, "after a deletion");
            }
        }
        Ok(discarded)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.step(Step::Clear, 0);
        self.simulation.inner.clear_leftovers(before)
    }
}

impl Records for Handle {
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>> {
        let mut records = Vec::new();
        for name in names {
            self.step(Step::GetRecord, trace_name(name));
            let found = Records::get(&self.simulation.inner, std::slice::from_ref(name));
            if self.mutant() == Mutant::ListsTooLate
                && let Some(Ok(Some(record))) = found.first()
            {
                self.note_references(name, &record.value);
            }
            records.extend(found);
        }
        records
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError> {
        self.step(Step::PutRecord, trace_name(name));
        Records::put(&self.simulation.inner, name, value)?;
        let record = Record::decode(value).unwrap();
        let content = self.operation.content.as_ref().unwrap();
        let mut state = self.simulation.state();
        let (number, now) = (self.operation.number, self.simulation.time());
        state.oracle.put(record.key, number, record.manifest, content, now);
        self.progress.committed.set(true);
        Ok(())
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError> {
        self.step(Step::ListRecords, 0);
        Records::list(&self.simulation.inner, prefix, after, limit)
    }

    fn touch(&self, name: &str) {
        if !self.is_observer() {
            self.step(Step::TouchRecord, trace_name(name));
            Records::touch(&self.simulation.inner, name);
        }
    }

    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError> {
        self.step(Step::DeleteRecord, trace_name(name));
        let deleted = self.simulation.inner.delete(name, version)?;
        if !deleted {
            return Ok(false);
        }
        self.progress.references.borrow_mut().remove(name);
        let mut state = self.simulation.state();
        let Some(promise) = state.oracle.delete(name) else { return Ok(true) };
        state.report.evicted += 1;
        drop(state);
        let as_damaged = {
            let starts = [
                format!("removing the entry of key {}: ", promise.key),
                format!("removing the record {name}: "),
            ];
            let log = self.progress.log.borrow();
            log.iter().any(|line| starts.iter().any(|start| line.starts_with(start)))
        };
        let excused = as_damaged && promise.was_given_too_late();
        if promise.binding && !excused && (as_damaged || !self.operation.evicts) {
            let key = &promise.key;
            self.simulation.lose(format!("key {key} was removed, as damaged: {as_damaged}"));
        }
        Ok(true)
    }
}

fn trace_name(name: &str) -> u64 {
    name.bytes().fold(0, |sum, byte| sum << 8 | u64::from(byte)) & 0xffff_ffff
}

impl Environment for Handle {
    fn now(&self) -> Timestamp {
        let skew = self.actor.map_or(0, |actor| self.simulation.nature.skews[actor]);
        // Readings are unique, like the nanoseconds of a real clock: a record that is put again
        // differs from the one that a collector found damaged.
        Timestamp {
            seconds: self.simulation.time() + skew,
            nanoseconds: self.simulation.state().tick(),
        }
    }

    fn random(&self) -> u64 {
        self.simulation.state().rng.next()
    }

    fn log(&self, _: Severity, message: &str) {
        self.progress.log.borrow_mut().push(message.to_owned());
    }
}
