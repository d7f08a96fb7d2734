//! The binary `btdt`.

use btdt_cli::{Printer, run};
use btdt_host_runtime::engine::Core;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os(), Core::embedded, &Printer::standard()))
}
