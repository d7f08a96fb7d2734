//! Clock, randomness and messages: what a pure core cannot have by itself.

use crate::Timestamp;

/// How much a message matters to the person who runs the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Of interest when something is being investigated.
    Debug,
    /// Something is not as it should be, and the operation goes on.
    Warning,
    /// The core itself is about to fail.
    Error,
}

/// The ambient capabilities, injected so that tests can replay them.
pub trait Environment {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// 64 random bits, good enough for names that must not collide.
    fn random(&self) -> u64;

    /// Shows one line to the user or the log.
    fn log(&self, severity: Severity, message: &str);
}
