//! What the commands print. Nothing else in the server prints, except the log.

use btdt_host_runtime::log_lines::{self, escape};
use std::io::{self, Write};

/// A line of a result, on standard output. A closed pipe is ignored.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", escape(text));
}

/// A warning, on standard error.
pub(crate) fn warning(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", log_lines::warning(text));
}

/// Why a command failed, on standard error. May have several lines.
pub(crate) fn failure(text: &str) {
    let lines: Vec<String> = text.lines().map(escape).collect();
    let _ = writeln!(io::stderr().lock(), "Error: {}", lines.join("\n"));
}

/// What the argument parser says: help and version are results, the rest are errors. Returns the
/// exit code.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    if error.use_stderr() {
        let _ = io::stderr().lock().write_all(text.as_bytes());
        2
    } else {
        let _ = io::stdout().lock().write_all(text.as_bytes());
        0
    }
}
