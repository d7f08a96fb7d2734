//! Installs the third-party programs for the interoperability tests: the previous release of btdt,
//! and the `biscuit` tool, which the guides use to create tokens.

use crate::debian::{self, Requirement};
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::path::Path;

/// Build requirements of the previous release's server.
const NEEDED: &[Requirement] = &[
    Requirement { what: "pkg-config", package: "pkg-config", probe: &["pkg-config", "--version"] },
    Requirement {
        what: "the headers of OpenSSL",
        package: "libssl-dev",
        probe: &["pkg-config", "--exists", "openssl"],
    },
];

/// A program from a crate, in the version that the tests expect.
struct Tool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    /// The installation directory beneath `target/tools`; the program is in its `bin`.
    directory: &'static str,
}

/// The `biscuit` tool, and the client and the server of the previous release. The latter two have
/// the same names as ours, so they are installed apart from the tools that go into `PATH`.
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

/// Builds missing programs and installs them beneath the target directory.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let tools = workspace.target_dir().join("tools");
    let missing: Vec<_> = CRATES.iter().filter(|tool| !tool.is_installed(&tools)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    debian::ensure(NEEDED)?;
    // One build directory for all: they share most of their dependencies.
    let build_dir = tools.join("build");
    let installed = missing.iter().try_for_each(|tool| {
        eprintln!(
            "xtask: installing {} {} for the tests, which takes some minutes",
            tool.package, tool.version
        );
        let mut install = workspace.cargo();
        install
            // Unoptimised, which takes a third of the build time: they have little to do.
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
    // It is a gigabyte that is not needed again. Failing to remove it does no harm.
    let _ = std::fs::remove_dir_all(&build_dir);
    installed
}

impl Tool {
    /// Whether the right version is installed, according to cargo's list of installed crates.
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
