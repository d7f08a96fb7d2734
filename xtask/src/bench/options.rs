//! The options of `cargo xtask bench`.

use super::rows::{self, Row};
use super::tools::Tool;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// Runs per command when nothing is said, besides the warm-up.
const RUNS: usize = 5;
const QUICK_RUNS: usize = 3;

pub(super) const HELP: &str = "\
Measure btdt against the rivals that are installed.

Usage: cargo xtask bench [OPTION...]

  --quick          3 runs, and only the rows about node_modules
  --runs N         runs of each command after one warm-up (5)
  --only NAME,...  only these rows (--list shows their names)
  --tools NAME,... only btdt and these rivals
  --wasi           also btdt.wasm under a WASI host, beside the native btdt
  --memory         also the rows about memory: 400,000 files, and one file of 10 GB
  --dir DIR        where trees and caches are while they are measured (/dev/shm when there is one)
  --programs DIR   measure the btdt, btdt-server and btdt-wasi in this directory instead of
                   building them
  --no-write       print the tables, but leave docs/performance.md alone
  --list           show the rows and which rivals are there, and measure nothing

Needs npm for the reference trees. tar, zstd, rsync, restic, git and cp are measured when they are
installed; btdt-cli and btdt-server 0.4.4 are installed by cargo into the target directory. The tables are
written into docs/performance.md only when all rows were measured with all rivals.
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) help: bool,
    pub(super) list: bool,
    pub(super) runs: usize,
    pub(super) memory: bool,
    wasi: bool,
    pub(super) directory: Option<PathBuf>,
    pub(super) programs: Option<PathBuf>,
    pub(super) without_btdt: bool,
    quick: bool,
    write: bool,
    only: Vec<String>,
    tools: Vec<Tool>,
}

impl Options {
    /// # Errors
    /// When an option is not known or its value makes no sense.
    pub(super) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            help: false,
            list: false,
            runs: 0,
            memory: false,
            wasi: false,
            directory: None,
            programs: None,
            without_btdt: false,
            quick: false,
            write: true,
            only: Vec::new(),
            tools: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let takes_value =
                matches!(name, "--runs" | "--only" | "--tools" | "--dir" | "--programs");
            if takes_value {
                let value = attached.or_else(|| arguments.next().cloned());
                let value = value.with_context(|| format!("{name} needs a value"))?;
                options.value(name, &value)?;
            } else {
                options.switch(argument)?;
            }
        }
        if options.runs == 0 {
            options.runs = if options.quick { QUICK_RUNS } else { RUNS };
        }
        Ok(options)
    }

    fn value(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "--runs" => {
                let runs = value.parse().ok().filter(|runs| *runs > 0);
                self.runs =
                    runs.with_context(|| format!("--runs {value}: not a number above 0"))?;
            }
            "--programs" => self.programs = Some(PathBuf::from(value)),
            "--dir" => self.directory = Some(PathBuf::from(value)),
            "--tools" => {
                for name in value.split(',') {
                    let tool = Tool::by_name(name);
                    self.tools.push(tool.with_context(|| format!("no rival is called `{name}`"))?);
                }
            }
            _ => {
                for name in value.split(',') {
                    if !rows::ALL.iter().any(|row| row.name == name) {
                        bail!("no row is called `{name}`; --list shows the names");
                    }
                    self.only.push(name.to_owned());
                }
            }
        }
        Ok(())
    }

    fn switch(&mut self, name: &str) -> Result<()> {
        match name {
            "--help" | "-h" => self.help = true,
            "--list" => self.list = true,
            "--quick" => self.quick = true,
            "--memory" => self.memory = true,
            "--wasi" => self.wasi = true,
            "--no-write" => self.write = false,
            // For work on the bench itself, while there is no btdt: not in the help.
            "--without-btdt" => self.without_btdt = true,
            _ => {
                bail!("unexpected argument `{name}`; `cargo xtask bench --help` lists the options")
            }
        }
        Ok(())
    }

    /// Whether a row is to be measured.
    pub(super) fn wants(&self, row: &Row) -> bool {
        if !self.only.is_empty() {
            return self.only.iter().any(|name| name == row.name);
        }
        (self.memory || !row.group.is_for_memory()) && (!self.quick || row.group.is_quick())
    }

    /// Whether a tool is to be measured; btdt always is.
    pub(super) fn wants_tool(&self, tool: Tool) -> bool {
        match tool {
            Tool::Ours => !self.without_btdt,
            // It takes long to build, and is no rival: only where it is asked for.
            Tool::Wasi => self.wasi || self.tools.contains(&tool),
            _ => self.tools.is_empty() || self.tools.contains(&tool),
        }
    }

    /// Whether the result replaces the one in the documentation: only when it is complete.
    pub(super) fn writes(&self) -> bool {
        let complete = !self.quick && self.only.is_empty() && self.tools.is_empty();
        let complete = complete && self.programs.is_none();
        self.write && complete && !self.without_btdt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn values_may_be_attached_or_not() {
        for line in ["--runs 7 --only store --dir /x", "--runs=7 --only=store --dir=/x"] {
            let options = parse(line).unwrap();
            assert_eq!(options.runs, 7);
            assert_eq!(options.directory, Some(PathBuf::from("/x")));
            let wanted: Vec<_> = rows::ALL.iter().filter(|row| options.wants(row)).collect();
            assert_eq!(wanted.len(), 1);
            assert_eq!(wanted[0].name, "store");
        }
    }

    #[test]
    fn only_complete_results_are_written() {
        assert!(parse("").unwrap().writes());
        assert!(parse("--memory --runs 9").unwrap().writes());
        for line in ["--quick", "--only store", "--tools tar", "--no-write", "--programs ."] {
            assert!(!parse(line).unwrap().writes(), "{line}");
        }
    }

    #[test]
    fn memory_rows_are_left_out_unless_asked_for() {
        let count = |line: &str| {
            let options = parse(line).unwrap();
            rows::ALL.iter().filter(|row| options.wants(row)).count()
        };
        assert_eq!(count("--memory"), rows::ALL.len());
        assert!(count("") < rows::ALL.len());
        assert!(count("--quick") < count(""));
        assert_eq!(count("--only memory-large-store"), 1);
    }

    #[test]
    fn webassembly_is_measured_where_it_is_asked_for() {
        let wants = |line: &str| parse(line).unwrap().wants_tool(Tool::Wasi);
        assert!(!wants("") && !wants("--tools tar"));
        assert!(wants("--wasi") && wants("--tools btdt-wasi") && wants("--wasi --tools tar"));
        assert!(parse("--wasi").unwrap().writes());
    }

    #[test]
    fn mistakes_are_explained() {
        let message = |line: &str| parse(line).unwrap_err().to_string();
        assert!(message("--runs").contains("needs a value"));
        assert!(message("--runs 0").contains("above 0"));
        assert!(message("--only nothing").contains("`nothing`"));
        assert!(message("--tools nothing").contains("`nothing`"));
        assert!(message("--fast").contains("`--fast`"));
    }
}
