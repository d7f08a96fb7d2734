//! The binary `btdt-server`.

use btdt_server::Server;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(btdt_server::run(std::env::args_os(), std::env::vars_os(), &Server::default()))
}
