//! The operations of the core, natively, over real backends: what is stored comes back right, or
//! an error or a miss says so, whatever the tree, the cache and the destination are like.

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
