//! What the tests need besides Rust: node and npm, for a real `npm ci`, openssl for certificates,
//! the `biscuit` tool, for tokens as the guides make them, the last release before this one, to
//! talk to, and a fuzzer.

use crate::process;
use crate::test_fuzzer;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Programs the tests start, each with the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    // With the next one, what the server of the last release is built with.
    ("pkg-config", "pkg-config"),
];

/// The package with the library that the server of the last release needs.
const OPENSSL: (&str, &str) = ("the headers of OpenSSL", "libssl-dev");

/// A program that a crate has, in the version that the tests are for.
struct Tool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    /// Where it goes beneath `target/tools`; its program is in `bin` there.
    directory: &'static str,
}

/// The `biscuit` tool of the guides, and the client and the server of the release that ours have to
/// get on with. Those two have the names of ours: they stay apart from what is put into a `PATH`.
const CRATES: &[Tool] = &[
    Tool { package: "biscuit-cli", version: "0.6.0", program: "biscuit", directory: "" },
    Tool { package: "btdt-cli", version: "0.4.4", program: "btdt", directory: "original" },
    Tool {
        package: "btdt-server",
        version: "0.4.4",
        program: "btdt-server",
        directory: "original",
    },
];

/// Looks for the programs and installs those that are missing, where that is possible.
///
/// # Errors
/// When some are missing and can't be installed, and `required` is set; else that is a warning.
pub(crate) fn ensure(workspace: &Workspace, required: bool) -> Result<()> {
    for done in [ensure_packages(), ensure_crates(workspace), test_fuzzer::ensure(workspace)] {
        match done {
            Err(error) if required => return Err(error),
            Err(error) => eprintln!("xtask: warning: {error:#}"),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn ensure_packages() -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    if may_install() {
        install(&missing())?;
    }
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { bail!("{}", advice(&missing)) }
}

/// Installs the programs of crates beneath the target directory, where nobody else's are in the way.
fn ensure_crates(workspace: &Workspace) -> Result<()> {
    let tools = workspace.target_dir().join("tools");
    let missing: Vec<_> = CRATES.iter().filter(|tool| !tool.is_installed(&tools)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // One for all of them: they have most of their dependencies in common.
    let build_dir = tools.join("build");
    let installed = missing.iter().try_for_each(|tool| {
        eprintln!(
            "xtask: installing {} {} for the tests, which takes some minutes",
            tool.package, tool.version
        );
        let mut install = workspace.cargo();
        install
            // Unoptimised: they have little to do, and take a third of the time to build.
            .args(["install", tool.package, "--version", tool.version])
            .args(["--locked", "--debug", "--force"])
            .arg("--root")
            .arg(tools.join(tool.directory))
            .arg("--target-dir")
            .arg(&build_dir);
        process::run(&mut install).with_context(|| {
            format!(
                "the tests need the program `{}` of the crate {} {}",
                tool.program, tool.package, tool.version
            )
        })
    });
    // A gigabyte that nobody needs again. What cannot be removed does no harm either.
    let _ = std::fs::remove_dir_all(&build_dir);
    installed
}

impl Tool {
    /// Whether it is there in the right version: cargo keeps a list of what it has installed.
    fn is_installed(&self, tools: &Path) -> bool {
        let root = tools.join(self.directory);
        let listed = format!("\"{} {} (", self.package, self.version);
        root.join("bin").join(self.program).is_file()
            && std::fs::read_to_string(root.join(".crates.toml"))
                .is_ok_and(|list| list.contains(&listed))
    }
}

fn missing() -> Vec<(&'static str, &'static str)> {
    let is_missing = |(program, _): &(&str, &str)| process::find_program(program).is_none();
    let mut missing: Vec<_> = NEEDED.iter().copied().filter(is_missing).collect();
    let mut find = Command::new("pkg-config");
    if process::capture(find.args(["--exists", "openssl"])).is_err() {
        missing.push(OPENSSL);
    }
    missing
}

/// Whether packages of the system can be installed.
pub(crate) fn may_install() -> bool {
    let is_root =
        process::capture(Command::new("id").arg("-u")).is_ok_and(|user_id| user_id.trim() == "0");
    is_root && process::find_program("apt-get").is_some()
}

fn install(missing: &[(&str, &str)]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    eprintln!("xtask: installing {} for the tests", packages.join(" and "));
    install_packages(&packages).with_context(|| advice(missing))
}

/// Installs packages of Debian.
///
/// # Errors
/// When that fails.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn advice(missing: &[(&str, &str)]) -> String {
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    format!(
        "the tests need {}, not found; install what is missing, for example by `apt-get install \
         {}` (Node.js has to be 20 or newer), and run the command again",
        programs.join(" and "),
        missing.iter().map(|(_, package)| *package).collect::<Vec<_>>().join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_there_only_in_its_version_and_with_its_program() {
        let tools = tempfile::tempdir().unwrap();
        let root = tools.path().join("original");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        let tool = &CRATES[1];
        assert!(!tool.is_installed(tools.path()));
        let list = |version: &str| {
            let line = format!("[v1]\n\"btdt-cli {version} (registry+x)\" = [\"btdt\"]\n");
            std::fs::write(root.join(".crates.toml"), line).unwrap();
        };
        list(tool.version);
        assert!(!tool.is_installed(tools.path()), "without the program");
        std::fs::write(root.join("bin/btdt"), "").unwrap();
        assert!(tool.is_installed(tools.path()));
        list("0.4.40");
        assert!(!tool.is_installed(tools.path()), "another version");
    }

    #[test]
    fn the_advice_names_what_is_missing() {
        assert!(advice(&NEEDED[..2]).contains("node and npm"));
        let openssl = advice(&[OPENSSL]);
        assert!(openssl.contains("need the headers of OpenSSL,"), "{openssl}");
        assert!(openssl.contains("install libssl-dev`"), "{openssl}");
    }
}
