//! What users type. The texts here are the help.

use crate::config::LogFormat;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Caches directories of CI runs for many machines, over HTTP
///
/// The configuration is the TOML file that the variable BTDT_SERVER_CONFIG_FILE names, else
/// /etc/btdt-server/config.toml, else /config.toml. Variables replace its values:
/// BTDT_BIND_ADDRS, BTDT_CLEANUP__INTERVAL, and so on, with "__" between section and key.
#[derive(Debug, Parser)]
#[command(name = "btdt-server", version, verbatim_doc_comment, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do; `start` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    /// For `start` if nothing is said.
    pub start: StartArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "a comment here would take the place of the help of the arguments")]
pub enum Command {
    Start(StartArguments),
    /// Load and check all that `start` would, say what was found, and exit
    ///
    /// Exits with 0 if the server would start, with 1 and the reasons if not.
    CheckConfig,
    HealthCheck(HealthCheckArguments),
}

/// Start the server; this is what happens without a command
#[derive(Args, Clone, Debug, Default)]
pub struct StartArguments {
    /// Form of the log; outranks the configuration
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Ask a server whether it is healthy
///
/// Asks for /api/health at the address given. Exits with 0 if the answer is a success, with 1 if
/// there is none within 10 seconds or it is another.
#[derive(Args, Clone, Debug)]
pub struct HealthCheckArguments {
    /// Address of the server, for example http://localhost:8707
    #[arg(value_name = "URL")]
    pub url: String,

    /// Certificates to trust, in PEM form, instead of those of the system
    ///
    /// Can be given several times, or separated by commas, or in the variable
    /// BTDT_TRUSTED_ROOT_CERTS.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pub root_cert: Vec<PathBuf>,
}
