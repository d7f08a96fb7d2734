//! The binary `btdt`.

use std::process::ExitCode;

fn main() -> ExitCode {
    btdt_cli::start(std::env::args_os())
}
