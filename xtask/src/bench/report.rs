//! The tables: what was reached, and every figure behind it.

use super::numbers::{self, Spread};
use super::rows::{self, Row, Unit};
use super::runner::{Outcome, Sample};
use super::tools::Tool;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";
const NOTHING: &str = "-";
/// Some rivals name every file that they could not restore.
const FAILURE_LENGTH: usize = 200;

/// Everything that goes between the markers.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) outcomes: &'a [Outcome],
    pub(super) missing: &'a [(Tool, String)],
    pub(super) machine: Vec<String>,
    pub(super) versions: Vec<String>,
    /// What the reference trees are.
    pub(super) trees: Vec<String>,
    pub(super) runs: usize,
}

/// How btdt did in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    target: String,
    /// The target's seconds on this machine.
    here: String,
    met: String,
}

impl Report<'_> {
    /// Markdown that can also be read as plain text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        list(&mut text, "Machine", &self.machine);
        list(&mut text, "Trees", &self.trees);
        list(&mut text, "Versions", &self.versions);
        let missing = self.missing.iter();
        let missing: Vec<_> =
            missing.map(|(tool, why)| format!("{}: {why}", tool.title())).collect();
        list(&mut text, "Not measured", &missing);
        let _ = writeln!(
            text,
            "Medians of {} runs; in brackets how many times the time of btdt that is, or its memory.\n",
            self.runs
        );
        text.push_str(&table(&self.summary()));
        text.push_str("\nEvery figure:\n\n");
        text.push_str(&table(&self.details()));
        list(&mut text, "\nNot restored as it was stored", &self.losses());
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        rows::ALL.iter().filter(|row| self.outcomes.iter().any(|outcome| outcome.row == *row))
    }

    fn outcome(&self, row: &Row, tool: Tool) -> Option<&Outcome> {
        let mut outcomes = self.outcomes.iter();
        outcomes.find(|outcome| outcome.row == row && outcome.tool == tool)
    }

    fn median(&self, row: &Row, tool: Tool) -> Option<f64> {
        Some(self.outcome(row, tool)?.costs()?.median)
    }

    fn summary(&self) -> Vec<Vec<String>> {
        let measured = |tool: &Tool| self.outcomes.iter().any(|outcome| outcome.tool == *tool);
        let rivals: Vec<Tool> = Tool::ALL[1..].iter().copied().filter(measured).collect();
        let mut head =
            ["operation", "btdt", "target", "target here", "met"].map(str::to_owned).to_vec();
        head.extend(rivals.iter().map(|tool| tool.title().to_owned()));
        let mut table = vec![head];
        for row in self.rows() {
            let ours = self.outcome(row, Tool::Ours);
            let verdict = self.verdict(row);
            let mut cells = vec![row.title.to_owned()];
            cells.push(ours.map_or(NOTHING.into(), |outcome| result(outcome, row)));
            cells.extend([verdict.target, verdict.here, verdict.met]);
            for tool in &rivals {
                let Some(outcome) = self.outcome(row, *tool) else {
                    cells.push(String::new());
                    continue;
                };
                let mut cell = result(outcome, row);
                let ratio = self.median(row, *tool).zip(self.median(row, Tool::Ours));
                if let Some((theirs, ours)) = ratio {
                    let _ = write!(cell, " ({:.1}x)", theirs / ours);
                }
                cells.push(cell);
            }
            table.push(cells);
        }
        table
    }

    fn verdict(&self, row: &Row) -> Verdict {
        let scale = row.scale(|tool| self.median(row, tool)).unwrap_or(1.0);
        let target = &row.target;
        let here = target.cost.map(|cost| cost * scale);
        let mut parts = Vec::new();
        parts.extend(target.cost.map(|cost| row.unit.show(cost)));
        parts.extend(target.cache.map(numbers::bytes));
        parts.extend(target.added.map(|added| format!("+{}", numbers::bytes(added))));
        let peak = target.peak.filter(|_| row.group.is_for_memory());
        parts.extend(peak.map(|peak| format!("{} of memory", numbers::bytes(peak))));
        let met = match self.outcome(row, Tool::Ours).filter(|ours| !ours.samples.is_empty()) {
            None => NOTHING.to_owned(),
            Some(ours) => {
                let missed = missed(ours, row, here);
                if missed.is_empty() {
                    "yes".to_owned()
                } else {
                    format!("**no**: {}", missed.join(", "))
                }
            }
        };
        Verdict {
            target: parts.join(", "),
            here: here.map_or(NOTHING.to_owned(), |cost| row.unit.show(cost)),
            met,
        }
    }

    fn details(&self) -> Vec<Vec<String>> {
        let head = [
            "operation",
            "command",
            "median",
            "min",
            "max",
            "CPU",
            "peak memory",
            "in the cache",
            "added",
        ];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        for outcome in self.rows().flat_map(|row| {
            let of_row = move |outcome: &&Outcome| outcome.row == row;
            self.outcomes.iter().filter(of_row)
        }) {
            let Some(cost) = outcome.costs() else { continue };
            let show = |cost| outcome.row.unit.show(cost);
            let cpu = outcome.samples.iter().map(|sample| sample.usage.cpu);
            let cpu = Spread::of_times(cpu).map_or(0.0, |spread| spread.median);
            let size = |field: fn(&Sample) -> Option<u64>| {
                median_bytes(outcome, field).map_or(NOTHING.to_owned(), numbers::bytes)
            };
            table.push(vec![
                outcome.row.title.to_owned(),
                outcome.tool.title().to_owned(),
                show(cost.median),
                show(cost.min),
                show(cost.max),
                numbers::seconds(cpu),
                peak(outcome).map_or(NOTHING.into(), numbers::bytes),
                size(|sample| sample.cache),
                size(|sample| sample.added),
            ]);
        }
        table
    }

    /// What each rival loses, and where it failed.
    fn losses(&self) -> Vec<String> {
        let mut lost: BTreeMap<Tool, BTreeSet<&str>> = BTreeMap::new();
        let mut lines = Vec::new();
        for outcome in self.outcomes {
            if !outcome.lost.is_empty() {
                lost.entry(outcome.tool).or_default().extend(&outcome.lost);
            }
            if let Some(failure) = &outcome.failure {
                let (tool, row) = (outcome.tool.title(), outcome.row.name);
                let failure: String = failure.chars().take(FAILURE_LENGTH).collect();
                lines.push(format!("{tool} failed in {row}: {failure}"));
            }
        }
        let line = |(tool, what): (Tool, BTreeSet<&str>)| {
            let what: Vec<&str> = what.into_iter().collect();
            format!("{}: {}", tool.title(), what.join(", "))
        };
        lines.extend(lost.into_iter().map(line));
        lines
    }
}

/// In which respects btdt did not reach its target, `most` being what it may cost on this machine.
fn missed(ours: &Outcome, row: &Row, most: Option<f64>) -> Vec<&'static str> {
    let above = |value: Option<u64>, limit: Option<u64>| {
        value.zip(limit).is_some_and(|(value, limit)| value > limit)
    };
    let mut missed = Vec::new();
    let cost = ours.costs().map(|cost| cost.median);
    if cost.zip(most).is_some_and(|(cost, most)| cost > most) {
        missed.push(if row.unit == Unit::Memory { "memory" } else { "time" });
    }
    let cache = median_bytes(ours, |sample| sample.cache);
    let added = median_bytes(ours, |sample| sample.added);
    if above(cache, row.target.cache) || above(added, row.target.added) {
        missed.push("size");
    }
    if above(peak(ours), row.target.peak) {
        missed.push("memory");
    }
    missed
}

/// The time, and the size where the row has a target for one.
fn result(outcome: &Outcome, row: &Row) -> String {
    let Some(cost) = outcome.costs() else {
        return "failed".to_owned();
    };
    let mut text = row.unit.show(cost.median);
    let size = |field: fn(&Sample) -> Option<u64>| {
        median_bytes(outcome, field).map_or(NOTHING.to_owned(), numbers::bytes)
    };
    if row.target.cache.is_some() {
        let _ = write!(text, ", {}", size(|sample| sample.cache));
    }
    if row.target.added.is_some() {
        let _ = write!(text, ", +{}", size(|sample| sample.added));
    }
    if row.group.is_for_memory() {
        let _ = write!(text, ", {}", peak(outcome).map_or(NOTHING.into(), numbers::bytes));
    }
    text
}

fn median_bytes(outcome: &Outcome, field: impl Fn(&Sample) -> Option<u64>) -> Option<u64> {
    let values = outcome.samples.iter().filter_map(field);
    Spread::of(values.map(|value| value as f64)).map(|spread| spread.median as u64)
}

/// The largest of all runs: a bound is for every run.
fn peak(outcome: &Outcome) -> Option<u64> {
    outcome.samples.iter().map(|sample| sample.usage.peak).max()
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "{title}:\n");
        for line in lines {
            let _ = writeln!(text, "- {line}");
        }
        text.push('\n');
    }
}

/// A Markdown table whose columns line up.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Puts the text between the markers of a file and leaves the rest of it alone.
///
/// # Errors
/// When the file can't be read or written, or has no markers.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let page =
        fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let page = replaced(&page, text)
        .with_context(|| format!("{} lacks `{BEGIN}` or `{END}` after it", path.display()))?;
    fs::write(path, page).with_context(|| format!("could not write {}", path.display()))
}

fn replaced(page: &str, text: &str) -> Option<String> {
    let begin = page.find(BEGIN)? + BEGIN.len();
    let end = begin + page[begin..].find(END)?;
    Some(format!("{}\n\n{text}\n{}", &page[..begin], &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Usage;
    use std::time::Duration;

    fn outcome(name: &str, tool: Tool, millis: &[u64], cache: Option<u64>) -> Outcome {
        let row = rows::ALL.iter().find(|row| row.name == name).unwrap();
        let sample = |millis: &u64| Sample {
            usage: Usage {
                wall: Duration::from_millis(*millis),
                cpu: Duration::from_millis(1),
                peak: 1_000_000,
            },
            cache,
            added: cache,
            work: None,
        };
        Outcome {
            row,
            tool,
            samples: millis.iter().map(sample).collect(),
            lost: BTreeSet::new(),
            failure: None,
        }
    }

    fn verdict(outcomes: &[Outcome]) -> Verdict {
        let report = Report {
            outcomes,
            missing: &[],
            machine: Vec::new(),
            versions: Vec::new(),
            trees: Vec::new(),
            runs: 1,
        };
        report.verdict(outcomes[0].row)
    }

    #[test]
    fn the_target_is_scaled_by_the_rivals_of_the_same_run() {
        // The rival is twice as slow as where the target of 1.2 s was set.
        let rival = || outcome("store", Tool::TarZstd, &[4260], Some(1));
        let ours = |millis, cache| outcome("store", Tool::Ours, &[millis], Some(cache));
        let met = verdict(&[ours(2300, 1), rival()]);
        assert_eq!((met.met.as_str(), met.here.as_str()), ("yes", "2.40 s"));
        assert_eq!(verdict(&[ours(2500, 1), rival()]).met, "**no**: time");
        assert_eq!(verdict(&[ours(1000, 200_000_000), rival()]).met, "**no**: size");
        assert_eq!(verdict(&[rival()]).met, NOTHING);
    }

    #[test]
    fn the_text_names_what_was_measured_and_what_was_not() {
        let mut lossy = outcome("restore", Tool::Tar, &[850], None);
        lossy.lost.insert("mode");
        let outcomes = [outcome("restore", Tool::Ours, &[400, 500, 425], None), lossy];
        let report = Report {
            outcomes: &outcomes,
            missing: &[(Tool::Restic, "restic is not installed".to_owned())],
            machine: vec!["a machine".to_owned()],
            versions: vec!["tar 1".to_owned()],
            trees: Vec::new(),
            runs: 3,
        };
        let text = report.text();
        for part in ["a machine", "tar 1", "restic is not", "0.85 s (2.0x)", "- tar: mode"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }

    #[test]
    fn text_outside_the_markers_stays() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replaced(&page, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert_eq!(replaced("no markers", "new"), None);
    }
}
