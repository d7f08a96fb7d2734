//! `cargo xtask bench`: btdt and its rivals on the same trees, as whole processes, in alternation.
//!
//! This is not a test: it fails only when btdt fails or restores something wrong. The rows say how
//! fast btdt has to be, and the report says whether it was. `hyperfine`, `wrk` and `curl` do the timing;
//! what they run, in which order and on which trees is decided here.

mod compare_trees;
mod contestants;
mod directories;
mod figures;
mod generated_trees;
mod installed_contestants;
mod measure_command;
mod node_modules;
mod options;
mod report;
mod row_table;
mod runner;
mod sample;
mod scratch;
mod server_load;

pub(crate) use options::Options;

use crate::process;
use crate::workspace::Workspace;
use anyhow::Result;
use report::Report;
use row_table::{Group, ROWS, Row};
use scratch::Scratch;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Memory that looks like a disk, so that no disk is measured.
const MEMORY_DIRECTORY: &str = "/dev/shm";

/// Prints the machine and the date, a line each.
const DESCRIBE_MACHINE: &str = r#"
model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
echo "${model:-unknown processor}, $(nproc) cores, $memory GiB of memory"
echo "$(uname -sr), trees and caches on $(stat -f -c %T "$1")"
date '+measured on %Y-%m-%d'
"#;

/// Measures what the arguments ask for.
///
/// # Errors
/// When a tool is missing, a tree can't be made, or btdt fails or restores something wrong.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let (entrants, mut missing) = installed_contestants::find(workspace, options)?;
    if options.list {
        list(options, &installed_contestants::versions(&entrants), &missing);
        return Ok(());
    }
    measure_command::require_tools()?;
    let mut rows: Vec<&Row> = ROWS.iter().filter(|row| options.wants(row)).collect();
    for program in ["wrk", "curl"] {
        let needs_it = |row: &&Row| row.needs() == Some(program);
        if process::find_program(program).is_none() && rows.iter().any(needs_it) {
            missing.push(format!("server load: {program} is not installed"));
            rows.retain(|row| !needs_it(row));
        }
    }

    let mut outcomes = Vec::new();
    let mut trees = Vec::new();
    for of_group in rows.chunk_by(|a, b| a.group == b.group) {
        let group = of_group[0].group;
        let scratch = Scratch::new(&places(workspace, options, group), group.space())?;
        let runner = runner::Runner { workspace, scratch: &scratch, runs: options.runs() };
        for tree in runner.make_trees(group)? {
            if !trees.contains(&tree) {
                trees.push(tree);
            }
        }
        outcomes.extend(runner.run(of_group, entrants.iter().collect())?);
    }
    let mut describe = Command::new("sh");
    describe.args(["-c", DESCRIBE_MACHINE, "sh"]);
    describe.arg(options.dir.as_deref().unwrap_or(Path::new(MEMORY_DIRECTORY)));
    let report = Report {
        outcomes: &outcomes,
        missing,
        machine: process::capture(&mut describe)?.lines().map(str::to_owned).collect(),
        versions: installed_contestants::versions(&entrants),
        trees,
        runs: options.runs(),
    };
    let text = report.text();
    println!("\n{text}");
    if options.writes() {
        let page = workspace.root().join("docs/performance.md");
        report::write(&page, &text)?;
        println!("Written into {}", page.display());
    }
    Ok(())
}

fn list(options: &Options, versions: &[String], missing: &[String]) {
    println!("Rows:");
    for row in ROWS {
        let mark = if options.wants(row) { "*" } else { " " };
        println!("{mark} {:<22} {}", row.name, row.title);
    }
    println!("\nRivals:");
    for line in versions.iter().chain(missing) {
        println!("  {line}");
    }
}

/// Where a group is measured: what only asks about memory goes to the disk if it has to.
fn places(workspace: &Workspace, options: &Options, group: Group) -> Vec<PathBuf> {
    let memory = PathBuf::from(MEMORY_DIRECTORY);
    let on_disk = workspace.target_dir().join("bench/run");
    match &options.dir {
        Some(directory) => vec![directory.clone()],
        None if group.is_for_memory() => vec![memory, on_disk],
        None => vec![memory],
    }
}
