//! `btdt clean`

use super::cache::open;
use super::context::{Context, outcome};
use crate::arguments::CleanArguments;
use crate::backend::client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_host_runtime::units::{show_count, show_size};

pub(crate) fn run(arguments: &CleanArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache)?;
    let request = client::CleanRequest {
        max_age: arguments.max_age,
        max_size: arguments.max_size,
        grace_period: arguments.grace_period,
    };
    let cleaned = context.session().and_then(|session| session.clean(request, cache));
    let attempt = Attempt {
        what: format!("Could not clean: {}", messages::cache_name(&arguments.cache.cache)),
        cache: &arguments.cache.cache,
    };
    let summary = outcome(cleaned, attempt)?;
    if !arguments.output.quiet {
        context.printer.note(&describe(&summary));
    }
    Ok(Exit::Success)
}

fn describe(summary: &client::CleanSummary) -> String {
    let removed = show_count(summary.removed + summary.damaged, "entry", "entries");
    let mut text =
        format!("Removed {removed}, kept {} ({})", summary.kept, show_size(summary.kept_bytes));
    if let Some(swept) = summary.swept {
        text.push_str(&format!(
            "; deleted {} of unused data, set {} aside",
            show_size(swept.deleted_bytes + summary.leftovers.bytes),
            show_size(swept.set_aside_bytes)
        ));
    }
    text
}
