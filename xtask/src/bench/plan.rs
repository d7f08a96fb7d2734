//! The course of a benchmark: find the rivals, make the trees, measure the rows, report.

use super::files;
use super::machine;
use super::measure;
use super::numbers;
use super::options::{HELP, Options};
use super::remote::RemoteRunner;
use super::report::{self, Report};
use super::rows::{self, Group, Row};
use super::runner::{self, NodeRunner, Outcome, Runner};
use super::scratch::Scratch;
use super::tools::{Tool, Toolbox};
use super::trees::{self, NodeTrees};
use crate::build;
use crate::readable;
use crate::wasi_runtime;
use crate::workspace::{Profile, Workspace};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Memory that looks like a disk, so that no disk is measured.
const MEMORY_DIRECTORY: &str = "/dev/shm";

/// Measures what the arguments ask for.
///
/// # Errors
/// When the arguments make no sense, a tree can't be made, or btdt fails or restores wrong.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some((first, rest)) = arguments.split_first()
        && first == measure::SERVE
    {
        return measure::serve(rest);
    }
    let options = Options::parse(arguments)?;
    if options.help {
        print!("{HELP}");
        return Ok(());
    }
    let workspace = Workspace::locate()?;
    let mut tools = Toolbox::find(&workspace, !options.list, |tool| options.wants_tool(tool));
    if options.list {
        show(&options, &tools);
        return Ok(());
    }
    if !options.without_btdt {
        tools.add_ours(match &options.programs {
            Some(directory) => directory.canonicalize()?.join("btdt"),
            None => build::build(&workspace, Profile::Release, None)?,
        });
    }
    if options.wants_tool(Tool::Wasi) {
        tools.add_wasi(match &options.programs {
            Some(directory) => directory.canonicalize()?.join(Tool::Wasi.name()),
            None => wasi_runtime::wasmtime(&workspace, Profile::Release)?.into_path(),
        });
    }
    let bench = Bench { workspace: &workspace, options: &options, tools: &tools };
    bench.run()
}

fn show(options: &Options, tools: &Toolbox) {
    println!("Rows:");
    for row in rows::ALL {
        let mark = if options.wants(row) { "*" } else { " " };
        println!("{mark} {:<22} {}", row.name, row.title);
    }
    println!("\nRivals:");
    for line in tools.versions() {
        println!("  {line}");
    }
    for (tool, reason) in &tools.missing {
        println!("  {}: missing, {reason}", tool.title());
    }
}

struct Bench<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    tools: &'a Toolbox,
}

impl Bench<'_> {
    fn run(&self) -> Result<()> {
        let mut outcomes = Vec::new();
        let mut trees = Vec::new();
        for group in self.groups() {
            let wanted = |row: &&Row| row.group == group && self.options.wants(row);
            let rows: Vec<&'static Row> = rows::ALL.iter().filter(wanted).collect();
            outcomes.extend(self.group(group, &rows, &mut trees)?);
        }
        let report = Report {
            outcomes: &outcomes,
            missing: &self.tools.missing,
            machine: machine::describe(&self.directory()),
            versions: self.tools.versions(),
            trees,
            runs: self.options.runs,
        };
        let text = report.text();
        println!("\n{text}");
        if self.options.writes() {
            let page = self.workspace.root().join("docs/performance.md");
            report::write(&page, &text)?;
            println!("Written into {}", page.display());
        }
        Ok(())
    }

    /// The groups that have wanted rows, in the order of the table.
    fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        for row in rows::ALL.iter().filter(|row| self.options.wants(row)) {
            if !groups.contains(&row.group) {
                groups.push(row.group);
            }
        }
        groups
    }

    fn group(
        &self,
        group: Group,
        rows: &[&'static Row],
        trees: &mut Vec<String>,
    ) -> Result<Vec<Outcome>> {
        let kept = match group {
            Group::Node | Group::Remote => Some(trees::node_trees(self.workspace)?),
            _ => None,
        };
        let scratch = self.scratch(group)?;
        let runner = Runner { tools: self.tools, scratch: &scratch, runs: self.options.runs };
        let mut outcomes = Vec::new();
        match group {
            Group::Hash => {
                for row in rows {
                    outcomes.extend(runner.hash(row)?);
                }
            }
            Group::Node => {
                let Some(kept) = kept else {
                    bail!("there are no node_modules");
                };
                trees.extend(describe(&kept)?);
                let runner = NodeRunner::new(&runner, &kept)?;
                for row in rows {
                    outcomes.extend(runner.row(row)?);
                }
            }
            Group::Remote => {
                let Some(kept) = kept else {
                    bail!("there are no node_modules");
                };
                let runner = RemoteRunner::new(&runner, &kept, self.workspace)?;
                for row in rows {
                    outcomes.extend(runner.row(row)?);
                }
            }
            Group::Generated(tree) | Group::Memory(tree) => {
                let [store, restore] = pair(group)?;
                outcomes.extend(runner::generated(&runner, tree, store, restore)?);
            }
        }
        Ok(outcomes)
    }

    /// Where the group is measured. What needs more than memory has goes to the disk, if only
    /// memory is asked about and nobody chose a place.
    fn scratch(&self, group: Group) -> Result<Scratch> {
        let directory = self.directory();
        let space = group.space();
        let fits = files::free_space(&directory).is_ok_and(|free| free >= space);
        if group.is_for_memory() && self.options.directory.is_none() && !fits {
            return Scratch::new(&self.on_disk(), space);
        }
        Scratch::new(&directory, space)
    }

    fn directory(&self) -> PathBuf {
        if let Some(directory) = &self.options.directory {
            return directory.clone();
        }
        let memory = Path::new(MEMORY_DIRECTORY);
        if memory.is_dir() { memory.to_path_buf() } else { self.on_disk() }
    }

    fn on_disk(&self) -> PathBuf {
        self.workspace.target_dir().join("bench/run")
    }
}

/// The two rows of a generated tree, which are measured together even if one is asked for.
fn pair(group: Group) -> Result<[&'static Row; 2]> {
    let rows: Vec<&'static Row> = rows::ALL.iter().filter(|row| row.group == group).collect();
    match rows[..] {
        [store, restore] => Ok([store, restore]),
        _ => bail!("a generated tree has one row to store and one to restore it"),
    }
}

fn describe(trees: &NodeTrees) -> Result<Vec<String>> {
    let line = |name: &str, path: &Path| -> Result<String> {
        let totals = files::totals(path)?;
        let (count, bytes) = (readable::count(totals.files), numbers::bytes(totals.bytes));
        Ok(format!("{name}: {count} files, {bytes}"))
    };
    Ok(vec![
        line("node_modules", &trees.base)?,
        line("node_modules with 5 packages bumped", &trees.bumped)?,
    ])
}
