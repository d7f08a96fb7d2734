//! The binary `btdt-server`.

use btdt_server::Service;
use btdt_server::config::Loaded;
use btdt_server::tls::Tls;
use std::process::ExitCode;

/// Until the server proper takes its place.
struct Missing;

impl Service for Missing {
    fn check(&self, _: &Loaded) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, _: &Loaded, _: Option<Tls>) -> Result<(), String> {
        Err("This build has no server".to_owned())
    }
}

fn main() -> ExitCode {
    ExitCode::from(btdt_server::run(std::env::args_os(), std::env::vars_os(), &Missing))
}
