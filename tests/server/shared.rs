//! What the suite of the command-line tool has for everybody: processes that are waited for, and
//! trees that are made and compared.

#![allow(dead_code, reason = "each suite needs another part of it")]

#[path = "../cli/support/build.rs"]
mod build;
#[path = "../cli/support/process.rs"]
mod process;
#[path = "../cli/support/rng.rs"]
mod rng;
#[path = "../cli/support/runtime.rs"]
mod runtime;
#[path = "../cli/support/tree.rs"]
mod tree;

pub(crate) use build::TreeBuilder;
pub(crate) use process::{Outcome, Running, clean_command};
use rng::Rng;
pub(crate) use tree::{Node, Tree, assert_same};

use crate::support::{Setup, btdt_path};

/// Exit code: the primary key was restored, or the command succeeded.
pub(crate) const SUCCESS: i32 = 0;
/// Exit code: something went wrong, and the message says what.
pub(crate) const ERROR: i32 = 1;
/// Exit code: restored, but not from the primary key.
pub(crate) const OTHER_KEY: i32 = 3;
/// Exit code: no key has an entry.
pub(crate) const NOT_FOUND: i32 = 4;

/// Runs the command-line tool in the directory of a setup.
#[track_caller]
pub(crate) fn btdt(setup: &Setup, arguments: &[&str]) -> Outcome {
    let mut command = clean_command(&btdt_path(), &setup.path(""));
    command.args(arguments);
    Running::start(command).finish()
}
