//! The options of `cargo xtask bench`.

use super::contestants::CONTESTANTS;
use super::row_table::{ROWS, Row};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// What to measure, how often and where.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Do 3 runs, and only the rows about node_modules.
    #[arg(long)]
    quick: bool,
    /// Runs of each command after one warm-up; the default is 5.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Only these rows; --list shows their names.
    #[arg(long, value_name = "NAME", value_delimiter = ',', hide_possible_values = true,
          value_parser = PossibleValuesParser::new(ROWS.iter().map(|row| row.name)))]
    only: Vec<String>,
    /// Only btdt and these rivals.
    #[arg(long, value_name = "NAME", value_delimiter = ',',
          value_parser = PossibleValuesParser::new(CONTESTANTS.iter().map(|known| known.name)))]
    tools: Vec<String>,
    /// Also btdt.wasm under a WASI host, beside the native btdt.
    #[arg(long)]
    wasi: bool,
    /// Also the rows about memory: 400,000 files, and one file of 10 GB.
    #[arg(long)]
    memory: bool,
    /// Where trees and caches are while they are measured; the default is /dev/shm.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Measure the btdt, btdt-server and btdt-wasi in this directory instead of building them.
    #[arg(long, value_name = "DIR")]
    pub(super) programs: Option<PathBuf>,
    /// Also measure the btdt and btdt-server in this directory, as the rival btdt-before.
    #[arg(long, value_name = "DIR")]
    pub(super) against: Option<PathBuf>,
    /// Print the tables, but leave docs/performance.md alone.
    #[arg(long)]
    no_write: bool,
    /// Show the rows and which rivals are installed, and measure nothing.
    #[arg(long)]
    pub(super) list: bool,
}

impl Options {
    pub(super) fn runs(&self) -> u32 {
        self.runs.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// Whether a row is to be measured.
    pub(super) fn wants(&self, row: &Row) -> bool {
        if !self.only.is_empty() {
            return self.only.iter().any(|name| name == row.name);
        }
        (self.memory || !row.group.is_for_memory()) && (!self.quick || row.group.is_quick())
    }

    /// Whether a contestant is to be measured; btdt always is.
    pub(super) fn wants_contestant(&self, name: &str) -> bool {
        let is_listed = self.tools.iter().any(|tool| tool == name);
        match name {
            "btdt" => true,
            "btdt-before" => self.against.is_some(),
            // It takes long to build, and is no rival: only where it is asked for.
            "btdt-wasi" => self.wasi || is_listed,
            _ => self.tools.is_empty() || is_listed,
        }
    }

    /// Whether the result replaces the one in the documentation: only when it is complete.
    pub(super) fn writes(&self) -> bool {
        let is_complete = !self.quick && self.only.is_empty() && self.tools.is_empty();
        is_complete && !self.no_write && self.programs.is_none() && self.against.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Line::try_parse_from(["bench"].into_iter().chain(line.split_whitespace()))
            .map(|line| line.options)
    }

    #[test]
    fn names_may_be_listed_with_commas() {
        let options = parse("--only store,restore --tools=tar").unwrap();
        let wanted: Vec<_> = ROWS.iter().filter(|row| options.wants(row)).collect();
        assert_eq!(wanted.len(), 2);
        assert!(options.wants_contestant("tar") && !options.wants_contestant("restic"));
    }

    #[test]
    fn only_complete_results_are_written() {
        assert!(parse("").unwrap().writes());
        assert!(parse("--memory --runs 9").unwrap().writes());
        let partial = "--quick|--only store|--tools tar|--no-write|--programs .|--against .";
        for line in partial.split('|') {
            assert!(!parse(line).unwrap().writes(), "{line}");
        }
    }

    #[test]
    fn memory_rows_are_left_out_unless_asked_for() {
        let count = |line: &str| {
            let options = parse(line).unwrap();
            ROWS.iter().filter(|row| options.wants(row)).count()
        };
        assert_eq!(count("--memory"), ROWS.len());
        assert!(count("") < ROWS.len());
        assert!(count("--quick") < count(""));
        assert_eq!(count("--only memory-large-store"), 1);
    }

    #[test]
    fn webassembly_and_earlier_programs_are_measured_where_they_are_asked_for() {
        let wants = |line: &str, name| parse(line).unwrap().wants_contestant(name);
        assert!(!wants("", "btdt-wasi") && !wants("--tools tar", "btdt-wasi"));
        assert!(wants("--wasi", "btdt-wasi") && wants("--tools btdt-wasi", "btdt-wasi"));
        assert!(parse("--wasi").unwrap().writes());
        assert!(wants("--against . --tools tar", "btdt-before") && !wants("", "btdt-before"));
    }

    #[test]
    fn mistakes_are_refused() {
        for line in ["--runs", "--runs 0", "--only nothing", "--tools nothing", "--fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
