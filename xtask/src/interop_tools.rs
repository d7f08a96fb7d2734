//! Programs of others that the interoperability tests talk to: the release before this one, and the
//! `biscuit` tool, for tokens as the guides make them.

use crate::debian::{self, Requirement};
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::path::Path;

/// What the server of the last release is built with.
const NEEDED: &[Requirement] = &[
    Requirement { what: "pkg-config", package: "pkg-config", probe: &["pkg-config", "--version"] },
    Requirement {
        what: "the headers of OpenSSL",
        package: "libssl-dev",
        probe: &["pkg-config", "--exists", "openssl"],
    },
];

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

/// Builds and installs the programs that are missing beneath the target directory.
///
/// # Errors
/// When one cannot be built.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let tools = workspace.target_dir().join("tools");
    let missing: Vec<_> = CRATES.iter().filter(|tool| !tool.is_installed(&tools)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    debian::ensure(NEEDED)?;
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
}
