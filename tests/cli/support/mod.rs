//! What every test needs: a sandbox, the binary, trees to compare, and a look at a cache from outside.

pub(crate) mod binary;
pub(crate) mod build;
pub(crate) mod cache_view;
pub(crate) mod process;
pub(crate) mod rng;
pub(crate) mod runtime;
pub(crate) mod sandbox;
pub(crate) mod tree;
pub(crate) mod vandal;

pub(crate) use build::TreeBuilder;
pub(crate) use cache_view::{CacheView, Kind};
pub(crate) use process::{Outcome, Running};
pub(crate) use rng::Rng;
pub(crate) use runtime::runtime;
pub(crate) use sandbox::Sandbox;
pub(crate) use tree::{Tree, assert_same, same_content};

/// Exit code: the primary key was restored, or the command succeeded.
pub(crate) const SUCCESS: i32 = 0;
/// Exit code: something went wrong, and the message says what.
pub(crate) const ERROR: i32 = 1;
/// Exit code: the command line makes no sense.
pub(crate) const USAGE: i32 = 2;
/// Exit code: restored, but not from the primary key.
pub(crate) const OTHER_KEY: i32 = 3;
/// Exit code: no key has an entry.
pub(crate) const NOT_FOUND: i32 = 4;

/// A number from the environment, for the tests whose length can be chosen.
pub(crate) fn number_from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a whole number")),
        Err(_) => default,
    }
}
