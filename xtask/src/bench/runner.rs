//! Takes the contestants through the rows in alternation, and checks what they restored.

use super::compare_trees::{self, Entries};
use super::contestants::Contestant;
use super::directories;
use super::figures;
use super::installed_contestants::Entrant;
use super::measure_command;
use super::node_modules;
use super::row_table::{Group, ROWS, Row, Step, Unit};
use super::sample::{Outcome, Sample};
use super::scratch::Scratch;
use super::server_load::{Secrets, Server};
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A process of a few milliseconds is measured this many times in each run.
const HASH_RUNS: usize = 5;
/// Seconds of requests before a server is measured.
const WARM_UP: u32 = 1;
/// As many as a client uses to get the chunks of an entry.
const CHUNK_CONNECTIONS: u32 = 8;

/// Measures the rows of one group.
pub(super) struct Runner<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) scratch: &'a Scratch,
    pub(super) runs: u32,
}

/// Where one contestant works for the length of one run.
struct Place<'a> {
    entrant: &'a Entrant,
    directory: PathBuf,
    cache: PathBuf,
    destination: PathBuf,
    /// In rows about servers.
    secrets: Option<&'a Secrets>,
}

impl Runner<'_> {
    /// Makes the trees of a group, and describes those from npm.
    pub(super) fn make_trees(&self, group: Group) -> Result<Vec<String>> {
        let base = self.scratch.path("base");
        match group {
            Group::SmallFile => fs::write(base, [b'x'; 1024])?,
            Group::Generated(tree) | Group::PeakMemory(tree) => tree.make(&base)?,
            Group::NodeModules | Group::Server => {
                fs::write(self.scratch.fresh("small")?.join("file"), "small")?;
                return ["base", "bumped"]
                    .map(|name| self.node_modules(name))
                    .into_iter()
                    .collect();
            }
        }
        Ok(Vec::new())
    }

    fn node_modules(&self, name: &str) -> Result<String> {
        let kept = node_modules::make(self.workspace, name)?;
        directories::copy(&kept, &self.scratch.path(name))?;
        let totals = directories::totals(&kept)?;
        let (files, bytes) = (figures::count(totals.files), figures::bytes(totals.bytes as f64));
        Ok(format!("node_modules ({name}): {files} files, {bytes}"))
    }

    /// Measures rows of one group, in which all contestants are measured that take part.
    pub(super) fn run(
        &self,
        rows: &[&'static Row],
        mut entrants: Vec<&Entrant>,
    ) -> Result<Vec<Outcome>> {
        let group = rows[0].group;
        let mut secrets = None;
        if group == Group::Server {
            secrets = Some(Secrets::make(&entrants[0].program, &self.scratch.fresh("secrets")?)?);
            // Contestants that are no btdt have none; the server of an old one may be missing.
            entrants.retain(|entrant| entrant.server().is_file());
        }
        let original = match group {
            Group::SmallFile => Entries::new(),
            _ => compare_trees::read(&self.scratch.path("base"))?,
        };
        let mut outcomes = Vec::new();
        for row in rows {
            let measured = entrants.iter().filter(|entrant| row.measures(entrant.name()));
            outcomes.extend(measured.map(|entrant| Outcome::new(row, entrant.name())));
        }
        let rounds = if group.is_for_memory() { 1..=1 } else { 0..=self.runs };
        for round in rounds {
            // Back and forth, so that no contestant always runs after the same other one.
            entrants.reverse();
            for entrant in &entrants {
                let directory = self.scratch.fresh("run")?;
                let place = Place {
                    entrant,
                    cache: directory.join("cache"),
                    destination: directory.join("destination"),
                    directory,
                    secrets: secrets.as_ref(),
                };
                self.run_contestant(&place, rows, &original, &mut outcomes, round > 0)?;
                directories::remove(&place.directory)?;
            }
        }
        for outcome in &outcomes {
            if let Some(spread) = outcome.costs() {
                let (row, cost) = (outcome.row, outcome.row.unit.show(spread.median));
                println!("  {:<22} {:<12} {cost:>10}", row.name, outcome.contestant);
            }
        }
        Ok(outcomes)
    }

    /// One contestant, with a new cache, once through all rows, up to one in which it fails.
    fn run_contestant(
        &self,
        place: &Place,
        rows: &[&'static Row],
        original: &Entries,
        outcomes: &mut [Outcome],
        is_recorded: bool,
    ) -> Result<()> {
        let name = place.entrant.name();
        fs::create_dir(&place.cache)?;
        let init = place.entrant.contestant.init;
        if !init.is_empty() {
            measure_command::run(&self.line(place, init, "", None))?;
        }
        for row in needed(rows, name) {
            println!("{} ({name})", row.title);
            let mut unlisted = Outcome::new(row, name);
            let mut found = outcomes.iter_mut();
            let outcome = found.find(|outcome| outcome.row == row && outcome.contestant == name);
            let outcome = outcome.unwrap_or(&mut unlisted);
            if outcome.failure.is_some() {
                break;
            }
            let result = self.run_row(place, row, original);
            if !outcome.take(place.entrant, result, is_recorded)? {
                break;
            }
        }
        Ok(())
    }

    fn run_row(&self, place: &Place, row: &Row, original: &Entries) -> Result<Sample> {
        let Contestant { store, restore, hash, .. } = place.entrant.contestant;
        let server = place.start_server()?;
        let line = |template, key| self.line(place, template, key, server.as_ref());
        let measure = |line: &str| measure_command::measure(line, self.scratch);
        match row.step {
            Step::Hash => {
                measure_command::measure_short(&line(hash, "base"), HASH_RUNS, self.scratch)
            }
            Step::Store(key) => {
                let before = directories::totals(&place.cache)?.bytes;
                let sample = measure(&line(store, key))?;
                let after = directories::totals(&place.cache)?.bytes;
                let added = after.saturating_sub(before);
                Ok(Sample { cache: Some(after as f64), added: Some(added as f64), ..sample })
            }
            Step::Restore => {
                place.empty_destination()?;
                let sample = measure(&line(restore, "base"))?;
                let differences = compare_trees::compare(original, &place.destination, false)?;
                Ok(Sample { differences, ..sample })
            }
            Step::RestoreOver(other) => {
                place.empty_destination()?;
                measure_command::run(&line(restore, other))?;
                let sample = measure(&line(restore, "base"))?;
                // What only the other tree has stays, unless a tool is told otherwise.
                let may_have_more = other != "base";
                let differences =
                    compare_trees::compare(original, &place.destination, may_have_more)?;
                Ok(Sample { differences, ..sample })
            }
            Step::StartServer => server.context("a row without a server")?.memory(),
            Step::RequestEntry(key, connections, seconds) => {
                let server = server.context("a row without a server")?;
                let script = self.workspace.root().join("xtask/bench/wrk_summary.lua");
                if row.unit != Unit::Memory {
                    server.load(&script, key, connections, WARM_UP)?;
                }
                server.load(&script, key, connections, seconds)
            }
            Step::DownloadEntry(times) => {
                let server = server.context("a row without a server")?;
                let paths = ["?key=base".to_owned()];
                server.download(&paths, 1, 1, &place.directory)?;
                server.download(&paths, times, 1, &place.directory)
            }
            Step::DownloadChunks(times) => {
                let server = server.context("a row without a server")?;
                let paths = place.chunk_paths()?;
                server.download(&paths, 1, CHUNK_CONNECTIONS, &place.directory)?;
                server.download(&paths, times, CHUNK_CONNECTIONS, &place.directory)
            }
        }
    }

    /// The command line of a contestant, for its cache or for that of its server.
    fn line(&self, place: &Place, template: &str, key: &str, server: Option<&Server>) -> String {
        let cache = server.map_or(place.cache.clone(), |server| server.url().into());
        let values = [
            ("program", place.entrant.program.as_path()),
            ("tree", &self.scratch.path(key)),
            ("cache", &cache),
            ("key", Path::new(key)),
            ("to", &place.destination),
        ];
        let mut line = measure_command::shell_line(template, &values);
        if let Some(secrets) = place.secrets {
            line.push_str(" -a ");
            line.push_str(&process::quote(secrets.token_file.as_os_str()));
        }
        line
    }
}

impl<'a> Place<'a> {
    fn start_server(&self) -> Result<Option<Server<'a>>> {
        let start =
            |secrets| Server::start(&self.entrant.server(), &self.cache, secrets, &self.directory);
        self.secrets.map(start).transpose()
    }

    fn empty_destination(&self) -> Result<()> {
        directories::remove(&self.destination)?;
        Ok(fs::create_dir(&self.destination)?)
    }

    /// The paths of all chunks, relative to that of the cache.
    fn chunk_paths(&self) -> Result<Vec<String>> {
        let mut paths = Vec::new();
        directories::for_each(&self.cache.join("chunks"), &mut |path, metadata| {
            let name = path.file_name().filter(|_| metadata.is_file());
            paths.extend(name.map(|name| format!("/chunks/{}", name.display())));
            Ok(())
        })?;
        Ok(paths)
    }
}

/// The rows that a contestant has to go through: those that are measured, and those that they need.
fn needed(measured: &[&'static Row], contestant: &str) -> Vec<&'static Row> {
    let mut needed: Vec<&Row> = Vec::new();
    for row in ROWS.iter().rev().filter(|row| row.group == measured[0].group) {
        let is_measured = measured.contains(&row) && row.measures(contestant);
        if is_measured || needed.iter().any(|later| later.after == row.name) {
            needed.push(row);
        }
    }
    needed.reverse();
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_brings_along_what_it_needs() {
        let names = |only: &str, contestant| {
            let measured: Vec<&Row> = ROWS.iter().filter(|row| row.name == only).collect();
            needed(&measured, contestant).iter().map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names("store", "tar"), ["store"]);
        let rows = ["store", "store-again", "restore-different"];
        assert_eq!(names("restore-different", "git"), rows);
        assert!(names("restore-different", "restic").is_empty());
    }
}
