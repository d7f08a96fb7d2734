//! The parameters that a seed determines, and the statistics of a run.

use crate::actors;
use crate::rng::Rng;
use crate::scheduler::{STEPS, Simulation, Step};
use crate::tree::{Content, Files};
use std::fmt;
use std::sync::Arc;
use std::thread;

/// A rule of the protocol to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    None,
    /// After putting their records, stores are told that nothing is missing.
    NoLookAfterCommit,
    /// Objects are deleted instead of set aside.
    DeletesAtOnce,
    /// All sweeps use the same name to set objects aside.
    OneSweepName,
    /// Collectors delete objects that are set aside at the time of deletion, instead of those set
    /// aside before the records were read.
    ListsTooLate,
}

/// How locks behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locks {
    Work,
    AlwaysGranted,
    NeverGranted,
}

/// The parameters of a simulation. Chances are in ten thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Nature {
    pub(crate) writers: usize,
    pub(crate) readers: usize,
    pub(crate) collectors: usize,
    /// Successful stores after which it ends.
    pub(crate) commits: u64,
    /// Limit for the number of steps.
    pub(crate) steps: u64,
    pub(crate) keys: u64,
    pub(crate) contents: Vec<Content>,
    /// Grace period of each collector in seconds.
    pub(crate) grace_periods: Vec<u64>,
    /// Skew between each actor's clock and the storage's, in seconds.
    pub(crate) skews: Vec<i64>,
    pub(crate) locks: Locks,
    /// Chance that a collector has a limit of age or size.
    pub(crate) evictions: u64,
    /// Chance to continue with the same thread.
    pub(crate) stickiness: u64,
    pub(crate) deaths: u64,
    pub(crate) stalls: [u64; STEPS],
    /// Binary logarithm of the longest stall in steps.
    pub(crate) longest_stall: u64,
    /// Chance that a step takes a second.
    pub(crate) ticks: u64,
    /// Chance that a step takes up to 2000 seconds.
    pub(crate) jumps: u64,
    pub(crate) clock_jumps_back: bool,
}

impl Nature {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let writers = rng.between(2, 4) as usize;
        let readers = rng.between(0, 1) as usize;
        let collectors = rng.between(1, 4) as usize;
        let units = rng.between(1, 5);
        let contents = (0..rng.between(2, 8)).map(|_| content(rng, units)).collect();
        let longest_grace = rng.pick(&[0, 0, 1, 20, 1000]);
        let skewed = rng.chance(4000);
        let mut stalls = [0; STEPS];
        let chances: &[u64] =
            if rng.chance(5000) { &[0, 0, 0, 30, 500, 2000] } else { &[0, 10, 30] };
        stalls.fill_with(|| rng.pick(chances));
        // Some simulations are slow only around the commit and the deletions, where it hurts most.
        if rng.chance(2500) {
            stalls.fill(0);
            for step in [Step::PutRecord, Step::Missing, Step::Discard, Step::DeleteRecord] {
                stalls[step as usize] = rng.pick(&[0, 1000, 4000]);
            }
        }
        Nature {
            writers,
            readers,
            collectors,
            commits: rng.between(60, 140),
            steps: 60_000,
            keys: rng.between(1, 5),
            contents,
            grace_periods: (0..collectors).map(|_| rng.between(0, longest_grace)).collect(),
            skews: (0..writers + readers + collectors)
                .map(|_| if skewed { rng.below(4000) as i64 - 2000 } else { 0 })
                .collect(),
            locks: rng.pick(&[Locks::Work, Locks::AlwaysGranted, Locks::NeverGranted]),
            evictions: rng.pick(&[0, 3000, 8000]),
            stickiness: rng.pick(&[0, 3000, 6000, 8000, 9500]),
            deaths: rng.pick(&[0, 10, 40, 150]),
            stalls,
            longest_stall: rng.between(4, 12),
            ticks: rng.pick(&[0, 500, 5000]),
            jumps: rng.pick(&[20, 100, 500]),
            clock_jumps_back: rng.chance(3000),
        }
    }

    pub(crate) fn actors(&self) -> usize {
        self.writers + self.readers + self.collectors
    }

    pub(crate) fn name(&self, actor: usize) -> String {
        if actor < self.writers {
            format!("writer {actor}")
        } else if actor < self.writers + self.readers {
            format!("reader {actor}")
        } else {
            format!("collector {actor}")
        }
    }
}

fn content(rng: &mut Rng, units: u64) -> Content {
    let mut files = Files::new();
    for name in 0..rng.between(1, 2) {
        let length = rng.between(0, 2);
        let row = (0..length).map(|_| rng.below(units) as u8).collect();
        files.insert(vec![b'a' + name as u8], row);
    }
    Content { modified: rng.between(1, 2) as i64, files }
}

/// Statistics of one or several seeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) commits: u64,
    /// Stores that gave up because the cache lost what they had written.
    pub(crate) unstable: u64,
    pub(crate) cleans: u64,
    pub(crate) reads: u64,
    pub(crate) misses: u64,
    pub(crate) steps: u64,
    pub(crate) deaths: u64,
    pub(crate) stalls: u64,
    pub(crate) set_aside: u64,
    pub(crate) recalled: u64,
    pub(crate) discarded: u64,
    pub(crate) evicted: u64,
    /// Restores by the observer.
    pub(crate) looks: u64,
    /// Entries of stores that died during their commit and cannot be restored in the end.
    pub(crate) unfinished: u64,
    pub(crate) loss: Option<String>,
    pub(crate) trace: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Report) {
        self.commits += other.commits;
        self.unstable += other.unstable;
        self.cleans += other.cleans;
        self.reads += other.reads;
        self.misses += other.misses;
        self.steps += other.steps;
        self.deaths += other.deaths;
        self.stalls += other.stalls;
        self.set_aside += other.set_aside;
        self.recalled += other.recalled;
        self.discarded += other.discarded;
        self.evicted += other.evicted;
        self.looks += other.looks;
        self.unfinished += other.unfinished;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} commits ({} given up), {} cleans, {} reads ({} misses), {} steps, {} deaths, \
             {} stalls, {} set aside, {} recalled, {} discarded, {} evicted, {} looks, \
             {} unfinished entries",
            self.commits,
            self.unstable,
            self.cleans,
            self.reads,
            self.misses,
            self.steps,
            self.deaths,
            self.stalls,
            self.set_aside,
            self.recalled,
            self.discarded,
            self.evicted,
            self.looks,
            self.unfinished,
        )
    }
}

/// Runs one seed.
pub(crate) fn play(seed: u64, mutant: Mutant) -> Report {
    let simulation = Arc::new(Simulation::new(seed, mutant));
    let threads: Vec<_> = (0..simulation.nature.actors())
        .map(|actor| {
            let simulation = Arc::clone(&simulation);
            thread::spawn(move || actors::run(&simulation, actor))
        })
        .collect();
    simulation.wait_for_end();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut trace = simulation.state().trace(&simulation.nature);
    if simulation.state().report.loss.is_none() {
        actors::quiet_end(&simulation);
    }
    let mut report = simulation.state().report.clone();
    trace.push(format!("{:?}", simulation.nature));
    report.trace = trace;
    report
}
