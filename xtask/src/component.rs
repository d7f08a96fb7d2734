//! The core component: built for WASI, checked, and precompiled for the target of the hosts.
//!
//! The hosts' build script embeds the artifacts in `target/component/`, and refuses those that are
//! older than the sources of the core. So the times of the artifacts matter as much as their
//! content.

use crate::artifacts::{add_checksum, hex_digest, with_ending, write_if_new};
use crate::composer;
use crate::precompiler;
use crate::process;
use crate::wasm_target;
use crate::workspace::{GUEST_TARGET, Profile, Workspace};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// The sources of the component: an artifact older than any of these files is stale.
const SOURCES: &[&str] = &[
    "core-wasm/Cargo.toml",
    "core-wasm/ports",
    "core-wasm/src",
    "wit",
    "host-runtime/engine-config",
    "Cargo.toml",
    "Cargo.lock",
];

/// Imports at which the trapping variant traps, with their names in the core's module.
const TRAPS: [&str; 2] = ["[static]materializer.finish", "[method]record-store.put"];

/// Packages whose interfaces the core may import.
const ALLOWED: &[&str] = &["btdt:cache/", "wasi:"];

/// Builds the component for hosts of one profile and precompiles it for `triple`, or for this
/// machine if there is none.
///
/// # Errors
/// If the target is missing, the build fails, or the component has a forbidden import.
pub(crate) fn build(workspace: &Workspace, profile: Profile, triple: Option<&str>) -> Result<()> {
    wasm_target::ensure(workspace)?;
    let triple = match triple {
        Some(triple) => triple.to_owned(),
        None => workspace.host_triple()?,
    };
    let freshness =
        Freshness { started: SystemTime::now(), newest_source: newest_source(workspace)? };
    build_guest(workspace, profile)?;
    let built = workspace.guest_artifact(profile, "btdt_core.wasm");
    let bytes = fs::read(&built)
        .with_context(|| format!("the component is missing: {}", built.display()))?;
    precompiler::check_imports(workspace, &built, ALLOWED)?;

    fs::create_dir_all(workspace.component_dir(profile))
        .context("could not make target/component")?;
    let wasm = workspace.component_wasm(profile);
    write_if_new(&wasm, &bytes)?;
    add_checksum(&wasm)?;
    let cwasm = workspace.component_cwasm(profile, &triple);
    precompile(workspace, &wasm, &cwasm, &triple)?;

    freshness.mark(&wasm)?;
    freshness.mark(&cwasm)
}

/// Creates a variant of the component for tests of how hosts handle a trap: it traps before it
/// publishes a restored tree and before it puts a record. Run [`build`] first.
///
/// # Errors
/// If the component does not call one of these imports.
pub(crate) fn build_trapping(workspace: &Workspace) -> Result<()> {
    let directory = workspace.component_dir(Profile::Dev);
    let (wasm, cwasm) =
        (directory.join("btdt-core-trapping.wasm"), directory.join("btdt-core-trapping.cwasm"));
    let mut command = composer::command(workspace)?;
    command.arg("trap").args([&workspace.component_wasm(Profile::Dev), &wasm]).args(TRAPS);
    process::run(&mut command).context("could not make the core component trap")?;
    precompile(workspace, &wasm, &cwasm, &workspace.host_triple()?)
}

/// The times that decide whether an artifact is newer than its sources. Both are taken before the
/// build, so that a source saved during the build makes the artifact stale.
struct Freshness {
    started: SystemTime,
    newest_source: SystemTime,
}

fn build_guest(workspace: &Workspace, profile: Profile) -> Result<()> {
    let mut cargo = workspace.guest_cargo();
    cargo.args(["build", "--package", "btdt-core", "--lib"]);
    cargo.args(["--target", GUEST_TARGET, "--profile", profile.guest()]);
    process::run(&mut cargo).context("could not build the core component")
}

/// Compiles the component to machine code, unless the existing artifact came from the same
/// component and the same compiler.
fn precompile(workspace: &Workspace, wasm: &Path, cwasm: &Path, triple: &str) -> Result<()> {
    let program = precompiler::build(workspace)?;
    let stamp_path = with_ending(cwasm, ".stamp");
    let up_to_date = match (stamp(wasm, &program, cwasm), fs::read_to_string(&stamp_path)) {
        (Ok(now), Ok(then)) => now == then,
        _ => false,
    };
    if up_to_date {
        return Ok(());
    }
    let mut command = Command::new(&program);
    command.arg("compile").args([wasm, cwasm]).arg(triple);
    process::run(&mut command).context("could not precompile the core component")?;
    write_if_new(&stamp_path, stamp(wasm, &program, cwasm)?.as_bytes())
}

/// The digests of the inputs of a precompiled component and of the artifact itself, because the
/// engine would load a damaged artifact without noticing.
fn stamp(wasm: &Path, program: &Path, cwasm: &Path) -> Result<String> {
    let mut text = String::new();
    for (name, path) in [("component", wasm), ("compiler", program), ("artifact", cwasm)] {
        let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        writeln!(text, "{name} {}", hex_digest(&bytes))?;
    }
    Ok(text)
}

fn newest_source(workspace: &Workspace) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for name in SOURCES {
        newest = newest.max(newest_beneath(&workspace.root().join(name))?);
    }
    Ok(newest)
}

/// The newest modification time of a file or of anything beneath a directory. The times of
/// directories count too, because they show that files were removed.
fn newest_beneath(path: &Path) -> Result<SystemTime> {
    let context = || format!("could not look at {}", path.display());
    let metadata = fs::symlink_metadata(path).with_context(context)?;
    let mut newest = metadata.modified().with_context(context)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).with_context(context)? {
            newest = newest.max(newest_beneath(&entry.with_context(context)?.path())?);
        }
    }
    Ok(newest)
}

impl Freshness {
    /// Makes an artifact newer than its sources, but not newer than the start of the build. If it
    /// already is, its time stays: a new time would make cargo rebuild the hosts for nothing.
    fn mark(&self, artifact: &Path) -> Result<()> {
        let context = || format!("could not set the time of {}", artifact.display());
        let file = File::options().append(true).open(artifact).with_context(context)?;
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        let modified = modified.with_context(context)?;
        if modified > self.newest_source && modified <= self.started {
            return Ok(());
        }
        // A source may have a time in the future: from another machine's clock or an archive.
        file.set_modified(self.started.max(self.newest_source)).with_context(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn file_from(directory: &Path, name: &str, seconds: u64) -> PathBuf {
        let path = directory.join(name);
        let file = File::create(&path).unwrap();
        file.set_modified(at(seconds)).unwrap();
        path
    }

    fn time_after_mark(modified: u64, newest_source: u64, started: u64) -> SystemTime {
        let directory = tempfile::tempdir().unwrap();
        let artifact = file_from(directory.path(), "a", modified);
        let freshness = Freshness { started: at(started), newest_source: at(newest_source) };
        freshness.mark(&artifact).unwrap();
        artifact.metadata().unwrap().modified().unwrap()
    }

    #[test]
    fn an_artifact_has_a_time_between_its_sources_and_the_build() {
        assert_eq!(time_after_mark(1_000, 900, 2_000), at(1_000), "fresh");
        assert_eq!(time_after_mark(1_000, 1_000, 2_000), at(2_000), "stale");
        assert_eq!(time_after_mark(2_010, 900, 2_000), at(2_000), "just made");
    }

    #[test]
    fn a_source_from_the_future_does_not_make_the_artifact_stale_for_ever() {
        assert_eq!(time_after_mark(1_000, 9_000, 2_000), at(9_000));
    }

    #[test]
    fn the_newest_file_is_found_in_subdirectories() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("one/two");
        fs::create_dir_all(&inner).unwrap();
        let future = SystemTime::now() + Duration::from_secs(86_400);
        let path = file_from(&inner, "deep", 0);
        File::options().append(true).open(&path).unwrap().set_modified(future).unwrap();
        assert_eq!(
            newest_beneath(directory.path()).unwrap(),
            path.metadata().unwrap().modified().unwrap()
        );
    }

    #[test]
    fn a_stamp_tells_every_input_and_the_artifact_apart() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["component", "compiler", "artifact"];
        let paths = names.map(|name| directory.path().join(name));
        for path in &paths {
            fs::write(path, "first").unwrap();
        }
        let stamp_now = || stamp(&paths[0], &paths[1], &paths[2]).unwrap();
        let first = stamp_now();
        assert_eq!(first, stamp_now());
        for path in &paths {
            fs::write(path, "second").unwrap();
            assert_ne!(stamp_now(), first);
            fs::write(path, "first").unwrap();
        }
        fs::remove_file(&paths[2]).unwrap();
        assert!(stamp(&paths[0], &paths[1], &paths[2]).is_err());
    }
}
