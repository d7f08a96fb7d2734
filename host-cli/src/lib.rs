//! The command-line tool `btdt`: parses arguments, calls the core and returns an exit code.
//!
//! [`arguments`] parses, [`commands`] runs the operations, [`messages`] words the errors, and
//! [`backend`] reaches the core. Only [`printer`] prints, and exit codes are decided in [`exit`]
//! alone. Nothing about caches is decided here.

pub mod arguments;
mod backend;
mod commands;
#[cfg(not(target_family = "wasm"))]
mod environment;
mod exit;
mod failure;
mod messages;
mod printer;
pub mod token_arguments;

pub use backend::{Core, CoreError};
pub use printer::Printer;

use arguments::{Arguments, Command};
use clap::Parser;
use exit::Exit;
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the tool as the whole process. The first argument is the name of the program.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    backend::enter();
    backend::end(run(arguments, Core::embedded, &Printer::standard()))
}

/// Runs the tool and returns its exit code. The first argument is the name of the program. `load`
/// supplies the core once the arguments are known to be valid.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    load: impl FnOnce() -> Result<Core, CoreError>,
    printer: &Printer,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return printer.usage(&error).code(),
    };
    match ask(arguments.command, load, printer) {
        Ok(exit) => exit.code(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.code()
        }
    }
}

/// Runs a command. `load` is called only if the command needs the core.
fn ask(
    command: Command,
    load: impl FnOnce() -> Result<Core, CoreError>,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let context = || {
        let core = load().map_err(|error| messages::unusable_core(&error))?;
        Ok(commands::context::Context { core, printer })
    };
    match command {
        Command::Clean(arguments) => commands::clean::run(&arguments, context()?),
        Command::Delete(arguments) => commands::delete::run(&arguments, context()?),
        Command::Hash(arguments) => commands::hash::run(&arguments, context()?),
        Command::Inspect(arguments) => commands::inspect::run(&arguments, context()?),
        Command::List(arguments) => commands::list::run(&arguments, context()?),
        Command::Restore(arguments) => commands::restore::run(&arguments, context()?),
        Command::Store(arguments) => commands::store::run(&arguments, context()?),
        Command::Token(arguments) => commands::token::run(&arguments, printer),
        Command::Verify(arguments) => commands::verify::run(&arguments, context()?),
    }
}
