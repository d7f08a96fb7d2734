//! `btdt store`

use super::cache::{open, place_in};
use super::context::{Context, outcome};
use crate::arguments::StoreArguments;
use crate::backend::{self, client};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_host_runtime::units::{show_count, show_size};
use std::path::Path;

pub(crate) fn run(arguments: &StoreArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache)?;
    let mut excludes = arguments.exclude.clone();
    if let Some(place) = place_in(&arguments.source, &arguments.cache.cache) {
        if place.as_os_str().is_empty() {
            return Err(messages::cache_in_itself(&arguments.source));
        }
        // First, so that the user can override it.
        excludes.insert(0, pattern_of(&place));
    }
    let request = client::StoreRequest {
        keys: arguments.keys.clone(),
        excludes,
        labels: Vec::new(),
        tool: format!("btdt {}", env!("CARGO_PKG_VERSION")),
    };
    let tree = backend::open_tree(arguments.source.clone());
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

/// A pattern in gitignore syntax that matches only this directory. A cache stored in itself would
/// grow while it is read, and without bound from run to run.
fn pattern_of(place: &Path) -> String {
    let mut pattern = String::from("/");
    for character in place.to_string_lossy().chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '!' | '#' | '\\' | ' ') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('/');
    pattern
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
