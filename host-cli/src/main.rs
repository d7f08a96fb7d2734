//! The binary `btdt`.

use std::process::ExitCode;

#[allow(clippy::disallowed_methods, reason = "the only place that reads them")]
fn main() -> ExitCode {
    btdt_cli::start(std::env::args_os())
}
