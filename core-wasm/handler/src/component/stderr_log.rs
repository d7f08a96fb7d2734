//! The log of the server, on standard error.

use btdt_host_runtime::log_lines::{escape, warning};
use std::io::{self, Write};

/// Something that deserves attention.
pub(super) fn warn(message: &str) {
    line(&warning(message));
}

/// Why the server answers no request.
pub(super) fn failure(message: &str) {
    line(&format!("Error: {}", escape(message)));
}

/// Why one request failed. The client was told the same id.
pub(super) fn failed_request(id: &str, what: &str, why: &str) {
    line(&format!("Error: request {id}: {what}: {}", escape(why)));
}

fn line(text: &str) {
    // There is nowhere else to report that messages cannot be written.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
