//! Clock, randomness and messages.

use super::Adapter;
use super::wit::environment;
use btdt_host_runtime::{clock, log_lines, random};
use btdt_ports::{Severity, Timestamp};
use std::io::{self, Write};

impl environment::Guest for Adapter {
    fn now() -> Timestamp {
        clock::now()
    }

    fn random() -> u64 {
        random::random()
    }

    fn log(severity: Severity, message: String) {
        log(severity, &message);
    }
}

/// Writes a message to standard error, as the native command line does.
pub(super) fn log(severity: Severity, message: &str) {
    if let Some(line) = log_lines::line(severity, message) {
        // There is no other place to say that messages cannot be written.
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}
