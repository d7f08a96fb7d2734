//! `btdt restore`

use super::cache::{open, place_in};
use super::context::{Context, outcome};
use crate::arguments::RestoreArguments;
use crate::backend::{self, client};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_host_runtime::units::{show_count, show_size};

pub(crate) fn run(arguments: &RestoreArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache)?;
    let (destination, directory) = (&arguments.destination, &arguments.cache.cache);
    let overlap = place_in(destination, directory).or_else(|| place_in(directory, destination));
    if arguments.exact && overlap.is_some() {
        return Err(messages::cache_in_destination(&arguments.destination));
    }
    let request = client::RestoreRequest {
        keys: arguments.keys.clone(),
        prefixes: arguments.prefix.clone(),
        exact: arguments.exact,
        checksum: arguments.checksum,
    };
    let tree = backend::open_tree(arguments.destination.clone());
    let restored = context.session().and_then(|session| session.restore(&request, tree, cache));
    let attempt = Attempt {
        what: format!("Could not restore to: {}", arguments.destination.display()),
        cache: &arguments.cache.cache,
    };
    let Some(restored) = outcome(restored, attempt)? else {
        context.printer.note("Keys not found in cache.");
        return Ok(Exit::NotFound);
    };
    context.printer.result(&format!("Restored key {}", restored.key)).map_err(messages::output)?;
    if !arguments.output.quiet {
        context.printer.note(&describe(&restored));
    }
    if restored.primary || arguments.success_rc_on_any_key {
        Ok(Exit::Success)
    } else {
        Ok(Exit::OtherKey)
    }
}

fn describe(restored: &client::Restored) -> String {
    let files = show_count(restored.files, "file", "files");
    let size = show_size(restored.raw_size);
    let written = restored.summary.files_written;
    if written == 0 && restored.files > 0 {
        return format!("{files} ({size}) were in place already");
    }
    format!("{files} ({size}), {written} of them written")
}
