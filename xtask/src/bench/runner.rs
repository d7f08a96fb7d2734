//! Runs the commands of the rows in alternation, in fresh directories, and checks what they
//! restored.

use super::check::{self, Differences, Extras};
use super::files;
use super::load::Work;
use super::measure::{self, Invocation, Usage};
use super::numbers::Spread;
use super::rows::{Group, Row, Step, Unit};
use super::scratch::Scratch;
use super::tools::{Tool, Toolbox};
use super::trees::{Generated, NodeTrees};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tree that was stored first, and the one with bumped packages.
const KEY: &str = "base";
const BUMPED_KEY: &str = "bumped";

/// A process of milliseconds is measured this many times more often.
const HASH_FACTOR: usize = 5;

/// One measured run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) usage: Usage,
    /// Bytes in the cache afterwards, for a store.
    pub(super) cache: Option<u64>,
    /// Bytes that the cache grew by, for a store.
    pub(super) added: Option<u64>,
    /// What a server did meanwhile.
    pub(super) work: Option<Work>,
}

impl Sample {
    /// What is compared in a row of this unit: less is better.
    pub(super) fn cost(&self, unit: Unit) -> f64 {
        let wall = self.usage.wall.as_secs_f64();
        let work = self.work.unwrap_or_default();
        match unit {
            Unit::Seconds => wall,
            Unit::Requests => wall / work.requests as f64,
            Unit::Bytes => wall / work.bytes as f64,
            Unit::Memory => self.usage.peak as f64,
        }
    }
}

/// All runs of one tool in one row.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) row: &'static Row,
    pub(super) tool: Tool,
    pub(super) samples: Vec<Sample>,
    /// What was not restored as it had been stored.
    pub(super) lost: BTreeSet<&'static str>,
    /// Why a rival did not get through, without the command line.
    pub(super) failure: Option<String>,
}

impl Outcome {
    fn new(row: &'static Row, tool: Tool) -> Self {
        Self { row, tool, samples: Vec::new(), lost: BTreeSet::new(), failure: None }
    }

    /// Median, smallest and largest cost of the runs.
    pub(super) fn costs(&self) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| sample.cost(self.row.unit)))
    }

    /// Takes in the result of a run; a failure of btdt itself ends the bench.
    fn take(
        &mut self,
        result: Result<(Sample, Option<Differences>)>,
        recorded: bool,
    ) -> Result<()> {
        let context = || format!("row {}, {}", self.row.name, self.tool.title());
        match result {
            Ok((sample, differences)) => {
                if let Some(differences) = differences.filter(|found| !found.none()) {
                    // What WASI does not have cannot be restored under it.
                    let excused = self.tool != Tool::Ours && !differences.damage();
                    if self.tool.is_ours() && !excused {
                        bail!("{}: restored wrong: {differences}", context());
                    }
                    if differences.damage() && self.lost.is_empty() {
                        println!("  note: {}: {differences}", context());
                    }
                    self.lost.extend(differences.summary());
                }
                if recorded {
                    self.samples.push(sample);
                }
                Ok(())
            }
            Err(error) if self.tool.is_ours() => Err(error).with_context(context),
            Err(error) => {
                println!("  note: {}: {error:#}", context());
                self.failure = Some(error.root_cause().to_string());
                Ok(())
            }
        }
    }
}

/// Measures the rows of one group.
pub(super) struct Runner<'a> {
    pub(super) tools: &'a Toolbox,
    pub(super) scratch: &'a Scratch,
    pub(super) runs: usize,
}

impl Runner<'_> {
    pub(super) fn hash(&self, row: &'static Row) -> Result<Vec<Outcome>> {
        let file = self.scratch.path("small.txt");
        fs::write(&file, [b'x'; 1024])?;
        self.check_hash(&file)?;
        self.alternate(row, self.runs * HASH_FACTOR, true, |tool| {
            let usage = self.measure(&self.tools.hash(tool, &file))?;
            Ok((Sample::plain(usage), None))
        })
    }

    /// One run of each tool after the other, so that a disturbance meets them all.
    pub(super) fn alternate(
        &self,
        row: &'static Row,
        runs: usize,
        warm_up: bool,
        mut run: impl FnMut(Tool) -> Result<(Sample, Option<Differences>)>,
    ) -> Result<Vec<Outcome>> {
        println!("{}", row.title);
        let mut outcomes = self.outcomes(row);
        for round in usize::from(!warm_up)..=runs {
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.failure.is_none()) {
                outcome.take(run(outcome.tool), round > 0)?;
            }
        }
        show(&outcomes);
        Ok(outcomes)
    }

    fn outcomes(&self, row: &'static Row) -> Vec<Outcome> {
        let available = row.tools.iter().copied().filter(|tool| self.tools.has(*tool));
        available.map(|tool| Outcome::new(row, tool)).collect()
    }

    pub(super) fn measure(&self, invocation: &Invocation) -> Result<Usage> {
        self.scratch.settle()?;
        measure::measure(invocation, &self.scratch.path(""))
    }

    /// `btdt hash` must agree with `sha256sum`.
    fn check_hash(&self, file: &Path) -> Result<()> {
        if self.tools.has(Tool::Ours) && self.tools.has(Tool::Sha256sum) {
            let digest = |tool| {
                let text = crate::process::capture(&mut self.tools.hash(tool, file).command())?;
                Ok::<_, anyhow::Error>(text.split_whitespace().next().map(str::to_owned))
            };
            let (ours, expected) = (digest(Tool::Ours)?, digest(Tool::Sha256sum)?);
            if ours != expected {
                bail!("btdt hash says {ours:?}, sha256sum {expected:?}");
            }
        }
        Ok(())
    }

    /// Stores a tree into an empty cache of the run's own, or into one that is there.
    fn store(
        &self,
        tool: Tool,
        tree: &Path,
        cache: &Path,
        key: &str,
        previous: Option<&str>,
    ) -> Result<Sample> {
        let before = files::totals(cache)?.bytes;
        let invocation = self.tools.store(tool, tree, cache, key, previous);
        let usage = self.measure(&invocation)?;
        let after = files::totals(cache)?.bytes;
        Ok(Sample {
            usage,
            cache: Some(after),
            added: Some(after.saturating_sub(before)),
            work: None,
        })
    }
}

impl Sample {
    pub(super) fn plain(usage: Usage) -> Self {
        Self { usage, cache: None, added: None, work: None }
    }

    /// Of a server at work.
    pub(super) fn work(usage: Usage, work: Work) -> Self {
        Self { work: Some(work), ..Self::plain(usage) }
    }

    /// Of memory alone, in bytes.
    pub(super) fn memory(peak: u64) -> Self {
        Self::plain(Usage { wall: Duration::ZERO, cpu: Duration::ZERO, peak })
    }
}

/// The rows about `node_modules`, with one filled cache for each tool.
pub(super) struct NodeRunner<'a> {
    runner: &'a Runner<'a>,
    base: PathBuf,
    bumped: PathBuf,
}

impl<'a> NodeRunner<'a> {
    /// Copies the kept trees to where they are measured.
    pub(super) fn new(runner: &'a Runner<'a>, kept: &NodeTrees) -> Result<Self> {
        let base = runner.scratch.path("base");
        let bumped = runner.scratch.path("bumped");
        files::copy(&kept.base, &base)?;
        files::copy(&kept.bumped, &bumped)?;
        Ok(Self { runner, base, bumped })
    }

    pub(super) fn row(&self, row: &'static Row) -> Result<Vec<Outcome>> {
        if row.step != Step::Store {
            for tool in row.tools.iter().filter(|tool| self.runner.tools.has(**tool)) {
                self.fill_cache(*tool)?;
            }
        }
        self.runner.alternate(row, self.runner.runs, true, |tool| {
            let place = self.runner.scratch.fresh("run")?;
            let result = self.step(row.step, tool, &place);
            files::remove(&place)?;
            result
        })
    }

    fn filled_cache(&self, tool: Tool) -> PathBuf {
        self.runner.scratch.path(&format!("filled-{}", tool.name()))
    }

    /// Makes the cache that has the base tree, unless an earlier row did.
    fn fill_cache(&self, tool: Tool) -> Result<()> {
        let cache = self.filled_cache(tool);
        if cache.exists() {
            return Ok(());
        }
        let tools = self.runner.tools;
        tools.make_cache(tool, &cache)?;
        let store = |tree, key| {
            let invocation = tools.store(tool, tree, &cache, key, None);
            measure::measure(&invocation, &self.runner.scratch.path(""))
        };
        store(&self.base, KEY)?;
        if tool == Tool::Git {
            // It can only go from one state to another that it knows.
            store(&self.bumped, BUMPED_KEY)?;
        }
        Ok(())
    }

    fn step(&self, step: Step, tool: Tool, place: &Path) -> Result<(Sample, Option<Differences>)> {
        let runner = self.runner;
        let cache = place.join("cache");
        let destination = place.join("node_modules");
        match step {
            Step::Hash
            | Step::SmallRequests
            | Step::Archive
            | Step::Chunks
            | Step::MemoryIdle
            | Step::MemoryTransfers => bail!("{step:?} is no step of node_modules"),
            Step::Store => {
                runner.tools.make_cache(tool, &cache)?;
                Ok((runner.store(tool, &self.base, &cache, KEY, None)?, None))
            }
            Step::StoreAgain => {
                files::copy(&self.filled_cache(tool), &cache)?;
                let sample = runner.store(tool, &self.bumped, &cache, BUMPED_KEY, Some(KEY))?;
                Ok((sample, None))
            }
            Step::Restore => self.restore(tool, &destination, Extras::Count),
            Step::RestoreOverIdentical => {
                files::copy(&self.base, &destination)?;
                let cache = self.filled_cache(tool);
                runner.tools.announce(tool, &cache, KEY, &destination)?;
                self.restore(tool, &destination, Extras::Count)
            }
            Step::RestoreOverDifferent => {
                files::copy(&self.bumped, &destination)?;
                let cache = self.filled_cache(tool);
                runner.tools.announce(tool, &cache, BUMPED_KEY, &destination)?;
                // What only the other tree has stays, unless a tool is told otherwise.
                self.restore(tool, &destination, Extras::Allow)
            }
        }
    }

    fn restore(
        &self,
        tool: Tool,
        destination: &Path,
        extras: Extras,
    ) -> Result<(Sample, Option<Differences>)> {
        let tools = self.runner.tools;
        let invocation = tools.restore(tool, &self.filled_cache(tool), KEY, destination);
        let usage = self.runner.measure(&invocation)?;
        let differences = check::compare(&self.base, destination, extras)?;
        Ok((Sample::plain(usage), Some(differences)))
    }
}

/// The rows about a generated tree: each tool in turn stores it and restores it again, so that
/// only one cache and one destination exist at a time.
pub(super) fn generated(
    runner: &Runner<'_>,
    tree: Generated,
    store: &'static Row,
    restore: &'static Row,
) -> Result<Vec<Outcome>> {
    println!("{}, {}", store.title, restore.title);
    let root = runner.scratch.path("generated");
    tree.make(&root)?;
    let once = matches!(store.group, Group::Memory(_));
    let runs = if once { 1 } else { runner.runs };
    let mut stores = runner.outcomes(store);
    let mut restores = runner.outcomes(restore);
    for round in usize::from(once)..=runs {
        for (stored, restored) in stores.iter_mut().zip(&mut restores) {
            if stored.failure.is_none() && restored.failure.is_none() {
                let place = runner.scratch.fresh("run")?;
                let results = store_and_restore(runner, stored.tool, &root, &place);
                files::remove(&place)?;
                stored.take(results.0.map(|sample| (sample, None)), round > 0)?;
                if let Some(result) = results.1 {
                    restored.take(result, round > 0)?;
                }
            }
        }
    }
    files::remove(&root)?;
    show(&stores);
    show(&restores);
    stores.extend(restores);
    Ok(stores)
}

type Restored = Option<Result<(Sample, Option<Differences>)>>;

fn store_and_restore(
    runner: &Runner<'_>,
    tool: Tool,
    tree: &Path,
    place: &Path,
) -> (Result<Sample>, Restored) {
    let cache = place.join("cache");
    let stored = runner
        .tools
        .make_cache(tool, &cache)
        .and_then(|()| runner.store(tool, tree, &cache, KEY, None));
    if stored.is_err() {
        return (stored, None);
    }
    let restore = || {
        let destination = place.join("destination");
        let usage = runner.measure(&runner.tools.restore(tool, &cache, KEY, &destination))?;
        let differences = check::compare(tree, &destination, Extras::Count)?;
        Ok((Sample::plain(usage), Some(differences)))
    };
    (stored, Some(restore()))
}

/// The medians of a row, while the others are still to come.
fn show(outcomes: &[Outcome]) {
    for outcome in outcomes {
        if let Some(spread) = outcome.costs() {
            let name = outcome.tool.title();
            let step = format!("{:?}", outcome.row.step);
            println!("  {name:<14} {:>8}  ({step})", outcome.row.unit.show(spread.median));
        }
    }
}
