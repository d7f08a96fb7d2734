//! `btdt hash`

use super::context::{Context, outcome};
use crate::arguments::{HashArguments, HashFunction};
use crate::backend;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_ports::Algorithm;
use std::path::Path;

pub(crate) fn run(arguments: &HashArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let algorithm = match arguments.algorithm {
        HashFunction::Sha256 => Algorithm::Sha256,
        HashFunction::Blake3 => Algorithm::Blake3,
    };
    let trees = arguments.paths.iter().cloned().map(backend::open_tree).collect();
    let hashed = context.session().and_then(|session| session.hash(trees, algorithm));
    let opening = |index: usize| {
        let path = arguments.paths.get(index).map_or(Path::new(""), |path| path);
        Attempt { what: format!("Could not open: {}", path.display()), cache: Path::new("") }
    };
    let digest = match hashed {
        Ok(Err(failure)) => outcome(Ok(Err(failure.error)), opening(failure.index as usize))?,
        Ok(Ok(digest)) => digest,
        Err(stopped) => outcome(Err(stopped), opening(0))?,
    };
    context.printer.result(&digest.to_hex()).map_err(messages::output)?;
    Ok(Exit::Success)
}
