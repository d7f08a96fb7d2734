//! Finds the contestants that are installed, and builds or installs those of our own.

use super::contestants::{BTDT, CONTESTANTS, Contestant};
use super::directories;
use super::options::Options;
use crate::build;
use crate::process;
use crate::wasi_runtime;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const ORIGINAL_VERSION: &str = "0.4.4";

/// A contestant that is installed.
#[derive(Debug)]
pub(super) struct Entrant {
    pub(super) contestant: &'static Contestant,
    /// Its `btdt`, if it is one.
    pub(super) program: PathBuf,
}

impl Entrant {
    pub(super) fn name(&self) -> &'static str {
        self.contestant.name
    }

    /// Whether a failure ends the bench: only programs that were just built.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.name(), "btdt" | "btdt-wasi")
    }

    pub(super) fn server(&self) -> PathBuf {
        self.program.with_file_name("btdt-server")
    }
}

/// Finds the wanted contestants, builds or installs those of our own, and tells what is missing.
/// Nothing is built or installed for a list.
pub(super) fn find(
    workspace: &Workspace,
    options: &Options,
) -> Result<(Vec<Entrant>, Vec<String>)> {
    let mut entrants = Vec::new();
    let mut missing = Vec::new();
    for contestant in CONTESTANTS.iter().filter(|known| options.wants_contestant(known.name)) {
        let given = options.programs.as_deref();
        let program = match contestant.name {
            _ if options.list && contestant.store == BTDT.store => continue,
            "btdt" => match given {
                Some(directory) => existing(directory, "btdt")?,
                None => build::build(workspace, Profile::Release, None)?,
            },
            "btdt-wasi" => match given {
                Some(directory) => existing(directory, "btdt-wasi")?,
                None => wasi_runtime::wasmtime(workspace, Profile::Release)?.into_path(),
            },
            "btdt-before" => {
                existing(options.against.as_deref().unwrap_or(Path::new(".")), "btdt")?
            }
            "btdt-0.4.4" => match original(workspace) {
                Ok(program) => program,
                Err(error) => {
                    missing.push(format!("{}: {error:#}", contestant.name));
                    continue;
                }
            },
            _ => PathBuf::new(),
        };
        let lacks = |name: &&&str| process::find_program(name).is_none();
        match contestant.programs.iter().find(lacks) {
            Some(name) => missing.push(format!("{}: {name} is not installed", contestant.name)),
            None => entrants.push(Entrant { contestant, program }),
        }
    }
    Ok((entrants, missing))
}

fn existing(directory: &Path, name: &str) -> Result<PathBuf> {
    let program = directory.join(name);
    program.canonicalize().with_context(|| format!("there is no {}", program.display()))
}

/// The versions of the programs behind the contestants, each once.
pub(super) fn versions(entrants: &[Entrant]) -> Vec<String> {
    let mut versions = Vec::new();
    for entrant in entrants {
        let own = (entrant.program != Path::new("")).then(|| entrant.program.clone());
        let others = entrant.contestant.programs.iter().map(PathBuf::from);
        for program in own.into_iter().chain(others) {
            let line = version(&program);
            if !versions.contains(&line) {
                versions.push(line);
            }
        }
    }
    versions
}

/// The first line of what a program says about its version.
fn version(program: &Path) -> String {
    let argument = if program.ends_with("restic") { "version" } else { "--version" };
    let text = process::capture(Command::new(program).arg(argument).env("LC_ALL", "C"));
    let text = text.unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim_matches(['*', ' ']);
    let name = program.display();
    if line.is_empty() { format!("{name} (unknown version)") } else { line.to_owned() }
}

/// The previous release in the target directory; its server is beside it. The interoperability tests
/// build it too, but unoptimised.
fn original(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target_dir().join("bench/rival");
    let program = root.join("bin/btdt");
    if program.is_file() {
        return Ok(program);
    }
    println!("Installing btdt {ORIGINAL_VERSION} (kept for later runs)");
    // In its own target directory: its programs have the names of ours.
    let build = workspace.target_dir().join("bench/rival-build");
    let mut command = workspace.cargo();
    command.args(["install", "--locked"]);
    command.args(["btdt-cli", "btdt-server"].map(|name| format!("{name}@{ORIGINAL_VERSION}")));
    command.arg("--root").arg(&root).arg("--target-dir").arg(&build);
    let installed = process::run(&mut command);
    directories::remove(&build)?;
    match installed {
        // The server alone may fail, for want of the headers of OpenSSL.
        Err(error) if program.is_file() => eprintln!("xtask: warning: {error:#}"),
        installed => installed?,
    }
    Ok(program)
}
