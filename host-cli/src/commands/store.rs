//! `btdt store`

use super::{Context, open, outcome};
use crate::arguments::StoreArguments;
use crate::exit::Exit;
use crate::messages::{Attempt, Failure};
use crate::units::{show_count, show_size};
use btdt_host_runtime::engine::client;
use btdt_host_runtime::tree::filesystem::FilesystemTree;

pub(crate) fn run(arguments: &StoreArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache.cache)?;
    let request = client::StoreRequest {
        keys: arguments.keys.clone(),
        excludes: arguments.exclude.clone(),
        labels: Vec::new(),
        tool: format!("btdt {}", env!("CARGO_PKG_VERSION")),
    };
    let tree = FilesystemTree::new(arguments.source.clone());
    let stored = context.session().and_then(|session| session.store(&request, tree, cache));
    let attempt = Attempt {
        what: format!("Could not cache: {}", arguments.source.display()),
        cache: &arguments.cache.cache,
    };
    let summary = outcome(stored, attempt)?;
    if !arguments.output.quiet {
        context.printer.note(&describe(&summary));
    }
    Ok(Exit::Success)
}

fn describe(summary: &client::StoreSummary) -> String {
    format!(
        "Stored {} ({}) under {}: {} of {} new, {} added to the cache",
        show_count(summary.files, "file", "files"),
        show_size(summary.raw_size),
        show_count(summary.keys, "key", "keys"),
        summary.new_chunks,
        show_count(summary.chunks, "chunk", "chunks"),
        show_size(summary.new_stored_size),
    )
}
