//! `cargo xtask demo`: btdt at work on a real directory, from a fresh clone, with every result
//! checked.

mod compare;
mod sources;
mod table;

use crate::build;
use crate::process;
use crate::readable::count;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result, bail};
use compare::{Size, Snapshot, compare, files_of_at_least, measure};
use sources::Changes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use table::{Row, size};

/// The key of the tree as it was.
const FIRST_KEY: &str = "dependencies-v1";
/// The key of the tree after the changes.
const SECOND_KEY: &str = "dependencies-v2";
/// A key that nothing was stored under.
const UNKNOWN_KEY: &str = "dependencies-v3";

/// Exit codes of `btdt restore`, as its documentation has them.
/// From this size on, in bytes, files are cut into chunks of their own.
const LARGE: u64 = 1 << 20;

const RESTORED_PRIMARY: i32 = 0;
const RESTORED_OTHER: i32 = 3;
const NOTHING_FOUND: i32 = 4;

/// The directories and the program of one demo.
struct Demo {
    program: PathBuf,
    root: PathBuf,
    cache: PathBuf,
    /// The tree as first stored.
    first: PathBuf,
    /// The tree after the changes.
    second: PathBuf,
    restored: PathBuf,
    rows: Vec<Row>,
}

/// What a run of btdt left.
struct Outcome {
    time: Duration,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Shows btdt at work and checks what it does.
///
/// # Errors
/// When something can't be set up, or a check fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    println!("Building btdt (a few minutes the first time) ...");
    let program = build::build(workspace, Profile::Release, None)?;
    let directory = workspace.target_dir().join("demo");
    let mut demo = Demo::new(program, workspace.root(), &directory)?;

    println!("Gathering the sources of this project's dependencies ...");
    let crates = sources::dependencies(workspace)?;
    sources::copy_all(&crates, &demo.first)?;
    sources::copy_all(&crates, &demo.second)?;
    let changes = sources::change(&demo.second)?;
    let tree = measure(&demo.first)?;
    println!(
        "\nThe directory to cache: {} crates, {} files, {}, in {}\n",
        crates.len(),
        count(tree.files),
        size(tree.bytes),
        demo.short(&demo.first.display().to_string())
    );

    demo.store_first(tree)?;
    demo.store_second(&changes)?;
    demo.restore_into_nothing(tree)?;
    demo.restore_over_existing(&changes)?;
    demo.restore_nearest()?;
    demo.miss()?;

    println!("{}", table::render(&demo.rows));
    println!("{}", demo.closing_words()?);
    println!("All restored trees were compared byte for byte, with modes and times: identical.");
    let [program, directory] =
        [&demo.program, &directory].map(|path| demo.short(&path.display().to_string()));
    println!("Look around in {directory}, and try:\n\n  {program} --help");
    Ok(())
}

impl Demo {
    /// Makes the directories anew; what an earlier demo left is removed.
    fn new(program: PathBuf, root: &Path, directory: &Path) -> Result<Self> {
        if directory.exists() {
            fs::remove_dir_all(directory)
                .with_context(|| format!("could not remove {}", directory.display()))?;
        }
        let demo = Self {
            program,
            root: root.to_path_buf(),
            cache: directory.join("cache"),
            first: directory.join("dependencies"),
            second: directory.join("dependencies-changed"),
            restored: directory.join("restored"),
            rows: Vec::new(),
        };
        for path in [&demo.cache, &demo.first, &demo.second] {
            fs::create_dir_all(path)
                .with_context(|| format!("could not make {}", path.display()))?;
        }
        Ok(demo)
    }

    fn store_first(&mut self, tree: Size) -> Result<()> {
        let outcome = self.store(FIRST_KEY, &self.first)?;
        let stored = measure(&self.cache)?;
        let percent = 100 * stored.bytes / tree.bytes.max(1);
        self.row(
            format!("store {FIRST_KEY}"),
            &outcome,
            format!(
                "{} files went into {} files of the cache, compressed to {percent} %.",
                count(tree.files),
                count(stored.files)
            ),
        )
    }

    fn store_second(&mut self, changes: &Changes) -> Result<()> {
        let outcome = self.store(SECOND_KEY, &self.second)?;
        let Changes { edited, added, deleted } = changes;
        self.row(
            format!("store {SECOND_KEY}"),
            &outcome,
            format!(
                "{edited} files edited, {added} added, {deleted} deleted: only what changed is new."
            ),
        )
    }

    fn restore_into_nothing(&mut self, tree: Size) -> Result<()> {
        let outcome = self.restore(&[FIRST_KEY], RESTORED_PRIMARY, FIRST_KEY)?;
        compare(&self.first, &self.restored)?;
        self.row(
            format!("restore {FIRST_KEY}, new directory"),
            &outcome,
            format!("{} files written and verified.", count(tree.files)),
        )
    }

    fn restore_over_existing(&mut self, changes: &Changes) -> Result<()> {
        let before = Snapshot::take(&self.restored)?;
        let outcome = self.restore(&[SECOND_KEY], RESTORED_PRIMARY, SECOND_KEY)?;
        compare(&self.second, &self.restored)?;
        let written = Snapshot::take(&self.restored)?.written_since(&before);
        // An identical file that is written again would cost the time this step is about. Archives
        // give files times of whole seconds, which do not tell versions apart: such files are
        // compared by content, and written anew if they are cut into several chunks.
        let expected = changes.edited + changes.added;
        let large = files_of_at_least(LARGE, &self.second)?;
        if !(expected..=expected + large).contains(&written) {
            bail!("a restore wrote {written} files where {expected} were different");
        }
        self.row(
            format!("restore {SECOND_KEY}, over the other"),
            &outcome,
            format!("{written} files differed and were written; the others were left alone."),
        )
    }

    fn restore_nearest(&mut self) -> Result<()> {
        let outcome = self.restore(&[UNKNOWN_KEY, FIRST_KEY], RESTORED_OTHER, FIRST_KEY)?;
        compare(&self.first, &self.restored)?;
        self.row(
            format!("restore {UNKNOWN_KEY} or {FIRST_KEY}"),
            &outcome,
            format!("The first key is unknown, so the second is used: exit code {RESTORED_OTHER}."),
        )
    }

    fn miss(&mut self) -> Result<()> {
        let outcome = self.btdt("restore", &[UNKNOWN_KEY], &[], &self.restored)?;
        outcome.expect(NOTHING_FOUND, "")?;
        self.row(
            format!("restore {UNKNOWN_KEY}"),
            &outcome,
            format!("A miss is no error, and has an exit code of its own: {NOTHING_FOUND}."),
        )
    }

    fn closing_words(&self) -> Result<String> {
        let (first, second) = (measure(&self.first)?, measure(&self.second)?);
        let stored = measure(&self.cache)?.bytes;
        let once = self.rows.first().map_or(0, |row| row.cache_bytes);
        Ok(format!(
            "Two trees of {} together are in a cache of {}. An archive of each would take about {};\n\
             deduplication saved {}.",
            size(first.bytes + second.bytes),
            size(stored),
            size(2 * once),
            size((2 * once).saturating_sub(stored))
        ))
    }

    fn store(&self, key: &str, tree: &Path) -> Result<Outcome> {
        let outcome = self.btdt("store", &[key], &[], tree)?;
        outcome.expect(0, "")?;
        Ok(outcome)
    }

    /// Restores with `--exact`, so that the destination can be compared as a whole.
    fn restore(&self, keys: &[&str], code: i32, restored_key: &str) -> Result<Outcome> {
        let outcome = self.btdt("restore", keys, &["--exact"], &self.restored)?;
        outcome.expect(code, &format!("Restored key {restored_key}\n"))?;
        Ok(outcome)
    }

    fn btdt(&self, operation: &str, keys: &[&str], flags: &[&str], path: &Path) -> Result<Outcome> {
        let mut command = Command::new(&self.program);
        command.arg(operation).arg("--cache").arg(&self.cache);
        command.args(["--keys", &keys.join(",")]).args(flags).arg(path);
        println!("$ {}", self.short(&process::display(&command)));
        let start = Instant::now();
        let output = command.output().context("could not start btdt")?;
        let time = start.elapsed();
        let outcome = Outcome {
            time,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        print!("{}{}", outcome.stdout, outcome.stderr);
        println!();
        Ok(outcome)
    }

    /// Paths as one would type them at the root of the repository.
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root.display()), "")
    }

    fn row(&mut self, step: String, outcome: &Outcome, meaning: String) -> Result<()> {
        let cache_bytes = measure(&self.cache)?.bytes;
        let before = self.rows.last().map_or(0, |row| row.cache_bytes);
        self.rows.push(Row {
            step,
            time: outcome.time,
            cache_bytes,
            added_bytes: cache_bytes.saturating_sub(before),
            meaning,
        });
        Ok(())
    }
}

impl Outcome {
    /// Checks the exit code and the standard output.
    fn expect(&self, code: i32, stdout: &str) -> Result<()> {
        if self.code != Some(code) {
            bail!("btdt ended with {:?} instead of exit code {code}: {}", self.code, self.stderr);
        }
        if self.stdout != stdout {
            bail!("btdt printed {:?} instead of {stdout:?}", self.stdout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_exit_code_or_output_fails() {
        let outcome = Outcome {
            time: Duration::ZERO,
            code: Some(1),
            stdout: "Restored key a\n".into(),
            stderr: "Error: broken".into(),
        };
        outcome.expect(1, "Restored key a\n").unwrap();
        let message = outcome.expect(0, "Restored key a\n").unwrap_err().to_string();
        assert!(message.contains("Error: broken"), "{message}");
        assert!(outcome.expect(1, "Restored key b\n").is_err());
    }
}
