//! `kill -9` of real processes at random points: what was committed stays, nothing leaks.
//!
//! `BTDT_CRASH_ROUNDS` chooses how many processes each test kills. A seed decides when: at a
//! fraction of the time that the same operation takes when it is left alone, so that kills land
//! everywhere in it on fast and on slow machines.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::time::{Duration, Instant};

use crate::support::cache_view::assert_no_leftovers;
use crate::support::{
    NOT_FOUND, Rng, SUCCESS, Sandbox, Tree, TreeBuilder, assert_same, number_from_env, sandbox,
};

/// Versions of the tree; a store of any of them takes long enough to be killed in the middle.
const VERSIONS: u64 = 6;
/// Incompressible megabytes in each version.
const MEGABYTES: usize = 12;
const KEYS: [&str; 3] = ["a", "b/c", "d"];

fn rounds() -> u64 {
    number_from_env("BTDT_CRASH_ROUNDS", 25)
}

/// A cache, the versions of a tree, and which version each key is known to hold.
struct Lab {
    sandbox: Sandbox,
    trees: Vec<Tree>,
    committed: BTreeMap<&'static str, u64>,
    rng: Rng,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let sandbox = Sandbox::new();
        let trees = (0..VERSIONS)
            .map(|version| {
                let tree = sandbox.tree(name(version));
                tree.bulky(version, MEGABYTES);
                // A part that all versions share, so that dedup has something to do.
                tree.file("shared.bin", Rng::new(1_000).bytes(3 << 20));
                tree.snapshot()
            })
            .collect();
        Self { sandbox, trees, committed: BTreeMap::new(), rng: Rng::new(seed) }
    }

    #[track_caller]
    fn store(&mut self, key: &'static str, version: u64) {
        self.sandbox.store(key, name(version)).expect(SUCCESS);
        self.committed.insert(key, version);
    }

    /// Runs a command and kills it within the time that it takes at most.
    fn kill(&mut self, args: Vec<OsString>, at_most: Duration) -> Option<i32> {
        let delay = at_most.mul_f64(self.rng.fraction() * 1.05);
        self.sandbox.start(args).kill_after(delay).code
    }

    /// The same, with an aim that learns from what became of the command.
    fn aim(&mut self, args: Vec<OsString>, aim: &mut Aim) -> Option<i32> {
        let code = self.kill(args, aim.at_most);
        aim.learn(code.is_none());
        code
    }

    /// Restores a key to a new place; it must be one of the versions, and says which.
    #[track_caller]
    fn restored_version(&self, key: &str, context: &str) -> Option<u64> {
        let out = self.sandbox.path("out");
        let _ = fs::remove_dir_all(&out);
        let outcome = self.sandbox.restore(key, "out");
        let outcome = outcome.expect_one_of(&[SUCCESS, NOT_FOUND]);
        if outcome.code == Some(NOT_FOUND) {
            assert!(!out.exists(), "{context}: a destination after a miss");
            assert!(
                !outcome.stderr.to_lowercase().contains("warning"),
                "{context}: damage\n{outcome}"
            );
            return None;
        }
        let text = fs::read_to_string(out.join("version")).expect("a version");
        let version: u64 = text.trim().parse().expect("a version");
        let expected = &self.trees[version as usize];
        assert_same(expected, &self.sandbox.snapshot("out"), context);
        Some(version)
    }

    /// Every key holds what was committed last; `uncertain` names a store that may have finished.
    #[track_caller]
    fn check_keys(&mut self, uncertain: Option<(&str, u64)>, context: &str) {
        for key in KEYS {
            let found = self.restored_version(key, &format!("{context}, key {key}"));
            let mut allowed = vec![self.committed.get(key).copied()];
            if let Some((stored, version)) = uncertain
                && stored == key
            {
                allowed.push(Some(version));
            }
            assert!(
                allowed.contains(&found),
                "{context}: {key} holds {found:?}, which is none of {allowed:?}"
            );
            match found {
                Some(version) => self.committed.insert(key, version),
                None => self.committed.remove(key),
            };
        }
    }

    /// After two cleans the cache holds what a fresh cache with the same entries holds.
    #[track_caller]
    fn nothing_leaked(&mut self, context: &str) {
        self.sandbox.clean_twice();
        self.check_keys(None, context);
        if self.committed.is_empty() {
            let view = self.sandbox.view();
            assert!(view.content().is_empty(), "{context}: {view:?}");
            return;
        }
        let fresh = self.sandbox.make_cache("fresh");
        for (key, version) in &self.committed {
            let args = sandbox::store_args("fresh", key, name(*version));
            self.sandbox.run(args).expect(SUCCESS);
        }
        assert_no_leftovers(&self.sandbox.cache(), &fresh);
        fs::remove_dir_all(fresh).unwrap();
    }
}

/// Until when processes are killed, and for how many rounds.
///
/// The same operation takes longer or shorter with what it finds to do, by a factor that depends
/// on the machine: the aim is lowered when a process was faster, and raised again when one was
/// caught.
struct Aim {
    at_most: Duration,
    first: Duration,
    rounds: u64,
    caught: u64,
}

impl Aim {
    fn new(typical: Duration) -> Self {
        Self { at_most: typical, first: typical, rounds: 0, caught: 0 }
    }

    /// The number of the next round: as many as asked for, and more until one process was caught.
    fn round(&mut self) -> Option<u64> {
        let more = if self.caught == 0 { 30 } else { 0 };
        let round = self.rounds;
        self.rounds += 1;
        (round < rounds() + more).then_some(round)
    }

    fn learn(&mut self, caught: bool) {
        if caught {
            self.caught += 1;
            self.at_most = self.first.min(self.at_most * 2);
        } else {
            self.at_most /= 2;
        }
    }
}

fn name(version: u64) -> String {
    format!("v{version}")
}

/// How long a command takes when nobody kills it.
#[track_caller]
fn time_of(sandbox: &Sandbox, args: Vec<OsString>) -> Duration {
    let start = Instant::now();
    sandbox.run(args).expect(SUCCESS);
    start.elapsed()
}

#[test]
fn a_killed_store_leaves_the_old_or_the_new_entry() {
    let mut lab = Lab::new(1);
    lab.sandbox.make_cache("clock");
    let args = sandbox::store_args("clock", "k", name(0));
    let mut aim = Aim::new(time_of(&lab.sandbox, args));
    while let Some(round) = aim.round() {
        let key = *lab.rng.pick(&KEYS);
        let version = lab.rng.below(VERSIONS);
        let args = sandbox::store_args("cache", key, name(version));
        let code = lab.aim(args, &mut aim);
        if code == Some(SUCCESS) {
            lab.committed.insert(key, version);
        }
        let context = format!("round {round}, store of {version} under {key}, {code:?}");
        lab.check_keys(Some((key, version)), &context);
        if round % 8 == 7 {
            lab.nothing_leaked(&context);
        }
        // Start over now and then, or dedup leaves nothing to write.
        if round % 5 == 4 {
            lab.sandbox.clean(&["--max-size", "40MB"]).expect(SUCCESS);
            lab.sandbox.clean_twice();
            lab.committed.clear();
            for key in KEYS {
                if let Some(version) = lab.restored_version(key, &context) {
                    lab.committed.insert(key, version);
                }
            }
        }
    }
    assert!(aim.caught > 0, "not one of the stores was caught");
    lab.nothing_leaked("at the end");
}

#[test]
fn a_killed_clean_loses_nothing_and_leaks_nothing() {
    let mut lab = Lab::new(2);
    fill_with_garbage(&mut lab);
    let args = ["clean", "-c", "cache", "--grace-period", "0s"].map(OsString::from).to_vec();
    let mut aim = Aim::new(time_of(&lab.sandbox, args.clone()));
    while let Some(round) = aim.round() {
        if round % 6 == 0 {
            fill_with_garbage(&mut lab);
        }
        let code = lab.aim(args.clone(), &mut aim);
        lab.check_keys(None, &format!("round {round}, clean, {code:?}"));
    }
    assert!(aim.caught > 0, "not one of the cleans was caught");
    lab.nothing_leaked("at the end");
}

#[test]
fn a_killed_clean_that_deletes_entries_leaves_whole_ones_or_none() {
    let mut lab = Lab::new(3);
    for round in 0..rounds() {
        for (index, key) in KEYS.into_iter().enumerate() {
            lab.store(key, (round + index as u64) % VERSIONS);
        }
        lab.sandbox.tick();
        let args = ["clean", "-c", "cache", "--max-age", "0s", "--grace-period", "0s"];
        // A clean of three entries takes some milliseconds: any of them will do.
        lab.kill(args.map(OsString::from).to_vec(), Duration::from_millis(12));
        let context = format!("round {round}");
        for key in KEYS {
            match lab.restored_version(key, &context) {
                Some(version) => {
                    assert_eq!(lab.committed.get(key), Some(&version), "{context}, {key}");
                }
                None => {
                    lab.committed.remove(key);
                }
            }
        }
    }
    lab.nothing_leaked("at the end");
}

/// Overwrites every key some times, so that a clean has much to collect.
fn fill_with_garbage(lab: &mut Lab) {
    for version in 0..VERSIONS {
        for key in KEYS {
            lab.store(key, version);
        }
    }
    for key in KEYS {
        let version = lab.rng.below(VERSIONS);
        lab.store(key, version);
    }
}

#[test]
fn a_killed_restore_leaves_a_new_destination_absent_or_complete() {
    let mut lab = Lab::new(4);
    lab.store("a", 1);
    let args = sandbox::restore_args("cache", "a", "first");
    let mut aim = Aim::new(time_of(&lab.sandbox, args));
    while let Some(round) = aim.round() {
        let dest = format!("new/dest{round}");
        let args = sandbox::restore_args("cache", "a", &dest);
        let code = lab.aim(args, &mut aim);
        let context = format!("round {round}, {code:?}");
        if lab.sandbox.path(&dest).exists() {
            assert_same(&lab.trees[1], &lab.sandbox.snapshot(&dest), &context);
        } else {
            assert_ne!(code, Some(SUCCESS), "{context}: success without a destination");
        }
        // The remains of the killed one are in nobody's way.
        let args = sandbox::restore_args("cache", "a", &dest);
        lab.sandbox.run(args).expect(SUCCESS);
        assert_same(&lab.trees[1], &lab.sandbox.snapshot(&dest), &context);
    }
    assert!(aim.caught > 0, "not one of the restores was caught");
    lab.nothing_leaked("at the end");
}

#[test]
fn a_killed_restore_over_a_tree_is_completed_by_the_next() {
    let mut lab = Lab::new(5);
    lab.store("a", 1);
    lab.store("b/c", 2);
    let args = sandbox::restore_args("cache", "a", "dest");
    let mut aim = Aim::new(time_of(&lab.sandbox, args));
    let dest = TreeBuilder::at(lab.sandbox.path("dest"));
    while let Some(round) = aim.round() {
        let (key, version) = *lab.rng.pick(&[("a", 1), ("b/c", 2)]);
        let mut args = sandbox::restore_args("cache", key, "dest");
        args.push("--exact".into());
        let code = lab.aim(args.clone(), &mut aim);
        dest.file("left-by-somebody", "x");
        lab.sandbox.run(args).expect(SUCCESS);
        let context = format!("round {round}, key {key}, {code:?}");
        assert_same(&lab.trees[version], &lab.sandbox.snapshot("dest"), context);
    }
    assert!(aim.caught > 0, "not one of the restores was caught");
    lab.check_keys(None, "at the end");
}

#[test]
fn stores_cleans_and_restores_killed_in_any_order() {
    let mut lab = Lab::new(6);
    let store = time_of(&lab.sandbox, sandbox::store_args("cache", "a", name(0)));
    lab.committed.insert("a", 0);
    for round in 0..rounds() {
        let key = *lab.rng.pick(&KEYS);
        let version = lab.rng.below(VERSIONS);
        let context = format!("round {round}");
        match lab.rng.below(3) {
            0 => {
                let args = sandbox::store_args("cache", key, name(version));
                let code = lab.kill(args, store);
                if code == Some(SUCCESS) {
                    lab.committed.insert(key, version);
                }
                lab.check_keys(Some((key, version)), &context);
            }
            1 => {
                let args = ["clean", "-c", "cache", "--grace-period", "0s"].map(OsString::from);
                lab.kill(args.to_vec(), store / 4);
                lab.check_keys(None, &context);
            }
            _ => {
                let dest = format!("dest{round}");
                lab.kill(sandbox::restore_args("cache", key, &dest), store);
                let whole = lab.sandbox.path(&dest).exists();
                if whole {
                    let expected = lab.committed[key] as usize;
                    let actual = lab.sandbox.snapshot(&dest);
                    assert_same(&lab.trees[expected], &actual, context);
                }
            }
        }
    }
    lab.nothing_leaked("at the end");
}
