//! `btdt-server`: configuration in, caches served over HTTP.
//!
//! [`arguments`] is what users type, [`config`] what they configure, [`tls`] what connections are
//! encrypted with, [`logging`] what they read while it runs. [`server`] loads it all and ends it in
//! good order, [`service`] answers requests, [`cleanup`] cleans, [`room`] and [`metered`] keep to the
//! quotas, [`metrics`] counts. Nothing about caches is decided here.

pub mod arguments;
mod caches;
mod cleanup;
mod complaints;
pub mod config;
mod environment;
pub mod health_check;
pub mod logging;
mod metered;
mod metrics;
mod printer;
mod room;
mod server;
mod service;
pub mod tls;
pub mod watched;

pub use server::Server;

use arguments::{Arguments, Command, HealthCheckArguments, StartArguments};
use clap::Parser;
use config::{Loaded, Sources, SystemFiles};
use std::ffi::OsString;
use std::path::PathBuf;
use tls::Tls;

/// The variable with files of certificates to trust, separated by commas.
const TRUSTED_ROOTS: &str = "BTDT_TRUSTED_ROOT_CERTS";

/// What the commands need of the server proper.
pub trait Service {
    /// Loads what [`start`](Service::start) would beyond configuration and TLS, such as keys, and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// Why the server would not start.
    fn check(&self, loaded: &Loaded) -> Result<(), String>;

    /// Runs the server until it is told to stop. The log is set up; warnings are not logged yet.
    ///
    /// # Errors
    /// Why the server did not start, or had to stop.
    fn start(&self, loaded: &Loaded, tls: Option<Tls>) -> Result<(), String>;
}

/// Runs the command that these arguments ask for, the first of which is the program's own name,
/// and gives the exit code.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    service: &impl Service,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return printer::usage(&error),
    };
    let sources = Sources::new(variables);
    let done = match arguments.command {
        None => start(&arguments.start, &sources, service),
        Some(Command::Start(start_arguments)) => start(&start_arguments, &sources, service),
        Some(Command::CheckConfig) => check_config(&sources, service),
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

fn start(
    arguments: &StartArguments,
    sources: &Sources,
    service: &impl Service,
) -> Result<(), String> {
    let (mut loaded, tls) = load(sources)?;
    if let Some(format) = arguments.log_format {
        loaded.config.log.format = format;
    }
    logging::init(&loaded.config.log).map_err(|error| error.to_string())?;
    config::create_cache_directories(&loaded.config)?;
    service.start(&loaded, tls)
}

fn check_config(sources: &Sources, service: &impl Service) -> Result<(), String> {
    let (loaded, _) = load(sources)?;
    service.check(&loaded)?;
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
