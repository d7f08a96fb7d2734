//! Sixteen processes at once store to, restore from and clean the same cache.
//!
//! `BTDT_CONTENTION_SECONDS` chooses for how long (10 when it is not set; 60 for acceptance).

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    NOT_FOUND, OTHER_KEY, Rng, SUCCESS, Sandbox, Tree, assert_same, number_from_env, sandbox,
};

const PROCESSES: u64 = 16;
const VERSIONS: u64 = 8;
const KEYS: [&str; 5] = ["a", "b", "c/d", "e", "f"];

/// What happened, so that a run in which nothing could go wrong is noticed.
#[derive(Default)]
struct Tally {
    stores: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    cleans: AtomicU64,
}

struct Arena {
    sandbox: Sandbox,
    trees: Vec<Tree>,
    tally: Tally,
    deadline: Instant,
}

#[test]
fn sixteen_processes_use_one_cache_at_once() {
    let seconds = number_from_env("BTDT_CONTENTION_SECONDS", 10);
    let sandbox = Sandbox::new();
    let trees = (0..VERSIONS)
        .map(|version| {
            let tree = sandbox.tree(format!("v{version}"));
            // Neighbours share half of their content: objects are wanted and dropped at once.
            tree.sample(version)
                .file("half", Rng::new(version / 2).bytes(1 << 20))
                .file("own", Rng::new(version ^ 0xFACE).bytes(200_000));
            tree.snapshot()
        })
        .collect();
    let arena = Arena {
        sandbox,
        trees,
        tally: Tally::default(),
        deadline: Instant::now() + Duration::from_secs(seconds),
    };
    thread::scope(|scope| {
        for worker in 0..PROCESSES {
            let arena = &arena;
            scope.spawn(move || arena.work(worker));
        }
    });
    let Tally { stores, hits, misses, cleans } = &arena.tally;
    println!("{stores:?} stores, {hits:?} hits, {misses:?} misses, {cleans:?} cleans");
    assert!(stores.load(Ordering::Relaxed) > PROCESSES, "too few stores");
    assert!(hits.load(Ordering::Relaxed) > PROCESSES, "too few hits");
    assert!(cleans.load(Ordering::Relaxed) > 2, "too few cleans");
    arena.every_entry_is_whole_afterwards();
}

impl Arena {
    fn work(&self, worker: u64) {
        let mut rng = Rng::new(worker);
        let mut round = 0;
        while Instant::now() < self.deadline {
            match rng.below(10) {
                0..=3 => self.store(&mut rng),
                4..=8 => self.restore(&mut rng, worker, round),
                _ => self.clean(&mut rng),
            }
            round += 1;
        }
    }

    fn store(&self, rng: &mut Rng) {
        let version = format!("v{}", rng.below(VERSIONS));
        let mut keys = (*rng.pick(&KEYS)).to_owned();
        if rng.below(3) == 0 {
            keys = format!("{keys},{}", rng.pick(&KEYS));
        }
        let args = sandbox::store_args("cache", keys, version);
        self.sandbox.run(args).expect(SUCCESS);
        self.tally.stores.fetch_add(1, Ordering::Relaxed);
    }

    fn restore(&self, rng: &mut Rng, worker: u64, round: u64) {
        // Half of the restores go over what the worker restored before.
        let dest = if rng.below(2) == 0 {
            format!("out-{worker}")
        } else {
            format!("out-{worker}-{round}")
        };
        let keys = format!("{},{}", rng.pick(&KEYS), rng.pick(&KEYS));
        let mut args = sandbox::restore_args("cache", keys, &dest);
        args.push("--exact".into());
        let outcome = self.sandbox.run(args);
        let outcome = outcome.expect_one_of(&[SUCCESS, OTHER_KEY, NOT_FOUND]);
        if outcome.code == Some(NOT_FOUND) {
            self.tally.misses.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.is_a_version(&dest, &outcome.to_string());
        self.tally.hits.fetch_add(1, Ordering::Relaxed);
        if dest != format!("out-{worker}") {
            fs::remove_dir_all(self.sandbox.path(&dest)).unwrap();
        }
    }

    fn clean(&self, rng: &mut Rng) {
        let flags: &[&str] = match rng.below(5) {
            0 => &[],
            1 => &["--max-size", "3MB", "--grace-period", "0s"],
            2 => &["--max-age", "1s", "--grace-period", "0s"],
            3 => &["--max-age", "0s"],
            _ => &["--grace-period", "0s"],
        };
        self.sandbox.clean(flags).expect(SUCCESS);
        self.tally.cleans.fetch_add(1, Ordering::Relaxed);
    }

    #[track_caller]
    fn is_a_version(&self, dest: &str, context: &str) {
        let text = fs::read_to_string(self.sandbox.path(dest).join("version"));
        let version: usize = text
            .unwrap_or_else(|error| panic!("no version: {error}\n{context}"))
            .trim()
            .parse()
            .expect("a version");
        let actual = self.sandbox.snapshot(dest);
        assert_same(&self.trees[version], &actual, context);
    }

    fn every_entry_is_whole_afterwards(&self) {
        self.sandbox.clean_twice();
        for (index, key) in KEYS.into_iter().enumerate() {
            let dest = format!("final-{index}");
            let outcome = self.sandbox.restore(key, &dest);
            let outcome = outcome.expect_one_of(&[SUCCESS, NOT_FOUND]);
            if outcome.code == Some(SUCCESS) {
                self.is_a_version(&dest, key);
            }
        }
        // With the last entries gone, nothing at all is left.
        self.sandbox.tick();
        self.sandbox.clean(&["--max-age", "0s"]).expect(SUCCESS);
        self.sandbox.clean_twice();
        let view = self.sandbox.view();
        assert!(view.content().is_empty(), "{view:?}");
        assert!(view.transient().is_empty(), "{view:?}");
    }
}
