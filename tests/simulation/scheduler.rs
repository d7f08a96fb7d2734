//! Decides which thread runs, when, and for how long.

use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::scenario::{Mutant, Nature, Report};
use btdt_host_runtime::codec::Codec;
use btdt_host_runtime::storage::MemoryStorage;
use btdt_ports::Timestamp;
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Steps to keep for the trace.
const TRACE: usize = 2000;

/// A thread's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Begin,
    Lock,
    Existing,
    PutChunk,
    ReadChunk,
    Missing,
    Get,
    PutManifest,
    Check,
    List,
    Touch,
    SetAside,
    ListAside,
    Recall,
    Discard,
    Clear,
    GetRecord,
    PutRecord,
    ListRecords,
    TouchRecord,
    DeleteRecord,
}

/// Number of kinds of step.
pub(crate) const STEPS: usize = Step::DeleteRecord as usize + 1;

/// Panic payload for a process that dies.
pub(crate) struct Death;

/// A thread, which runs one process after another.
#[derive(Clone, Copy, Debug, Default)]
struct Actor {
    /// It stalls until this step.
    wakes: u64,
    finished: bool,
}

/// State that only the running thread may access.
pub(crate) struct State {
    pub(crate) rng: Rng,
    pub(crate) oracle: Oracle,
    pub(crate) report: Report,
    step: u64,
    running: usize,
    actors: Vec<Actor>,
    trace: VecDeque<(u64, usize, Step, u64)>,
    next_operation: u64,
    ticks: u32,
}

/// A cache, and everything that uses it.
pub(crate) struct Simulation {
    pub(crate) nature: Nature,
    pub(crate) mutant: Mutant,
    pub(crate) inner: MemoryStorage,
    pub(crate) codec: Mutex<Codec>,
    clock: Arc<AtomicI64>,
    state: Mutex<State>,
    turn: Vec<Condvar>,
    over: Condvar,
}

impl Simulation {
    pub(crate) fn new(seed: u64, mutant: Mutant) -> Self {
        let mut rng = Rng::new(seed);
        let nature = Nature::new(&mut rng);
        let clock = Arc::new(AtomicI64::new(1_700_000_000));
        let time = Arc::clone(&clock);
        let inner = MemoryStorage::new(move || Timestamp {
            seconds: time.load(Ordering::Relaxed),
            nanoseconds: 0,
        });
        let actors = vec![Actor::default(); nature.actors()];
        let state = State {
            rng,
            oracle: Oracle::default(),
            report: Report::default(),
            step: 0,
            running: 0,
            trace: VecDeque::new(),
            next_operation: 0,
            ticks: 0,
            actors,
        };
        Simulation {
            turn: (0..nature.actors()).map(|_| Condvar::new()).collect(),
            nature,
            mutant,
            inner,
            codec: Mutex::default(),
            clock,
            state: Mutex::new(state),
            over: Condvar::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of the storage, in seconds.
    pub(crate) fn time(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Whether the run of this seed is complete.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state();
        state.report.commits >= self.nature.commits
            || state.report.loss.is_some()
            || state.step >= self.nature.steps
    }

    /// A unique number for an operation.
    pub(crate) fn new_operation(&self) -> u64 {
        let mut state = self.state();
        state.next_operation += 1;
        state.next_operation
    }

    /// Records a broken promise, and stops all threads.
    pub(crate) fn lose(&self, what: String) {
        let mut state = self.state();
        if state.report.loss.is_none() {
            state.report.loss = Some(what);
        }
    }

    /// Waits for the first turn.
    pub(crate) fn enter(&self, actor: usize) {
        drop(self.wait_for_turn(self.state(), actor));
    }

    /// A scheduling point: lets other threads run. Unwinds if the process dies. `what` is for the
    /// trace.
    pub(crate) fn step(&self, actor: usize, step: Step, what: u64) {
        let mut state = self.state();
        state.note(actor, step, what);
        self.advance_clock(&mut state);
        let deaths = if step == Step::Begin { 0 } else { self.nature.deaths };
        if step != Step::Begin && state.report.loss.is_some() {
            drop(state);
            resume_unwind(Box::new(Death));
        }
        if state.rng.chance(deaths) {
            state.report.deaths += 1;
            drop(state);
            resume_unwind(Box::new(Death));
        }
        if state.rng.chance(self.nature.stalls[step as usize]) {
            let exponent = state.rng.between(1, self.nature.longest_stall);
            let length = state.rng.below(1 << exponent);
            state.actors[actor].wakes = state.step + length;
            state.report.stalls += 1;
        }
        let awake = state.actors[actor].wakes <= state.step;
        if awake && state.rng.chance(self.nature.stickiness) {
            return;
        }
        if let Some(next) = state.choose() {
            state.running = next;
            if next != actor {
                self.turn[next].notify_one();
                state = self.wait_for_turn(state, actor);
            }
        }
        if state.report.loss.is_some() && step != Step::Begin {
            drop(state);
            resume_unwind(Box::new(Death));
        }
    }

    /// Ends the thread and hands over to another one.
    pub(crate) fn leave(&self, actor: usize) {
        let mut state = self.state();
        state.actors[actor].finished = true;
        match state.choose() {
            Some(next) => {
                state.running = next;
                self.turn[next].notify_one();
            }
            None => self.over.notify_all(),
        }
    }

    /// Waits until every thread has left.
    pub(crate) fn wait_for_end(&self) {
        let mut state = self.state();
        while state.actors.iter().any(|actor| !actor.finished) {
            state = self.over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait_for_turn<'simulation>(
        &'simulation self,
        mut state: MutexGuard<'simulation, State>,
        actor: usize,
    ) -> MutexGuard<'simulation, State> {
        while state.running != actor {
            state = self.turn[actor].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn advance_clock(&self, state: &mut State) {
        let mut seconds = i64::from(state.rng.chance(self.nature.ticks));
        if state.rng.chance(self.nature.jumps) {
            seconds = state.rng.below(2000) as i64;
            if self.nature.clock_jumps_back && state.rng.chance(5000) {
                seconds = -seconds;
            }
        }
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl State {
    fn note(&mut self, actor: usize, step: Step, what: u64) {
        self.step += 1;
        self.report.steps += 1;
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back((self.step, actor, step, what));
    }

    /// Chooses the next thread; `None` if all have left. If all stall, skips to the end of a stall.
    fn choose(&mut self) -> Option<usize> {
        let present = || self.actors.iter().enumerate().filter(|(_, actor)| !actor.finished);
        let earliest = present().map(|(_, actor)| actor.wakes).min()?;
        self.step = self.step.max(earliest);
        let awake: Vec<usize> = present()
            .filter(|(_, actor)| actor.wakes <= self.step)
            .map(|(number, _)| number)
            .collect();
        Some(self.rng.pick(&awake))
    }

    /// Nanoseconds that are unique to each reading.
    pub(crate) fn tick(&mut self) -> u32 {
        self.ticks = (self.ticks + 1) % 1_000_000;
        self.ticks
    }

    /// The last steps as text.
    pub(crate) fn trace(&self, nature: &Nature) -> Vec<String> {
        let line = |(step, actor, kind, what): &(u64, usize, Step, u64)| {
            format!("{step:>8} {:<10} {kind:?} {what:08x}", nature.name(*actor))
        };
        self.trace.iter().map(line).collect()
    }
}
