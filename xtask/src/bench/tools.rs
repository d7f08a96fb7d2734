//! The programs that are compared, and the command line of each for each operation.

use super::files;
use super::measure::Invocation;
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

const ORIGINAL_VERSION: &str = "0.4.4";

/// One way to store and restore a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    Ours,
    /// `btdt.wasm` under a plain WASI host on wasmtime, compiled in advance.
    Wasi,
    /// btdt 0.4.4.
    Original,
    TarZstd,
    TarZstd1,
    Tar,
    Rsync,
    Restic,
    Git,
    Cp,
    Sha256sum,
}

impl Tool {
    /// In the order of the table's columns.
    pub(super) const ALL: &[Self] = &[
        Self::Ours,
        Self::Wasi,
        Self::Original,
        Self::TarZstd,
        Self::TarZstd1,
        Self::Tar,
        Self::Rsync,
        Self::Restic,
        Self::Git,
        Self::Cp,
        Self::Sha256sum,
    ];

    /// As people read it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Ours => "btdt",
            Self::Wasi => "btdt (WASI)",
            Self::Original => "btdt 0.4.4",
            Self::TarZstd => "tar + zstd",
            Self::TarZstd1 => "tar + zstd -1",
            Self::Tar => "tar",
            Self::Rsync => "rsync",
            Self::Restic => "restic",
            Self::Git => "git",
            Self::Cp => "cp -a",
            Self::Sha256sum => "sha256sum",
        }
    }

    /// As people type it after `--tools`; also a file name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wasi => "btdt-wasi",
            Self::Original => "btdt-0.4.4",
            Self::TarZstd => "tar+zstd",
            Self::TarZstd1 => "tar+zstd-1",
            Self::Cp => "cp",
            other => other.title(),
        }
    }

    /// Whether it is this btdt: then a failure is no rival's.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Wasi)
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tool| tool.name() == name)
    }

    /// The programs from `PATH` that it takes.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Ours | Self::Wasi | Self::Original => &[],
            Self::TarZstd | Self::TarZstd1 => &["tar", "zstd"],
            Self::Tar => &["tar"],
            Self::Rsync => &["rsync"],
            Self::Restic => &["restic"],
            Self::Git => &["git"],
            Self::Cp => &["cp"],
            Self::Sha256sum => &["sha256sum"],
        }
    }
}

/// The tools that are there.
#[derive(Debug, Default)]
pub(super) struct Toolbox {
    available: Vec<Tool>,
    /// What is missing, and why.
    pub(super) missing: Vec<(Tool, String)>,
    ours: PathBuf,
    wasi: PathBuf,
    original: PathBuf,
}

impl Toolbox {
    /// Looks for the rivals among `wanted`. With `install`, the original btdt is installed if it is
    /// not there: it is the only one that cargo installs.
    pub(super) fn find(
        workspace: &Workspace,
        install: bool,
        wanted: impl Fn(Tool) -> bool,
    ) -> Self {
        let mut toolbox = Self::default();
        for tool in Tool::ALL.iter().copied().filter(|tool| wanted(*tool)) {
            let lacks = |name: &&&str| process::find_program(name).is_none();
            if tool.is_ours() {
                continue;
            }
            if tool == Tool::Original {
                match original(workspace, install) {
                    Ok(path) => toolbox.original = path,
                    Err(error) => {
                        toolbox.missing.push((tool, format!("{error:#}")));
                        continue;
                    }
                }
            } else if let Some(name) = tool.programs().iter().find(lacks) {
                toolbox.missing.push((tool, format!("{name} is not installed")));
                continue;
            }
            toolbox.available.push(tool);
        }
        toolbox
    }

    pub(super) fn add_ours(&mut self, program: PathBuf) {
        self.ours = program;
        self.available.insert(0, Tool::Ours);
    }

    pub(super) fn add_wasi(&mut self, program: PathBuf) {
        self.wasi = program;
        self.available.push(Tool::Wasi);
    }

    /// The program that stores and restores, for those that are one program from nowhere else.
    pub(super) fn program(&self, tool: Tool) -> Option<&Path> {
        let program = if tool == Tool::Ours { &self.ours } else { &self.original };
        self.has(tool).then_some(program)
    }

    pub(super) fn has(&self, tool: Tool) -> bool {
        self.available.contains(&tool)
    }

    /// The versions of all programs behind the available tools, each once.
    pub(super) fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        for tool in &self.available {
            let programs: Vec<PathBuf> = match tool {
                Tool::Ours => vec![self.ours.clone()],
                Tool::Wasi => vec![self.wasi.clone()],
                Tool::Original => vec![self.original.clone()],
                tool => tool.programs().iter().map(PathBuf::from).collect(),
            };
            for program in programs {
                let line = version(&program);
                if !versions.contains(&line) {
                    versions.push(line);
                }
            }
        }
        versions
    }

    /// What a tool needs in a fresh cache before it can store.
    ///
    /// # Errors
    /// When the directory or the repository in it can't be made.
    pub(super) fn make_cache(&self, tool: Tool, cache: &Path) -> Result<()> {
        fs::create_dir_all(cache).with_context(|| format!("could not make {}", cache.display()))?;
        match tool {
            Tool::Restic => process::run(&mut restic(cache).arg("init").command()),
            Tool::Git => {
                let repository = git_directory(cache);
                let init = Invocation::new("git").args(["init", "-q", "--bare", "-b", "main"]);
                process::run(&mut git_environment(init).arg(repository).command())
            }
            _ => Ok(()),
        }
    }

    /// The hash of one file.
    pub(super) fn hash(&self, tool: Tool, file: &Path) -> Invocation {
        match tool {
            Tool::Ours => Invocation::new(&self.ours).arg("hash").arg(file),
            Tool::Original => Invocation::new(&self.original).arg("hash").arg(file),
            _ => Invocation::new("sha256sum").arg(file),
        }
    }

    /// Stores a tree under a key. `previous` is a key that the cache has already.
    pub(super) fn store(
        &self,
        tool: Tool,
        tree: &Path,
        cache: &Path,
        key: &str,
        previous: Option<&str>,
    ) -> Invocation {
        match tool {
            Tool::Ours => btdt(&self.ours, "store", cache, key).arg(tree),
            Tool::Wasi => btdt(&self.wasi, "store", cache, key).arg(tree),
            Tool::Original => btdt(&self.original, "store", cache, key).arg(tree),
            Tool::TarZstd | Tool::TarZstd1 => {
                let level = if tool == Tool::TarZstd { "-3" } else { "-1" };
                shell(r#"tar -C "$1" -cf - . | zstd -q -T0 "$3" -o "$2""#)
                    .arg(tree)
                    .arg(cache.join(format!("{key}.tar.zst")))
                    .arg(level)
            }
            Tool::Tar => Invocation::new("tar")
                .arg("-C")
                .arg(tree)
                .arg("-cf")
                .arg(cache.join(format!("{key}.tar")))
                .arg("."),
            Tool::Rsync => {
                // Unchanged files become hard links: the usual way to keep several states.
                let option = |key| joined("--link-dest=", &cache.join(key));
                Invocation::new("rsync")
                    .arg("-a")
                    .args(previous.map(option))
                    .arg(with_slash(tree))
                    .arg(with_slash(&cache.join(key)))
            }
            Tool::Restic => restic(cache).args(["backup", "."]).directory(tree),
            Tool::Git => {
                // Ignored files too; the branch is the key.
                let script = r#"git add -f -A . && git commit -q -m "$1" && git branch -f "$1""#;
                git_environment(shell(script).arg(key))
                    .env("GIT_DIR", git_directory(cache))
                    .env("GIT_WORK_TREE", tree)
                    .directory(tree)
            }
            Tool::Cp | Tool::Sha256sum => {
                Invocation::new("cp").arg("-a").arg(tree).arg(cache.join(key))
            }
        }
    }

    /// Restores a key to a destination, which may exist except for `cp`.
    pub(super) fn restore(&self, tool: Tool, cache: &Path, key: &str, to: &Path) -> Invocation {
        match tool {
            Tool::Ours => btdt(&self.ours, "restore", cache, key).arg(to),
            Tool::Wasi => btdt(&self.wasi, "restore", cache, key).arg(to),
            Tool::Original => btdt(&self.original, "restore", cache, key).arg(to),
            Tool::TarZstd | Tool::TarZstd1 => {
                shell(r#"mkdir -p "$2" && zstd -q -dc "$1" | tar -C "$2" -xpf -"#)
                    .arg(cache.join(format!("{key}.tar.zst")))
                    .arg(to)
            }
            Tool::Tar => shell(r#"mkdir -p "$2" && tar -C "$2" -xpf "$1""#)
                .arg(cache.join(format!("{key}.tar")))
                .arg(to),
            Tool::Rsync => Invocation::new("rsync")
                .arg("-a")
                .arg(with_slash(&cache.join(key)))
                .arg(with_slash(to)),
            // Its caches hold one snapshot when something is restored from them.
            Tool::Restic => restic(cache).args(["restore", "latest", "--target"]).arg(to),
            Tool::Git => git_environment(Invocation::new("git"))
                .args(["checkout", "-q", "-f", "--detach", key])
                .env("GIT_DIR", git_directory(cache))
                .env("GIT_WORK_TREE", to)
                .directory(to),
            Tool::Cp | Tool::Sha256sum => {
                Invocation::new("cp").arg("-a").arg(cache.join(key)).arg(to)
            }
        }
    }

    /// Stores to or restores from a server; the directory is the last argument.
    pub(super) fn remote(
        &self,
        tool: Tool,
        command: &str,
        url: &str,
        token: &Path,
        key: &str,
    ) -> Invocation {
        let program = if tool == Tool::Ours { &self.ours } else { &self.original };
        btdt(program, command, Path::new(url), key).arg("-a").arg(token)
    }

    /// Tells a tool what is at the destination already, as far as it wants to know: git has a list
    /// of what it checked out, which a user would have from before.
    ///
    /// # Errors
    /// When git fails.
    pub(super) fn announce(&self, tool: Tool, cache: &Path, key: &str, at: &Path) -> Result<()> {
        if tool != Tool::Git {
            return Ok(());
        }
        files::remove(&git_directory(cache).join("index"))?;
        let script = r#"git update-ref --no-deref HEAD "$1" && git read-tree "$1" &&
            { git update-index -q --refresh || true; }"#;
        let invocation = git_environment(shell(script).arg(key))
            .env("GIT_DIR", git_directory(cache))
            .env("GIT_WORK_TREE", at)
            .directory(at);
        process::run(&mut invocation.command())
    }
}

fn btdt(program: &Path, command: &str, cache: &Path, key: &str) -> Invocation {
    Invocation::new(program).args([command, "-c"]).arg(cache).args(["-k", key])
}

/// A script for `sh`, whose arguments are `$1`, `$2` and so on.
fn shell(script: &str) -> Invocation {
    Invocation::new("sh").args(["-c", script, "sh"])
}

fn restic(cache: &Path) -> Invocation {
    Invocation::new("restic")
        .args(["-q", "--no-cache", "-r"])
        .arg(cache.join("repository"))
        .env("RESTIC_PASSWORD", "bench")
}

fn git_directory(cache: &Path) -> PathBuf {
    cache.join("repository.git")
}

/// Git without the settings of the person who runs this.
fn git_environment(invocation: Invocation) -> Invocation {
    invocation
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "bench")
        .env("GIT_AUTHOR_EMAIL", "bench@localhost")
        .env("GIT_COMMITTER_NAME", "bench")
        .env("GIT_COMMITTER_EMAIL", "bench@localhost")
}

/// The path of a directory whose content is meant, not the directory itself.
fn with_slash(path: &Path) -> OsString {
    path.join("").into_os_string()
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// The first line of what a program says about its version.
fn version(program: &Path) -> String {
    let argument = if program.ends_with("restic") { "version" } else { "--version" };
    let text =
        process::capture(Invocation::new(program).arg(argument).command().env("LC_ALL", "C"));
    let text = text.unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim_matches(['*', ' ']);
    if line.is_empty() {
        format!("{} (unknown version)", program.display())
    } else {
        line.to_owned()
    }
}

/// Finds the original btdt in the target directory, or has cargo install it there.
fn original(workspace: &Workspace, install: bool) -> Result<PathBuf> {
    let root = workspace.target_dir().join("bench/rival");
    let program = root.join("bin/btdt");
    if program.is_file() {
        return Ok(program);
    }
    if !install {
        bail!("the first run installs it");
    }
    install_original(workspace, "btdt-cli", &root)?;
    Ok(program)
}

/// Finds the original btdt-server in the target directory, or has cargo install it there.
///
/// # Errors
/// When it can't be installed.
pub(super) fn original_server(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target_dir().join("bench/rival");
    let program = root.join("bin/btdt-server");
    if !program.is_file() {
        install_original(workspace, "btdt-server", &root)?;
    }
    Ok(program)
}

fn install_original(workspace: &Workspace, package: &str, root: &Path) -> Result<()> {
    println!("Installing {package} {ORIGINAL_VERSION} (kept for later runs)");
    // In its own target directory: its programs have the names of ours.
    let build = workspace.target_dir().join("bench/rival-build");
    let mut command = workspace.cargo();
    command
        .args(["install", package, "--version", ORIGINAL_VERSION, "--locked", "--root"])
        .arg(root)
        .env("CARGO_TARGET_DIR", &build);
    process::run(&mut command).context("could not install it")?;
    files::remove(&build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for tool in Tool::ALL {
            assert_eq!(Tool::by_name(tool.name()), Some(*tool));
        }
    }

    #[test]
    fn a_second_store_with_rsync_links_to_the_first() {
        let toolbox = Toolbox::default();
        let cache = Path::new("/c");
        let tree = Path::new("/t");
        let line = |previous| {
            let invocation = toolbox.store(Tool::Rsync, tree, cache, "b", previous);
            process::display(&invocation.command())
        };
        assert_eq!(line(None), "rsync -a /t/ /c/b/");
        assert_eq!(line(Some("a")), "rsync -a --link-dest=/c/a /t/ /c/b/");
    }
}
