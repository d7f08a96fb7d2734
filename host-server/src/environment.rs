//! Clock, randomness and messages for the core.

use btdt_host_runtime::clock;
use btdt_host_runtime::random;
use btdt_ports::{Environment, Severity, Timestamp};

/// The environment of a server.
pub(crate) struct ServerEnvironment;

impl Environment for ServerEnvironment {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn random(&self) -> u64 {
        random::random()
    }

    /// What the core says contains keys and other words of clients, so it is a field of its own: as
    /// the message, it could look like other fields.
    fn log(&self, severity: Severity, message: &str) {
        match severity {
            Severity::Debug => tracing::debug!(said = message),
            Severity::Warning => tracing::warn!(said = message),
            Severity::Error => tracing::error!(said = message),
        }
    }
}
