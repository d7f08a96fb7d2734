//! `cargo xtask bench`: btdt and its rivals on the same trees, as whole processes, in alternation.
//!
//! It is no test: it fails only when btdt restores something wrong or fails itself. How fast it
//! has to be is written in the rows, and the report says whether that was reached.

#[cfg(unix)]
mod check;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod load;
#[cfg(unix)]
mod machine;
#[cfg(unix)]
mod measure;
#[cfg(unix)]
mod numbers;
#[cfg(unix)]
mod options;
#[cfg(unix)]
mod plan;
#[cfg(unix)]
mod random;
#[cfg(unix)]
mod remote;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod rows;
#[cfg(unix)]
mod runner;
#[cfg(unix)]
mod scratch;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod tools;
#[cfg(unix)]
mod trees;

#[cfg(unix)]
pub(crate) use plan::run;

/// Memory and CPU of other processes are measured in ways that only Unix has.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub(crate) fn run(_arguments: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("the benchmark runs on Unix only")
}
