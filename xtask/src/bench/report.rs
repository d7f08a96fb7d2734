//! The tables: what was reached, and every figure behind it.

use super::contestants::CONTESTANTS;
use super::figures;
use super::row_table::{Limit, ROWS, Row, Unit};
use super::sample::{Outcome, Sample};
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

type Figure = fn(&Sample) -> Option<f64>;
const CACHE: Figure = |sample| sample.cache;
const ADDED: Figure = |sample| sample.added;
const PEAK: Figure = |sample| sample.peak;

/// Everything that goes between the markers.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) outcomes: &'a [Outcome],
    /// What was not measured, and why.
    pub(super) missing: Vec<String>,
    pub(super) machine: Vec<String>,
    pub(super) versions: Vec<String>,
    /// What the reference trees are.
    pub(super) trees: Vec<String>,
    pub(super) runs: u32,
}

impl Report<'_> {
    /// Markdown that can also be read as plain text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        list(&mut text, "Machine", &self.machine);
        list(&mut text, "Trees", &self.trees);
        list(&mut text, "Versions", &self.versions);
        list(&mut text, "Not measured", &self.missing);
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
        ROWS.iter().filter(|row| self.outcomes.iter().any(|outcome| outcome.row == *row))
    }

    fn outcome(&self, row: &Row, contestant: &str) -> Option<&Outcome> {
        let mut outcomes = self.outcomes.iter();
        outcomes.find(|outcome| outcome.row == row && outcome.contestant == contestant)
    }

    fn median(&self, row: &Row, contestant: &str) -> Option<f64> {
        Some(self.outcome(row, contestant)?.costs()?.median)
    }

    fn summary(&self) -> Vec<Vec<String>> {
        let names = CONTESTANTS[1..].iter().map(|contestant| contestant.name);
        let is_measured = |name: &&str| self.outcomes.iter().any(|o| o.contestant == *name);
        let rivals: Vec<&str> = names.filter(is_measured).collect();
        let head = ["operation", "btdt", "target", "met"].iter().chain(&rivals);
        let mut table = vec![head.map(|&cell| cell.to_owned()).collect()];
        for row in self.rows() {
            let ours = self.outcome(row, "btdt");
            let (target, met) = self.target(row);
            let mut cells = vec![row.title.to_owned()];
            cells.push(ours.map_or(NOTHING.into(), result));
            cells.extend([target, met]);
            for rival in &rivals {
                let mut cell = self.outcome(row, rival).map(result).unwrap_or_default();
                let ratio = self.median(row, rival).zip(self.median(row, "btdt"));
                if let Some((theirs, ours)) = ratio {
                    let _ = write!(cell, " ({:.2}x)", theirs / ours);
                }
                cells.push(cell);
            }
            table.push(cells);
        }
        table
    }

    /// What btdt has to reach in a row, and whether it did.
    fn target(&self, row: &Row) -> (String, String) {
        // The bound on memory is the same for every command.
        let is_told =
            |limit: &&Limit| !matches!(limit, Limit::Peak(_)) || row.group.is_for_memory();
        let target: Vec<String> =
            row.limits().filter(is_told).map(|limit| show(row, limit)).collect();
        let what = |limit: &Limit| match limit {
            Limit::Times(..) | Limit::Cost(_) if row.unit != Unit::Memory => "time",
            Limit::Cache(_) | Limit::Added(_) => "size",
            _ => "memory",
        };
        let missed = row.limits().filter(|limit| self.exceeds(row, limit) == Some(true));
        let missed: Vec<&str> = missed.map(what).collect();
        let met = if !missed.is_empty() {
            format!("**no**: {}", missed.join(", "))
        } else if row.limits().any(|limit| self.exceeds(row, limit).is_none()) {
            NOTHING.to_owned()
        } else {
            "yes".to_owned()
        };
        (target.join(", "), met)
    }

    /// Whether btdt exceeded a limit; `None` where there is nothing to compare.
    fn exceeds(&self, row: &Row, limit: &Limit) -> Option<bool> {
        let ours = self.outcome(row, "btdt")?;
        let cost = ours.costs()?.median;
        Some(match limit {
            Limit::Times(factor, rival) => cost > factor * self.median(row, rival)?,
            Limit::Cost(most) => cost > *most,
            Limit::Cache(most) => ours.spread(CACHE)?.median > *most,
            Limit::Added(most) => ours.spread(ADDED)?.median > *most,
            Limit::Peak(most) => ours.spread(PEAK)?.max > *most,
        })
    }

    fn details(&self) -> Vec<Vec<String>> {
        let head = "operation,command,median,min,max,CPU,peak memory,in the cache,added";
        let mut table = vec![head.split(',').map(str::to_owned).collect()];
        for row in self.rows() {
            for outcome in self.outcomes.iter().filter(|outcome| outcome.row == row) {
                let Some(cost) = outcome.costs() else { continue };
                let mut cells = vec![row.title.to_owned(), outcome.contestant.to_owned()];
                cells.extend([cost.median, cost.min, cost.max].map(|cost| row.unit.show(cost)));
                let cpu = outcome.spread(|sample| Some(sample.cpu));
                cells.push(cpu.map_or(NOTHING.into(), |cpu| figures::seconds(cpu.median)));
                cells.push(peak(outcome));
                cells.extend([median_bytes(outcome, CACHE), median_bytes(outcome, ADDED)]);
                table.push(cells);
            }
        }
        table
    }

    /// What each rival loses, and where it failed.
    fn losses(&self) -> Vec<String> {
        let mut lost: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut lines = Vec::new();
        for outcome in self.outcomes {
            lost.entry(outcome.contestant).or_default().extend(&outcome.lost);
            if let Some(failure) = &outcome.failure {
                let (name, row) = (outcome.contestant, outcome.row.name);
                let failure: String = failure.chars().take(FAILURE_LENGTH).collect();
                lines.push(format!("{name} failed in {row}: {failure}"));
            }
        }
        lost.retain(|_, what| !what.is_empty());
        let line = |(name, what): (&str, BTreeSet<&str>)| {
            format!("{name}: {}", what.into_iter().collect::<Vec<_>>().join(", "))
        };
        lines.extend(lost.into_iter().map(line));
        lines
    }
}

fn show(row: &Row, limit: &Limit) -> String {
    match limit {
        // As the figures: seconds for one request are shown as requests per second.
        Limit::Times(factor, rival)
            if matches!(row.unit, Unit::RequestsPerSecond | Unit::BytesPerSecond) =>
        {
            format!("{:.1}x {rival}", 1.0 / factor)
        }
        Limit::Times(factor, rival) => format!("{factor}x {rival}"),
        Limit::Cost(most) => row.unit.show(*most),
        Limit::Cache(most) => figures::bytes(*most),
        Limit::Added(most) => format!("+{}", figures::bytes(*most)),
        Limit::Peak(most) => format!("{} of memory", figures::bytes(*most)),
    }
}

/// The cost, and the size where the row has a limit for one.
fn result(outcome: &Outcome) -> String {
    let Some(cost) = outcome.costs() else {
        return "failed".to_owned();
    };
    let mut parts = vec![outcome.row.unit.show(cost.median)];
    for limit in outcome.row.limits() {
        match limit {
            Limit::Cache(_) => parts.push(median_bytes(outcome, CACHE)),
            Limit::Added(_) => parts.push(format!("+{}", median_bytes(outcome, ADDED))),
            Limit::Peak(_) if outcome.row.group.is_for_memory() => parts.push(peak(outcome)),
            _ => {}
        }
    }
    parts.join(", ")
}

fn median_bytes(outcome: &Outcome, figure: Figure) -> String {
    outcome.spread(figure).map_or(NOTHING.to_owned(), |spread| figures::bytes(spread.median))
}

/// The largest of all runs: a limit is for every run.
fn peak(outcome: &Outcome) -> String {
    outcome.spread(PEAK).map_or(NOTHING.to_owned(), |spread| figures::bytes(spread.max))
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "{title}:\n\n- {}\n", lines.join("\n- "));
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
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let page =
        fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let page = replaced(&page, text)
        .with_context(|| format!("{} lacks `{BEGIN}` or `{END}` after it", path.display()))?;
    fs::write(path, page).with_context(|| format!("could not write {}", path.display()))
}

fn replaced(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(
        name: &str,
        contestant: &'static str,
        seconds: &[f64],
        cache: Option<f64>,
    ) -> Outcome {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        let sample = |seconds: &f64| Sample {
            wall: *seconds,
            cpu: 0.001,
            peak: Some(1e6),
            cache,
            added: cache,
            ..Sample::default()
        };
        let samples = seconds.iter().map(sample).collect();
        Outcome { samples, ..Outcome::new(row, contestant) }
    }

    fn report(outcomes: &[Outcome]) -> Report<'_> {
        Report {
            outcomes,
            missing: vec!["restic: it is not installed".to_owned()],
            machine: vec!["a machine".to_owned()],
            versions: vec!["tar 1".to_owned()],
            trees: Vec::new(),
            runs: 3,
        }
    }

    #[test]
    fn the_target_depends_on_a_rival_in_the_same_run() {
        let rival = || outcome("store", "tar+zstd", &[4.0], Some(1.0));
        let ours = |seconds, cache| outcome("store", "btdt", &[seconds], Some(cache));
        let target = |outcomes: &[Outcome]| report(outcomes).target(outcomes[0].row);
        let (told, met) = target(&[ours(2.9, 1.0), rival()]);
        assert_eq!((told.as_str(), met.as_str()), ("0.75x tar+zstd, 135 MB", "yes"));
        assert_eq!(target(&[ours(3.1, 1.0), rival()]).1, "**no**: time");
        assert_eq!(target(&[ours(1.0, 200e6), rival()]).1, "**no**: size");
        assert_eq!(target(&[rival()]).1, NOTHING);
        let small = ROWS.iter().find(|row| row.name == "server-small").unwrap();
        assert_eq!(report(&[]).target(small).0, "20.0x btdt-0.4.4");
    }

    #[test]
    fn the_text_names_what_was_measured_and_what_was_not() {
        let mut lossy = outcome("restore", "tar", &[0.85], None);
        lossy.lost.insert("mode");
        let outcomes = [outcome("restore", "btdt", &[0.400, 0.500, 0.425], None), lossy];
        let text = report(&outcomes).text();
        for part in ["a machine", "tar 1", "restic: it is not", "0.85 s (2.00x)", "- tar: mode"] {
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
