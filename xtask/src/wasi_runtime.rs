//! Makes `btdt.wasm` a program: for each runtime that the tests use, a directory with a shell
//! script `btdt` that replaces the native program.
//!
//! A directory has everything that its script runs except Node.js, so that tests can copy it to a
//! place that another user can access.

use crate::compose;
use crate::process;
use crate::workspace::{Profile, Workspace};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages that are not built together with the hosts: cargo unites the features of everything in
/// one build, so the hosts would link the compiler that these packages need.
pub(crate) const TOOLS: &[&str] = &[
    "xtask",
    "btdt-compose",
    "btdt-precompile",
    "btdt-tidy",
    "btdt-tool-features",
    "btdt-wasi-tests",
];

/// Finds its own directory, even when started through a symbolic link, and runs `$program`.
const SCRIPT: &str = "\
#!/bin/sh
program=$0
if [ -L \"$program\" ]; then program=$(readlink -f \"$program\"); fi
here=${program%/*}
";

/// A program that runs `btdt.wasm`.
pub(crate) struct WasiProgram {
    /// The value of `BTDT_TEST_RUNTIME`.
    runtime: &'static str,
    path: PathBuf,
}

impl WasiProgram {
    /// The path of the program.
    pub(crate) fn into_path(self) -> PathBuf {
        self.path
    }

    /// Makes a cargo command test this program instead of the native one.
    pub(crate) fn stand_in(&self, command: &mut Command) {
        command.env("BTDT_TEST_PROGRAM", &self.path).env("BTDT_TEST_RUNTIME", self.runtime);
    }
}

/// Builds `btdt.wasm` and a plain WASI host on wasmtime to run it in: with the test profile, or
/// optimised for measurements.
pub(crate) fn wasmtime(workspace: &Workspace, profile: Profile) -> Result<WasiProgram> {
    let component = component(workspace, profile)?;
    let mut build = workspace.cargo();
    build.arg("build");
    let name = match profile {
        Profile::Release => {
            build.args(["--release", "--package", "btdt-wasi-tests", "--bin", "wasi-run"]);
            "wasmtime-release"
        }
        Profile::Dev => {
            // Build all of them, although only one is needed: then the libraries are the same as
            // for the tests of the tools.
            for tool in TOOLS {
                build.args(["--package", tool]);
            }
            "wasmtime"
        }
    };
    process::run(&mut build).context("could not build the WASI host")?;
    let directory = directory(workspace, name)?;
    let runner = directory.join("wasi-run");
    install(&workspace.program(profile, "wasi-run"), &runner)?;
    let mut precompile = Command::new(&runner);
    precompile.arg("--precompile").arg(&component).arg(directory.join("btdt.cwasm"));
    process::run(&mut precompile).context("could not precompile btdt.wasm")?;
    let start = "exec \"$here/wasi-run\" \"$here/btdt.cwasm\" \"$@\"\n";
    Ok(WasiProgram { runtime: "wasmtime", path: write_script(&directory, start)? })
}

/// Builds `btdt.wasm`, translates it to JavaScript with jco, and puts the result beside what
/// Node.js needs to run it. npm packages are installed beneath the target directory.
pub(crate) fn jco(workspace: &Workspace) -> Result<WasiProgram> {
    let component = component(workspace, Profile::Dev)?;
    let sources = workspace.root().join("tests/wasi/jco");
    let tools = workspace.target_dir().join("tools/jco");
    install_packages(&sources, &tools)?;

    let directory = directory(workspace, "jco")?;
    let translated = directory.join("component");
    let _ = fs::remove_dir_all(&translated);
    let mut transpile = Command::new(tools.join("node_modules/.bin/jco"));
    transpile.arg("transpile").arg(&component).args(["--name", "btdt"]);
    transpile.args(["--no-typescript", "--quiet", "--out-dir"]).arg(&translated);
    process::run(&mut transpile).context("jco could not make btdt.wasm into JavaScript")?;
    for name in ["package.json", "run.mjs"] {
        install(&sources.join(name), &directory.join(name))?;
    }
    let scope = "node_modules/@bytecodealliance";
    let modules = directory.join(scope);
    let _ = fs::remove_dir_all(&modules);
    fs::create_dir_all(&modules).context("could not make a directory for modules")?;
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(tools.join(scope).join("preview2-shim")).arg(&modules);
    process::run(&mut copy).context("could not copy jco's WASI")?;

    // By its path: the tests run programs with an empty environment.
    let node = process::find_program("node").context("the tests need Node.js: install nodejs")?;
    let start = format!("exec '{}' \"$here/run.mjs\" \"$@\"\n", node.display());
    Ok(WasiProgram { runtime: "jco", path: write_script(&directory, &start)? })
}

/// Composes everything and returns the path of the command-line component.
fn component(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let composed = compose::compose(workspace, profile)?;
    let found = composed.into_iter().find(|path| path.ends_with("btdt.wasm"));
    found.context("btdt.wasm is not among what was composed")
}

/// Installs the packages of `package.json`, unless that was done before.
fn install_packages(sources: &Path, tools: &Path) -> Result<()> {
    let wanted = fs::read(sources.join("package.json")).context("could not read package.json")?;
    let stamp = tools.join("installed.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(tools).with_context(|| format!("could not make {}", tools.display()))?;
    install(&sources.join("package.json"), &tools.join("package.json"))?;
    eprintln!("xtask: installing jco for the tests");
    let mut npm = Command::new("npm");
    npm.current_dir(tools).args(["install", "--no-audit", "--no-fund", "--no-package-lock"]);
    process::run(&mut npm).context("npm could not install jco, which the tests need")?;
    fs::write(stamp, wanted).context("could not note that jco is installed")
}

fn directory(workspace: &Workspace, runtime: &str) -> Result<PathBuf> {
    let directory = workspace.target_dir().join("wasi").join(runtime);
    fs::create_dir_all(&directory)
        .with_context(|| format!("could not make {}", directory.display()))?;
    Ok(directory)
}

/// Copies a file, even over a running program.
fn install(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("could not copy {} to {}", from.display(), to.display()))
}

fn write_script(directory: &Path, start: &str) -> Result<PathBuf> {
    let path = directory.join("btdt");
    let _ = fs::remove_file(&path);
    fs::write(&path, format!("{SCRIPT}{start}"))
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_finds_its_directory_and_hands_everything_on() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("a b")).unwrap();
        let start = "exec /bin/sh -c 'printf \"%s|\" \"$@\"' \"$here\" \"$here\" \"$@\"\n";
        let script = write_script(&directory.path().join("a b"), start).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&script, &link).unwrap();
        let expected = format!("{}|x y|*||", directory.path().join("a b").display());
        for program in [&script, &link] {
            let mut command = Command::new(program);
            command.env_clear().args(["x y", "*", ""]);
            assert_eq!(process::capture(&mut command).unwrap(), expected);
        }
    }
}
