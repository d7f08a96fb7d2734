//! Clock, randomness and messages, which a pure core cannot have by itself.

pub use crate::wit::types::Severity;

use crate::Timestamp;

/// The ambient capabilities, injected so that tests can replay them.
pub trait Environment {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// 64 random bits, for names that must not collide.
    fn random(&self) -> u64;

    /// Shows one line to the user or the log.
    fn log(&self, severity: Severity, message: &str);
}
