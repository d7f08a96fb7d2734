//! `btdt inspect`

use super::cache::open;
use super::context::{Context, outcome};
use super::show::{self, JsonEntry, Lines};
use crate::arguments::{Format, InspectArguments};
use crate::backend::{CoreError, Inspection, client};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::Attempt;
use btdt_host_runtime::log_lines::escape;
use btdt_host_runtime::units::{show_count, show_size};
use btdt_ports::time::rfc_3339;
use serde::Serialize;

/// Paths per request.
const BATCH: u32 = 10_000;

#[derive(Serialize)]
struct JsonTotals {
    files: u64,
    directories: u64,
    symlinks: u64,
    hard_links: u64,
    raw_size: u64,
    chunks: u64,
    chunks_size: u64,
    missing_chunks: u64,
}

#[derive(Serialize)]
struct JsonNode<'node> {
    path: std::borrow::Cow<'node, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    kind: &'static str,
    mode: Option<String>,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<std::borrow::Cow<'node, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_bytes: Option<String>,
}

pub(crate) fn run(arguments: &InspectArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache)?;
    let attempt = || Attempt {
        what: format!("Could not inspect: {}", arguments.key),
        cache: &arguments.cache.cache,
    };
    let stopped = |stopped: CoreError| attempt().stopped(&stopped);
    let found = context.session().and_then(|session| session.inspect(&arguments.key, cache));
    let Some(mut inspection) = outcome(found, attempt())? else {
        context.printer.note("Key not found in cache.");
        return Ok(Exit::NotFound);
    };
    let entry = inspection.entry().map_err(stopped)?;
    let totals = inspection.totals().map_err(stopped)?;
    let mut lines = Lines::new(context.printer);
    match arguments.format {
        Format::Text => {
            text(&entry, totals, &mut lines)?;
            if arguments.files {
                lines.line("")?;
                each_node(&mut inspection, &stopped, |node| lines.line(&listed(node)))?;
            }
        }
        Format::Json => {
            json(&entry, totals, &mut lines)?;
            if arguments.files {
                lines.line(",\"tree\":[")?;
                let mut separator = "";
                each_node(&mut inspection, &stopped, |node| {
                    let line = format!("{separator}{}", show::json(&json_node(node))?);
                    separator = ",";
                    lines.line(&line)
                })?;
                lines.line("]")?;
            }
            lines.line("}")?;
        }
    }
    lines.flush()?;
    let intact = totals.is_some_and(|totals| totals.missing_chunks == 0);
    Ok(if intact { Exit::Success } else { Exit::Error })
}

fn each_node(
    inspection: &mut Inspection,
    stopped: &impl Fn(CoreError) -> Failure,
    mut show: impl FnMut(&client::TreeNode) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut first = 0_u32;
    loop {
        let nodes = inspection.nodes(first, BATCH).map_err(stopped)?;
        nodes.iter().try_for_each(&mut show)?;
        if nodes.len() < BATCH as usize {
            return Ok(());
        }
        first = first.saturating_add(BATCH);
    }
}

fn text(
    entry: &client::EntryInfo,
    totals: Option<client::TreeTotals>,
    lines: &mut Lines<'_>,
) -> Result<(), Failure> {
    lines.line(&format!("Key:        {}", escape(&entry.key)))?;
    lines.line(&format!("Manifest:   {}", entry.manifest))?;
    lines.line(&format!("Stored:     {}", rfc_3339(entry.created)))?;
    lines.line(&format!("Last used:  {}", rfc_3339(entry.last_access)))?;
    lines.line(&format!("Tool:       {}", escape(&entry.tool)))?;
    for (name, value) in &entry.labels {
        lines.line(&format!("Label:      {}={}", escape(name), escape(value)))?;
    }
    let files = show_count(entry.files, "file", "files");
    lines.line(&format!("Files:      {files}, {}", show_size(entry.raw_size)))?;
    let Some(totals) = totals else {
        return lines.line("Tree:       cannot be read");
    };
    lines.line(&format!(
        "Tree:       {}, {}, {}, {}",
        show_count(totals.directories, "directory", "directories"),
        show_count(totals.files, "file", "files"),
        show_count(totals.symlinks, "symbolic link", "symbolic links"),
        show_count(totals.hard_links, "hard link", "hard links"),
    ))?;
    let mut chunks = show_count(totals.chunks, "chunk", "chunks");
    chunks.push_str(&format!(
        ", {}; stored {}",
        show_size(totals.chunks_size),
        show::stored_size(entry)
    ));
    if totals.missing_chunks > 0 {
        chunks.push_str(&format!("; {} MISSING", totals.missing_chunks));
    }
    lines.line(&format!("Chunks:     {chunks}"))
}

/// A line about a node, like those of `tar tv`.
fn listed(node: &client::TreeNode) -> String {
    use client::NodeContent::{Directory, File, HardLink, Symlink};
    let (kind, size, link) = match &node.content {
        Directory => ('d', 0, String::new()),
        File(size) => ('-', *size, String::new()),
        Symlink(target) => ('l', 0, format!(" -> {}", show::path(target))),
        HardLink(file) => ('h', 0, format!(" link to {}", show::path(file))),
    };
    let mode = match (node.mode, kind) {
        (_, 'l') => "rwxrwxrwx".to_owned(),
        (None, _) => "?????????".to_owned(),
        (Some(mode), _) => (0..9)
            .map(|bit| if mode >> (8 - bit) & 1 == 1 { ['r', 'w', 'x'][bit % 3] } else { '-' })
            .collect(),
    };
    let path = if node.path.is_empty() { ".".to_owned() } else { show::path(&node.path) };
    format!("{kind}{mode} {size:>12} {} {path}{link}", rfc_3339(node.modified))
}

/// The beginning of the JSON object.
fn json(
    entry: &client::EntryInfo,
    totals: Option<client::TreeTotals>,
    lines: &mut Lines<'_>,
) -> Result<(), Failure> {
    let totals = totals.map(|totals| JsonTotals {
        files: totals.files,
        directories: totals.directories,
        symlinks: totals.symlinks,
        hard_links: totals.hard_links,
        raw_size: totals.raw_size,
        chunks: totals.chunks,
        chunks_size: totals.chunks_size,
        missing_chunks: totals.missing_chunks,
    });
    lines.line(&format!("{{\"entry\":{}", show::json(&JsonEntry::new(entry))?))?;
    lines.line(&format!(",\"totals\":{}", show::json(&totals)?))
}

fn json_node(node: &client::TreeNode) -> JsonNode<'_> {
    use client::NodeContent::{Directory, File, HardLink, Symlink};
    let (kind, size, target) = match &node.content {
        Directory => ("directory", None, None),
        File(size) => ("file", Some(*size), None),
        Symlink(target) => ("symlink", None, Some(target)),
        HardLink(file) => ("hard_link", None, Some(file)),
    };
    let (path, path_bytes) = show::json_path(&node.path);
    let (target, target_bytes) = match target {
        None => (None, None),
        Some(target) => {
            let (target, bytes) = show::json_path(target);
            (Some(target), bytes)
        }
    };
    let mode = node.mode.map(|mode| format!("{mode:04o}"));
    let modified = rfc_3339(node.modified);
    JsonNode { path, path_bytes, kind, mode, modified, size, target, target_bytes }
}
