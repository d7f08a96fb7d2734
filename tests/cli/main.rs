//! End-to-end tests of the real `btdt` binary: processes, directories and exit codes, nothing else.
//!
//! `tests/README.md` says which layer tests what.

// A helper of a test that fails should stop that test where it stands, and say so.
#![allow(clippy::expect_used, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod administration;
mod beside_native;
mod contention;
mod crash;
mod damage;
mod delta;
mod faults;
mod faults_safety;
mod hashing;
mod ignore_rules;
mod keys;
mod messages;
mod mounts;
mod overlap;
mod property;
mod round_trip;
mod support;
mod tekton;
mod unit_strings;
mod unprivileged;
