//! The command-line tool `btdt`: arguments in, the core asked, an exit code out.
//!
//! [`arguments`] is what users type, [`commands`] what is done about it, [`messages`] what they
//! read, and [`backend`] where the core runs. Only [`printer`] prints, and exit codes are decided in [`exit`] alone. Nothing about
//! caches is decided here.

pub mod arguments;
mod backend;
mod commands;
#[cfg(not(target_family = "wasm"))]
mod environment;
mod exit;
mod messages;
mod printer;
pub mod token;

pub use backend::{Core, CoreError, start};
pub use printer::Printer;

use arguments::{Arguments, Command};
use clap::Parser;
use exit::Exit;
use messages::Failure;
use std::ffi::OsString;

/// Runs the tool with these arguments, the first of which is its own name, and gives its exit
/// code. `load` supplies the core, once the arguments turn out to be valid.
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

/// Does what is asked. `load` is called only for what needs the core.
fn ask(
    command: Command,
    load: impl FnOnce() -> Result<Core, CoreError>,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let context = || {
        let core = load().map_err(|error| messages::unusable_core(&error))?;
        Ok(commands::Context { core, printer })
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
