//! The log of the server: standard error, which runtimes keep apart from answers.

use btdt_host_runtime::log_lines::{escape, warning};
use std::io::{self, Write};

/// Something that deserves attention.
pub(super) fn warn(message: &str) {
    line(&warning(message));
}

/// Why the server answers nothing.
pub(super) fn failure(message: &str) {
    line(&format!("Error: {}", escape(message)));
}

/// Why one request failed. Its id is what the client was told.
pub(super) fn failed_request(id: &str, what: &str, why: &str) {
    line(&format!("Error: request {id}: {what}: {}", escape(why)));
}

fn line(text: &str) {
    // There is no other place to say that messages cannot be written.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
