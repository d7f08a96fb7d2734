//! The trees that are stored and restored: real ones from npm, kept under the target directory
//! because they take a while, and generated ones, made anew from their seed for each run.

use super::files;
use super::random::{Random, Text, fingerprint};
use crate::process;
use crate::readable;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// To be raised when the same inputs shall give another tree, so that kept trees are made again.
const RECIPE: &str = "2";

/// The packages for one kind of machine, on any machine: npm would otherwise choose other
/// precompiled binaries for each. Scripts could do anything, so none runs.
const NPM_OPTIONS: &[&str] = &[
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--os=linux",
    "--cpu=x64",
    "--libc=glibc",
    "--loglevel=error",
];

/// The number of files that the design's figures are for, and how far off a tree may be.
const NODE_FILES: u64 = 38_567;
const NODE_TOLERANCE: f64 = 0.1;

/// Files of the generated trees lie in directories of this many.
const FILES_PER_DIRECTORY: u64 = 100;
/// The largest of the small files.
const SMALL_FILE: u64 = 4096;
/// Random bytes and text alternate in stretches of this many bytes.
const STRETCH: usize = 4 << 20;

/// The two trees from npm, the second with five packages bumped, as projects with a
/// `node_modules` each.
#[derive(Debug)]
pub(super) struct NodeTrees {
    pub(super) base: PathBuf,
    pub(super) bumped: PathBuf,
}

/// Finds the kept trees, or makes them.
///
/// # Errors
/// When npm is missing or fails.
pub(super) fn node_trees(workspace: &Workspace) -> Result<NodeTrees> {
    let pinned = workspace.root().join("xtask/bench/node-modules");
    let kept = workspace.target_dir().join("bench/trees");
    fs::create_dir_all(&kept).with_context(|| format!("could not create {}", kept.display()))?;
    let base = Kept::new(&kept, "base", &pinned.join("base"), &[])?;
    let bumped = Kept::new(&kept, "bumped", &pinned.join("bumped"), &[&base.recipe])?;
    base.make(|project| npm(project, "ci"))?;
    bumped.make(|project| {
        // Updated in place: packages that are not bumped are not touched.
        let installed = "node_modules";
        files::copy(&base.project.join(installed), &project.join(installed))?;
        npm(project, "install")?;
        files::keep_times_of_equal(&base.project.join(installed), &project.join(installed))
    })?;
    let trees = NodeTrees {
        base: base.project.join("node_modules"),
        bumped: bumped.project.join("node_modules"),
    };
    let found = files::totals(&trees.base)?;
    if (found.files as f64 / NODE_FILES as f64 - 1.0).abs() > NODE_TOLERANCE {
        eprintln!(
            "note: node_modules has {} files, the design's figures are for {}",
            readable::count(found.files),
            readable::count(NODE_FILES)
        );
    }
    Ok(trees)
}

/// A project directory that is complete when a marker beside it has the right recipe.
struct Kept {
    project: PathBuf,
    marker: PathBuf,
    pinned: PathBuf,
    recipe: String,
}

impl Kept {
    fn new(kept: &Path, name: &str, pinned: &Path, based_on: &[&str]) -> Result<Self> {
        let read = |file: &str| {
            let path = pinned.join(file);
            fs::read(&path).with_context(|| format!("could not read {}", path.display()))
        };
        let (package, lock) = (read("package.json")?, read("package-lock.json")?);
        let options = NPM_OPTIONS.join(" ");
        let mut parts = vec![RECIPE.as_bytes(), options.as_bytes(), &package, &lock];
        parts.extend(based_on.iter().map(|recipe| recipe.as_bytes()));
        Ok(Self {
            project: kept.join(name),
            marker: kept.join(format!("{name}.complete")),
            pinned: pinned.to_path_buf(),
            recipe: format!("{:016x}\n", fingerprint(&parts)),
        })
    }

    /// Makes the project, unless it is there already.
    fn make(&self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if fs::read_to_string(&self.marker).is_ok_and(|recipe| recipe == self.recipe) {
            return Ok(());
        }
        println!("Making {} (kept for later runs)", self.project.display());
        files::remove(&self.marker)?;
        files::remove(&self.project)?;
        fs::create_dir_all(&self.project)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(self.pinned.join(name), self.project.join(name))?;
        }
        fill(&self.project)
            .with_context(|| format!("could not make {}", self.project.display()))?;
        let lock = "package-lock.json";
        if fs::read(self.pinned.join(lock))? != fs::read(self.project.join(lock))? {
            bail!("npm changed {lock}: the versions are not what was pinned");
        }
        fs::write(&self.marker, &self.recipe)?;
        Ok(())
    }
}

fn npm(project: &Path, command: &str) -> Result<()> {
    process::run(Command::new("npm").arg(command).args(NPM_OPTIONS).current_dir(project))
}

/// A tree that is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generated {
    /// So many files of 0 to 4096 bytes of text.
    Small { count: u64 },
    /// So many files of that size, in which random bytes and text alternate.
    Large { count: u64, size: u64 },
}

impl Generated {
    /// Roughly the bytes that one copy takes, on a file system of pages of 4 KiB.
    pub(super) fn space(self) -> u64 {
        match self {
            Self::Small { count } => count * SMALL_FILE,
            Self::Large { count, size } => count * size,
        }
    }

    /// Makes the tree. It is the same in every run, the times included.
    ///
    /// # Errors
    /// When something can't be written.
    pub(super) fn make(self, root: &Path) -> Result<()> {
        fs::create_dir_all(root)?;
        match self {
            Self::Small { count } => small_files(root, count),
            Self::Large { count, size } => (0..count).try_for_each(|index| {
                let path = root.join(format!("large-{index}.bin"));
                large_file(&path, index, size)
            }),
        }
        .with_context(|| format!("could not make {}", root.display()))
    }
}

fn small_files(root: &Path, count: u64) -> Result<()> {
    let text = Text::words(1);
    let mut random = Random::new(2);
    let mut buffer = vec![0; SMALL_FILE as usize];
    let mut directory = root.to_path_buf();
    for index in 0..count {
        if index.is_multiple_of(FILES_PER_DIRECTORY) {
            let group = index / FILES_PER_DIRECTORY;
            directory = root.join(format!("d{:02}/e{:04}", group % 64, group));
            fs::create_dir_all(&directory)?;
        }
        let content = &mut buffer[..random.below(SMALL_FILE + 1) as usize];
        text.fill(&mut random, content);
        let name = format!("{:x}-{index}.txt", random.next() >> 40);
        let mut file = File::create(directory.join(name))?;
        file.write_all(content)?;
        set_time(&file, &mut random)?;
    }
    Ok(())
}

fn large_file(path: &Path, seed: u64, size: u64) -> Result<()> {
    let text = Text::records(3);
    let mut random = Random::new(4 + seed);
    let mut file = File::create(path)?;
    let mut buffer = vec![0; STRETCH];
    let mut rest = size;
    let mut is_random = true;
    while rest > 0 {
        let length = usize::try_from(rest).unwrap_or(STRETCH).min(STRETCH);
        let content = &mut buffer[..length];
        if is_random {
            random.fill(content);
        } else {
            text.fill(&mut random, content);
        }
        file.write_all(content)?;
        is_random = !is_random;
        rest -= length as u64;
    }
    set_time(&file, &mut random)
}

/// A time in 2023, with nanoseconds.
fn set_time(file: &File, random: &mut Random) -> Result<()> {
    const YEAR_2023: u64 = 1_672_531_200;
    let seconds = YEAR_2023 + random.below(365 * 24 * 3600);
    let time = Duration::from_secs(seconds) + Duration::from_nanos(random.below(1_000_000_000));
    Ok(file.set_modified(SystemTime::UNIX_EPOCH + time)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_trees_have_what_they_promise() {
        let root = tempfile::tempdir().unwrap();
        let small = root.path().join("small");
        Generated::Small { count: 250 }.make(&small).unwrap();
        let found = files::totals(&small).unwrap();
        assert_eq!(found.files, 250);
        assert!(found.bytes > 0 && found.bytes <= 250 * SMALL_FILE);

        let large = root.path().join("large");
        let size = STRETCH as u64 * 2 + 1;
        Generated::Large { count: 2, size }.make(&large).unwrap();
        assert_eq!(files::totals(&large).unwrap().bytes, 2 * size);
    }

    #[test]
    fn the_lock_files_name_no_registry_and_differ_in_five_packages() {
        let workspace = Workspace::locate().unwrap();
        let pinned = workspace.root().join("xtask/bench/node-modules");
        let read = |path: &str| fs::read_to_string(pinned.join(path)).unwrap();
        for lock in ["base/package-lock.json", "bumped/package-lock.json"] {
            assert!(!read(lock).contains("\"resolved\""), "{lock}");
            assert!(!read(lock).contains("http"), "{lock}");
        }
        let (base, bumped) = (read("base/package.json"), read("bumped/package.json"));
        let changed = base.lines().zip(bumped.lines()).filter(|(a, b)| a != b);
        assert_eq!(changed.count(), 5);
    }
}
