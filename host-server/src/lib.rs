//! `btdt-server`: configuration in, caches served over HTTP.
//!
//! - [`arguments`] is what users type, [`config`] what they configure, [`logging`] what they read
//!   while the server runs.
//! - [`server`] loads everything and shuts it down. [`service`] is what all requests share, and
//!   [`admission`] says how much of it each of them may use, and in which order.
//! - [`http_server`] answers requests, [`tls`] encrypts connections.
//! - [`caches`] opens the caches, [`quota`] and [`quota_objects`] bound their size, [`cleanup`]
//!   cleans them.
//! - [`reload`] takes over changed certificates and revocations, by [`reloadable`] values, and
//!   complains with a [`log_throttle`]. [`metrics`] counts.
//!
//! Nothing about caches is decided here: that is for the core.

mod admission;
pub mod arguments;
mod caches;
mod cleanup;
pub mod config;
mod environment;
pub mod health_check;
mod http_server;
mod log_throttle;
pub mod logging;
mod metrics;
mod printer;
mod quota;
mod quota_objects;
mod reload;
pub mod reloadable;
mod server;
mod service;
pub mod tls;

pub use server::Server;

use arguments::{Arguments, Command, HealthCheckArguments, StartArguments};
use clap::Parser;
use config::{Loaded, Sources, SystemFiles};
use std::ffi::OsString;
use std::path::PathBuf;
use tls::Tls;

/// The variable that lists files of certificates to trust, separated by commas.
const TRUSTED_ROOTS: &str = "BTDT_TRUSTED_ROOT_CERTS";

/// Runs the command that these arguments ask for, the first of which is the program's own name.
/// Returns the exit code.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    server: &Server,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return printer::usage(&error),
    };
    let sources = Sources::new(variables);
    let done = match arguments.command {
        None => start(&arguments.start, &sources, server),
        Some(Command::Start(start_arguments)) => start(&start_arguments, &sources, server),
        Some(Command::CheckConfig) => check_config(&sources, server),
        Some(Command::HealthCheck(arguments)) => check_health(arguments, &sources),
    };
    match done {
        Ok(()) => 0,
        Err(message) => {
            printer::failure(&message);
            1
        }
    }
}

/// Configuration and TLS.
fn load(sources: &Sources) -> Result<(Loaded, Option<Tls>), String> {
    let loaded = config::load(sources, &SystemFiles)
        .map_err(|error| format!("The configuration cannot be used.\n{error}"))?;
    let tls = loaded.config.tls.as_ref().map(Tls::load).transpose();
    let tls = tls.map_err(|error| format!("TLS cannot be used: {error}"))?;
    Ok((loaded, tls))
}

fn start(arguments: &StartArguments, sources: &Sources, server: &Server) -> Result<(), String> {
    let (mut loaded, tls) = load(sources)?;
    if let Some(format) = arguments.log_format {
        loaded.config.log.format = format;
    }
    logging::init(&loaded.config.log).map_err(|error| error.to_string())?;
    config::create_cache_directories(&loaded.config)?;
    server.start(&loaded, tls)
}

fn check_config(sources: &Sources, server: &Server) -> Result<(), String> {
    let (loaded, _) = load(sources)?;
    server.check(&loaded)?;
    for line in config::summary(&loaded) {
        printer::line(&line);
    }
    for warning in &loaded.warnings {
        printer::warning(warning);
    }
    printer::line("The configuration is valid.");
    Ok(())
}

fn check_health(arguments: HealthCheckArguments, sources: &Sources) -> Result<(), String> {
    let mut roots = arguments.root_cert;
    if roots.is_empty() {
        let variable = sources.variables.iter().find(|(name, _)| name == TRUSTED_ROOTS);
        let value = variable.map(|(_, value)| value.to_string_lossy().into_owned());
        roots = value.iter().flat_map(|value| value.split(',')).map(PathBuf::from).collect();
    }
    roots.retain(|root| !root.as_os_str().is_empty());
    health_check::run(&arguments.url, &roots).map_err(|error| error.to_string())?;
    printer::line("Server is healthy.");
    Ok(())
}
