//! Tests the collection protocol (`btdt_core::storage::collect`) against processes that stall, die
//! and race.
//!
//! The real `store`, `restore` and `clean` run concurrently on a cache in memory, each on its own
//! thread. At every call of a port the scheduler decides, by a seed, which thread continues, which
//! one stalls for thousands of steps and which one dies. Exactly one thread runs at a time, so a
//! seed always gives the same run. An entry that was stored successfully must be restorable until
//! its key is stored again or evicted.
//!
//! Without one of the protocol's rules, the same simulation loses entries. The tests in `mutants`
//! assert this, which shows that the simulation can find faults.
//!
//! `BTDT_SIMULATION_COMMITS` sets the number of successful stores. `BTDT_SIMULATION_SEED` runs one
//! seed and prints the end of its trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "the seeds are for whoever looks at a failure")]

mod actors;
mod oracle;
mod rng;
mod scenario;
mod scheduler;
mod storage;
mod tree;

use scenario::{Mutant, Report, play};
use std::thread;

/// Successful stores in a normal test run.
const COMMITS: u64 = 20_000;

/// Lines of the trace that a failure prints; a replay prints more.
const SHOWN: usize = 60;

/// Seeds that run in parallel.
const WORLDS: u64 = 8;

/// Number of seeds within which a mutant must lose an entry.
const MUTANT_SEEDS: u64 = 300;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn nothing_that_was_stored_is_lost() {
    if let Some(seed) = variable("BTDT_SIMULATION_SEED") {
        let report = play(seed, Mutant::None);
        println!("{report}\n{}", report.trace.join("\n"));
        assert_eq!(report.loss, None, "seed {seed}");
        return;
    }
    let wanted = variable("BTDT_SIMULATION_COMMITS").unwrap_or(COMMITS);
    let mut total = Report::default();
    let mut seeds = 0;
    while total.commits < wanted {
        // In parallel, because each simulation runs only one thread at a time.
        let simulations: Vec<_> = (seeds..seeds + WORLDS)
            .map(|seed| (seed, thread::spawn(move || play(seed, Mutant::None))))
            .collect();
        for (seed, simulation) in simulations {
            let report = simulation.join().unwrap();
            if let Some(loss) = &report.loss {
                let last = report.trace.len().saturating_sub(SHOWN);
                panic!("seed {seed}: {loss}\n{report}\n{}", report.trace[last..].join("\n"));
            }
            total.add(&report);
        }
        seeds += WORLDS;
    }
    println!("{seeds} seeds: {total}");
    // Make sure that the simulation covers what it should.
    let Report { deaths, stalls, recalled, discarded, evicted, reads, .. } = total;
    for (what, count) in [
        ("deaths", deaths),
        ("stalls", stalls),
        ("recalled", recalled),
        ("discarded", discarded),
        ("evicted", evicted),
        ("reads", reads),
    ] {
        assert!(count > wanted / 100, "only {count} {what}");
    }
}

#[test]
fn a_seed_plays_the_same_every_time() {
    for seed in [1, 2, 3] {
        let (once, again) = (play(seed, Mutant::None), play(seed, Mutant::None));
        assert_eq!(once.trace, again.trace, "seed {seed}");
        assert_eq!(once.to_string(), again.to_string(), "seed {seed}");
    }
}

/// Without one rule of the protocol, the simulation soon loses something.
mod mutants {
    use super::*;

    fn expect_loss(mutant: Mutant) {
        let lost = (0..MUTANT_SEEDS).find_map(|seed| {
            let loss = play(seed, mutant).loss?;
            Some((seed, loss))
        });
        let (seed, loss) = lost.unwrap_or_else(|| panic!("{mutant:?} has not lost anything"));
        println!("{mutant:?}, seed {seed}: {loss}");
    }

    #[test]
    fn a_store_that_does_not_look_after_its_commit_loses_entries() {
        expect_loss(Mutant::NoLookAfterCommit);
    }

    #[test]
    fn a_collector_that_deletes_at_once_loses_entries() {
        expect_loss(Mutant::DeletesAtOnce);
    }

    #[test]
    fn sweeps_that_share_a_name_lose_entries() {
        expect_loss(Mutant::OneSweepName);
    }

    #[test]
    fn a_collector_that_lists_too_late_loses_entries() {
        expect_loss(Mutant::ListsTooLate);
    }
}
