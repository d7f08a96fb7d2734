//! The Tekton guide's tasks, run as they are written.

#[path = "../../tekton/expectations.rs"]
mod expectations;
#[path = "../../tekton/places.rs"]
mod places;
#[path = "../../tekton/runner.rs"]
mod runner;
mod runner_tests;
#[path = "../../tekton/task.rs"]
mod task;
#[path = "../../tekton/variables.rs"]
mod variables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::binary::btdt_path;
use crate::support::process::{Outcome, Running, clean_command};
use crate::support::{NOT_FOUND, SUCCESS, Sandbox, assert_same};

use expectations::{hit_and_skipped_both, missed_installed_and_stored, require_npm};
use runner::{Report, TaskRun};

const RUN_TESTS: &str = include_str!("fixtures/task_run-tests.yaml");
const CACHE_CLEAN: &str = include_str!("fixtures/task_cache-clean.yaml");

/// Two versions of a project with tiny dependencies; the lock files name no registry.
const ONE: [(&str, &str); 2] = [
    ("package.json", include_str!("../../tekton/npm-one/package.json")),
    ("package-lock.json", include_str!("../../tekton/npm-one/package-lock.json")),
];
const TWO: [(&str, &str); 2] = [
    ("package.json", include_str!("../../tekton/npm-two/package.json")),
    ("package-lock.json", include_str!("../../tekton/npm-two/package-lock.json")),
];

/// A cache volume, and checkouts that come and go.
struct Cluster {
    sandbox: Sandbox,
}

impl Cluster {
    fn new() -> Self {
        Self { sandbox: Sandbox::new() }
    }

    /// A fresh checkout of a project.
    fn checkout(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let tree = self.sandbox.tree(name);
        for (file, content) in files {
            tree.file(file, content);
        }
        tree.path("")
    }

    /// Runs the guide's task `run-tests` over a checkout.
    #[track_caller]
    fn run_tests(&self, name: &str, checkout: &Path) -> Report {
        let root = self.sandbox.path(format!("{name}-pod"));
        let cache = self.sandbox.cache();
        let workspaces = [("git-sources", checkout), ("cache", cache.as_path())];
        TaskRun::new(RUN_TESTS, &root, &workspaces, &[])
            .and_then(|run| run.run(btdt_path()))
            .expect("a task that makes sense")
    }

    /// Runs the guide's task `cache-clean`.
    #[track_caller]
    fn clean(&self, name: &str) -> Report {
        let root = self.sandbox.path(format!("{name}-pod"));
        let cache = self.sandbox.cache();
        TaskRun::new(CACHE_CLEAN, &root, &[("cache", &cache)], &[])
            .and_then(|run| run.run(btdt_path()))
            .expect("a task that makes sense")
    }
}

#[test]
fn the_task_of_the_guide_misses_then_hits_then_misses_again() {
    require_npm();
    let cluster = Cluster::new();

    let first = cluster.checkout("first", &ONE);
    missed_installed_and_stored(&cluster.run_tests("first", &first));
    let installed = cluster.sandbox.snapshot("first/node_modules");
    assert!(first.join("node_modules/is-number/index.js").is_file());

    let second = cluster.checkout("second", &ONE);
    hit_and_skipped_both(&cluster.run_tests("second", &second));
    let restored = cluster.sandbox.snapshot("second/node_modules");
    assert_same(&installed, &restored, "node_modules");

    let third = cluster.checkout("third", &TWO);
    missed_installed_and_stored(&cluster.run_tests("third", &third));
    assert!(third.join("node_modules/is-odd").is_dir());

    // Both versions are there from now on, also after the guide's clean.
    assert!(cluster.clean("clean").succeeded);
    let fourth = cluster.checkout("fourth", &ONE);
    hit_and_skipped_both(&cluster.run_tests("fourth", &fourth));
    let fifth = cluster.checkout("fifth", &TWO);
    hit_and_skipped_both(&cluster.run_tests("fifth", &fifth));
    assert_same(
        &cluster.sandbox.snapshot("third/node_modules"),
        &cluster.sandbox.snapshot("fifth/node_modules"),
        "node_modules of the other version",
    );
}

#[test]
fn what_was_restored_works() {
    require_npm();
    let cluster = Cluster::new();
    let first = cluster.checkout("first", &TWO);
    missed_installed_and_stored(&cluster.run_tests("first", &first));
    let second = cluster.checkout("second", &TWO);
    hit_and_skipped_both(&cluster.run_tests("second", &second));
    let output = Command::new("node")
        .args(["-e", "process.exit(require('is-odd')(3) ? 0 : 1)"])
        .current_dir(&second)
        .output()
        .expect("run node");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_clean_task_of_the_guide_works_on_a_fresh_cache() {
    let cluster = Cluster::new();
    for name in ["once", "twice"] {
        let report = cluster.clean(name);
        assert!(report.succeeded, "{}", report.step("cache-clean"));
        assert_eq!(report.step("cache-clean").stdout, "");
    }
    // And what it leaves is a cache.
    cluster.sandbox.tree("src").sample(1);
    cluster.sandbox.store("k", "src").expect(SUCCESS);
    assert!(cluster.sandbox.has_key("k"));
}

#[test]
fn a_cache_volume_that_is_missing_fails_the_store_and_not_the_restore() {
    let cluster = Cluster::new();
    fs::remove_dir(cluster.sandbox.cache()).unwrap();
    // `node_modules` is there already, so that the test does not depend on npm.
    let files = [("package-lock.json", "{}"), ("node_modules/x", "x")];
    let checkout = cluster.checkout("checkout", &files);
    let task = RUN_TESTS.replace("npm ci", "true");
    let root = cluster.sandbox.path("pod");
    let cache = cluster.sandbox.cache();
    let workspaces = [("git-sources", checkout.as_path()), ("cache", cache.as_path())];
    let run = TaskRun::new(&task, &root, &workspaces, &[]).expect("a task");
    let report = run.run(btdt_path()).expect("a task that makes sense");
    let restore = report.step("restore-cache");
    assert_eq!(restore.code, Some(1), "{restore}");
    assert!(restore.stderr.contains("Error: Could not access cache: "), "{restore}");
    assert_eq!(report.step("run-tests").code, Some(SUCCESS));
    assert_eq!(report.step("store-cache").code, Some(1));
    assert!(!report.succeeded);
}
