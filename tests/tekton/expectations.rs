//! Expected results of the tasks of both guides: the steps that restore, install and store, and
//! their output.

use super::runner::Report;
use super::{NOT_FOUND, SUCCESS};
use std::process::Command;

/// The tests below run a real `npm ci` and prove nothing without npm.
pub(crate) fn require_npm() {
    let version = Command::new("npm").arg("--version").output();
    assert!(
        version.is_ok_and(|output| output.status.success()),
        "these tests run a real `npm ci`: install Node.js with npm, then run them again"
    );
}

#[track_caller]
pub(crate) fn missed_installed_and_stored(report: &Report) {
    let restore = report.step("restore-cache");
    assert_eq!(restore.code, Some(NOT_FOUND), "{restore}");
    assert!(restore.stdout.starts_with("Cache key: node-modules-"), "{restore}");
    assert!(restore.stderr.contains("Keys not found in cache."), "{restore}");
    assert_installed(report);
    let store = report.step("store-cache");
    assert_eq!(store.code, Some(SUCCESS), "{store}");
    assert!(!store.stdout.contains("skipping"), "{store}");
    assert!(report.succeeded);
}

#[track_caller]
pub(crate) fn assert_installed(report: &Report) {
    let tests = report.step("run-tests");
    assert_eq!(tests.code, Some(SUCCESS), "npm ci failed:\n{tests}");
    assert!(!tests.stdout.contains("skipping"), "{tests}");
    assert!(tests.stdout.contains("added "), "{tests}");
}

#[track_caller]
pub(crate) fn hit_and_skipped_both(report: &Report) {
    let restore = report.step("restore-cache");
    assert_eq!(restore.code, Some(SUCCESS), "{restore}");
    let key = restore.stdout.lines().next().unwrap_or_default();
    let key = key.strip_prefix("Cache key: ").expect("the key");
    assert!(restore.stdout.ends_with(&format!("Restored key {key}\n")), "{restore}");
    let tests = report.step("run-tests");
    assert_eq!(tests.stdout, "Cache restore succeeded, skipping npm ci\n");
    let store = report.step("store-cache");
    assert_eq!(store.stdout, "Cache restore succeeded, skipping cache store\n");
    assert!(report.succeeded);
}
