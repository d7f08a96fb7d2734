//! What the runs of one contestant in one row gave.

use super::compare_trees::{self, Differences};
use super::installed_contestants::Entrant;
use super::row_table::{Row, Unit};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;

/// One measured run. Times are in seconds, sizes in bytes.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// From the start to the end of the process.
    pub(super) wall: f64,
    /// User and system time of the process and of the children that it waited for.
    pub(super) cpu: f64,
    /// The largest resident set of the process or of one of its children; not their sum.
    pub(super) peak: Option<f64>,
    /// In the cache afterwards, for a store.
    pub(super) cache: Option<f64>,
    /// By how much the cache grew, for a store.
    pub(super) added: Option<f64>,
    /// Requests that a server answered meanwhile, and the bytes of the answers.
    pub(super) requests: f64,
    pub(super) bytes: f64,
    /// For a restore.
    pub(super) differences: Differences,
}

/// All runs of one contestant in one row.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) row: &'static Row,
    pub(super) contestant: &'static str,
    pub(super) samples: Vec<Sample>,
    /// What was not restored as it had been stored.
    pub(super) lost: BTreeSet<&'static str>,
    /// Why a rival failed.
    pub(super) failure: Option<String>,
}

impl Outcome {
    pub(super) fn new(row: &'static Row, contestant: &'static str) -> Self {
        Self { row, contestant, samples: Vec::new(), lost: BTreeSet::new(), failure: None }
    }

    /// What is compared in the row: less is better.
    pub(super) fn costs(&self) -> Option<Spread> {
        self.spread(|sample| match self.row.unit {
            Unit::Seconds => Some(sample.wall),
            Unit::RequestsPerSecond => Some(sample.wall / sample.requests),
            Unit::BytesPerSecond => Some(sample.wall / sample.bytes),
            Unit::Memory => sample.peak,
        })
    }

    /// The spread of a figure, or `None` when no run has it.
    pub(super) fn spread(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(figure).collect())
    }

    /// Takes in the result of a run, and tells whether it succeeded.
    ///
    /// # Errors
    /// When one of our own programs failed or restored something wrong: that ends the bench.
    pub(super) fn take(
        &mut self,
        entrant: &Entrant,
        result: Result<Sample>,
        is_recorded: bool,
    ) -> Result<bool> {
        let context = format!("row {}, {}", self.row.name, self.contestant);
        let sample = match result {
            Ok(sample) => sample,
            Err(error) if entrant.is_ours() => return Err(error).context(context),
            Err(error) => {
                println!("  note: {context}: {error:#}");
                self.failure = Some(error.root_cause().to_string());
                return Ok(false);
            }
        };
        let differences = &sample.differences;
        // What WASI does not have cannot be restored under it.
        let is_damaged = compare_trees::is_damaged(differences);
        let is_excused = self.contestant == "btdt-wasi" && !is_damaged;
        if entrant.is_ours() && !differences.is_empty() && !is_excused {
            bail!("{context}: restored wrong: {}", compare_trees::describe(differences));
        }
        if is_damaged && self.lost.is_empty() {
            println!("  note: {context}: {}", compare_trees::describe(differences));
        }
        self.lost.extend(differences.keys());
        if is_recorded {
            self.samples.push(sample);
        }
        Ok(true)
    }
}

/// Median, smallest and largest of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` for an empty list.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of(vec![7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
