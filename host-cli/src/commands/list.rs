//! `btdt list`

use super::cache::open;
use super::context::{Context, outcome};
use super::show::{self, JsonEntry, Lines};
use crate::arguments::{Format, ListArguments};
use crate::backend::client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_host_runtime::clock;
use btdt_host_runtime::log_lines::escape;
use btdt_host_runtime::units::show_count;

pub(crate) fn run(arguments: &ListArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache)?;
    let attempt = || Attempt {
        what: format!("Could not list: {}", messages::cache_name(&arguments.cache.cache)),
        cache: &arguments.cache.cache,
    };
    let mut session = context.session().map_err(|stopped| attempt().stopped(&stopped))?;
    let mut request = client::ListRequest { prefix: arguments.prefix.clone(), after: None };
    let (mut entries, mut unusable) = (Vec::new(), 0);
    loop {
        let page = outcome(session.list(&request, &cache), attempt())?;
        entries.extend(page.entries);
        unusable += page.unusable;
        request.after = page.next;
        if request.after.is_none() {
            break;
        }
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    let mut lines = Lines::new(context.printer);
    match arguments.format {
        Format::Text => text(&entries, &mut lines)?,
        Format::Json => json(&entries, &mut lines)?,
    }
    lines.flush()?;
    if entries.is_empty() && arguments.format == Format::Text {
        context.printer.note("No entries.");
    }
    if unusable > 0 {
        let count = show_count(unusable, "record was", "records were");
        context.printer.warning(&format!("{count} passed over; btdt verify says which and why"));
    }
    Ok(Exit::Success)
}

fn text(entries: &[client::EntryInfo], lines: &mut Lines<'_>) -> Result<(), Failure> {
    let now = clock::now();
    let row = |entry: &client::EntryInfo| {
        let age = show::age(now, entry.last_access);
        [age, show::stored_size(entry), show_count(entry.files, "file", "files")]
    };
    let mut widths = [0; 3];
    for entry in entries {
        for (width, cell) in widths.iter_mut().zip(row(entry)) {
            *width = cell.len().max(*width);
        }
    }
    let [age_width, size_width, files_width] = widths;
    for entry in entries {
        let ([age, size, files], key) = (row(entry), escape(&entry.key));
        lines.line(&format!(
            "{age:>age_width$}  {size:>size_width$}  {files:>files_width$}  {key}"
        ))?;
    }
    Ok(())
}

fn json(entries: &[client::EntryInfo], lines: &mut Lines<'_>) -> Result<(), Failure> {
    if entries.is_empty() {
        return lines.line("[]");
    }
    lines.line("[")?;
    for (number, entry) in entries.iter().enumerate() {
        let separator = if number + 1 < entries.len() { "," } else { "" };
        lines.line(&format!("{}{separator}", show::json(&JsonEntry::new(entry))?))?;
    }
    lines.line("]")
}
