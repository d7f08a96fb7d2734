//! The binary `btdt-server`.

use btdt_server::Server;
use std::process::ExitCode;

#[allow(clippy::disallowed_methods, reason = "the only place that reads them")]
fn main() -> ExitCode {
    ExitCode::from(btdt_server::run(std::env::args_os(), std::env::vars_os(), &Server::default()))
}
