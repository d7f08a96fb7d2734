//! The operations of the core, natively, on real backends: whatever the tree, the cache and the
//! destination, a restore returns what was stored, or misses, or fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administration;
mod changing;
mod cleaning;
mod damage;
mod existing;
mod faults;
mod hostile;
mod modeless;
mod planner;
mod restoring;
mod support;
