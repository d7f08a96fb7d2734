//! Paths and commands: the repository, cargo's target directory, the artifacts in it, and the
//! commands of the Rust toolchain.

use crate::process;
use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target that the core component is compiled for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// The repository and its target directory, both as absolute paths.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target_dir: PathBuf,
    /// Whether an environment variable sets the target directory.
    target_dir_is_chosen: bool,
}

/// A cargo profile of the host programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Fast to build, for tests and development.
    Dev,
    /// What users run.
    Release,
}

impl Workspace {
    /// Finds the repository of this xtask. Honours `CARGO_TARGET_DIR`.
    ///
    /// # Errors
    /// If the current directory no longer exists, so that relative paths can't be resolved.
    pub(crate) fn locate() -> Result<Self> {
        // `cargo run` sets the variable; otherwise fall back to its value at compile time.
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .filter(|dir| Path::new(dir).ends_with("xtask"))
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&manifest_dir)
            .parent()
            .context("xtask has no parent directory")?
            .to_path_buf();
        let chosen = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
            .into_iter()
            .find_map(|name| env::var_os(name).filter(|value| !value.is_empty()));
        let target_dir_is_chosen = chosen.is_some();
        let target_dir = chosen.map_or_else(|| root.join("target"), PathBuf::from);
        let target_dir =
            std::path::absolute(target_dir).context("could not find the target directory")?;
        Ok(Self { root, target_dir, target_dir_is_chosen })
    }

    /// The root of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory, which contains everything that xtask builds.
    pub(crate) fn target_dir(&self) -> &Path {
        &self.target_dir
    }

    /// Where components and their precompiled forms are, for tests or for users. The hosts' build
    /// scripts look there too.
    pub(crate) fn component_dir(&self, profile: Profile) -> PathBuf {
        let directory = self.target_dir.join("component");
        match profile {
            Profile::Dev => directory,
            Profile::Release => directory.join("release"),
        }
    }

    /// The core component as WebAssembly.
    pub(crate) fn component_wasm(&self, profile: Profile) -> PathBuf {
        self.component_dir(profile).join("btdt-core.wasm")
    }

    /// The core component as machine code for one target.
    pub(crate) fn component_cwasm(&self, profile: Profile, triple: &str) -> PathBuf {
        self.component_dir(profile).join(format!("btdt-core.{triple}.cwasm"))
    }

    /// Where cargo writes a component.
    pub(crate) fn guest_artifact(&self, profile: Profile, file: &str) -> PathBuf {
        let directory = match profile {
            Profile::Dev => profile.directory(),
            Profile::Release => profile.guest(),
        };
        self.target_dir.join(GUEST_TARGET).join(directory).join(file)
    }

    /// Where cargo writes a program for this machine, for example `btdt`.
    pub(crate) fn program(&self, profile: Profile, name: &str) -> PathBuf {
        self.program_for(profile, None, name)
    }

    /// Where cargo writes a program that was built with `--target`, or without it for `None`.
    pub(crate) fn program_for(
        &self,
        profile: Profile,
        triple: Option<&str>,
        name: &str,
    ) -> PathBuf {
        let mut path = self.target_dir.clone();
        path.extend(triple);
        path.join(profile.directory()).join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// A cargo command for this repository, with the same target directory.
    ///
    /// Removes the variables that `cargo run` set for *this* program from the environment: build
    /// scripts that watch them would run again for nothing.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(&self.root)
            // Artifacts are expected in target/release, not in target/<triple>/release.
            .env_remove("CARGO_BUILD_TARGET");
        for name in variable_names(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name == "CARGO_BUILD_TARGET_DIR"
        }) {
            command.env_remove(name);
        }
        // Set it only if the user did: otherwise build scripts that watch the variable would run
        // again each time someone calls cargo without xtask.
        if self.target_dir_is_chosen {
            command.env("CARGO_TARGET_DIR", &self.target_dir);
        }
        command
    }

    /// A cargo command for the guest, without flags that are meant for the host's compiler.
    pub(crate) fn guest_cargo(&self) -> Command {
        let mut command = self.cargo();
        for name in variable_names(is_for_host_builds_only) {
            command.env_remove(name);
        }
        // What the hosts' debuggers need makes a component several times as large.
        command.env("CARGO_PROFILE_DEV_DEBUG", "false");
        command
    }

    /// The target triple of this machine.
    ///
    /// # Errors
    /// If `rustc -vV` fails or does not name its host.
    pub(crate) fn host_triple(&self) -> Result<String> {
        let text = process::capture(rustc(&self.root).arg("-vV"))?;
        parse_host_triple(&text).context("`rustc -vV` names no host triple")
    }
}

impl Profile {
    /// The cargo profile of the components.
    pub(crate) fn guest(self) -> &'static str {
        match self {
            // That of the hosts: so procedural macros are compiled once for both.
            Self::Dev => "dev",
            Self::Release => "guest",
        }
    }

    /// The directory beneath the target directory.
    fn directory(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// The compiler that cargo uses.
pub(crate) fn rustc(directory: &Path) -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(directory);
    command
}

fn parse_host_triple(version_text: &str) -> Option<String> {
    version_text
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(|triple| triple.trim().to_owned())
}

/// Whether a variable configures host compilation and must not reach the guest.
fn is_for_host_builds_only(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ];
    NAMES.contains(&name)
        || name.starts_with("CARGO_PROFILE_")
        || (name.starts_with("CARGO_TARGET_") && name != "CARGO_TARGET_DIR")
}

fn variable_names(wanted: impl Fn(&str) -> bool) -> Vec<OsString> {
    env::vars_os().map(|(name, _)| name).filter(|name| name.to_str().is_some_and(&wanted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Workspace {
        Workspace {
            root: PathBuf::from("/repo"),
            target_dir: PathBuf::from("/repo/target"),
            target_dir_is_chosen: false,
        }
    }

    #[test]
    fn the_repository_has_the_wit_package_and_the_manifest() {
        let workspace = Workspace::locate().unwrap();
        assert!(workspace.root().join("Cargo.toml").is_file());
        assert!(workspace.root().join("xtask/Cargo.toml").is_file());
        assert!(workspace.target_dir().is_absolute());
    }

    #[test]
    fn profiles_have_different_artifacts() {
        let workspace = sample();
        let path = |profile| workspace.component_cwasm(profile, "x86_64-linux");
        assert!(path(Profile::Dev).ends_with("component/btdt-core.x86_64-linux.cwasm"));
        assert!(path(Profile::Release).ends_with("component/release/btdt-core.x86_64-linux.cwasm"));
    }

    #[test]
    fn programs_lie_where_cargo_puts_them() {
        let workspace = sample();
        assert!(workspace.program(Profile::Release, "btdt").starts_with("/repo/target/release"));
        assert!(
            workspace
                .program_for(Profile::Dev, Some("aarch64-unknown-linux-gnu"), "btdt")
                .starts_with("/repo/target/aarch64-unknown-linux-gnu/debug")
        );
    }

    #[test]
    fn a_chosen_target_directory_reaches_cargo_and_the_usual_one_is_left_unsaid() {
        let mut workspace = sample();
        let chosen = |workspace: &Workspace| {
            let command = workspace.cargo();
            let mut variables = command.get_envs();
            variables.any(|(name, value)| name == "CARGO_TARGET_DIR" && value.is_some())
        };
        assert!(!chosen(&workspace));
        workspace.target_dir_is_chosen = true;
        assert!(chosen(&workspace));
    }

    #[test]
    fn host_flags_do_not_reach_the_guest() {
        for name in ["RUSTFLAGS", "CARGO_PROFILE_RELEASE_LTO", "CARGO_TARGET_X86_64_LINKER"] {
            assert!(is_for_host_builds_only(name), "{name}");
        }
        for name in ["CARGO_TARGET_DIR", "CARGO_HOME", "PATH", "CARGO_NET_OFFLINE"] {
            assert!(!is_for_host_builds_only(name), "{name}");
        }
    }

    #[test]
    fn the_host_triple_is_read_from_the_compilers_own_words() {
        let text = "rustc 1.95.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(parse_host_triple(text).unwrap(), "x86_64-unknown-linux-gnu");
        assert_eq!(parse_host_triple("nothing"), None);
    }
}
