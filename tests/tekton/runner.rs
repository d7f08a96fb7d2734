//! Runs one Task as Tekton does: its steps in order, as plain processes in a separate directory.
//!
//! ```text
//! ROOT/bin/btdt                     the binary under test, first in PATH; `/btdt` in scripts
//! ROOT/volumes/NAME/                what a step sees at the `mountPath` of that volume
//! ROOT/tekton/scripts/script-0      scripts with their variables replaced
//! ROOT/tekton/steps/step-NAME/exitCode
//! ROOT/work/                        where a step without workingDir starts
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::places::{mount_secret, relocate};
use super::task::{OnError, Step, Task, parse};
use super::variables::{Variables, substitute};
use super::{Outcome, Running, clean_command};

/// Tekton puts this before a script that names no interpreter.
const PREAMBLE: &str = "#!/bin/sh\nset -e\n";

/// A task with its bindings.
pub(crate) struct TaskRun {
    task: Task,
    root: PathBuf,
    variables: Variables,
    secrets: BTreeMap<String, Vec<(String, Vec<u8>)>>,
    replaced: Vec<(String, String)>,
}

/// The results of the steps. Steps that were skipped after a failure are missing.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) succeeded: bool,
    pub(crate) steps: BTreeMap<String, Outcome>,
}

impl Report {
    #[track_caller]
    pub(crate) fn step(&self, name: &str) -> &Outcome {
        self.steps
            .get(name)
            .unwrap_or_else(|| panic!("step {name} was not run: {:?}", self.steps.keys()))
    }
}

impl TaskRun {
    /// Binds a task to directories; `root` must be empty and used only by this run.
    pub(crate) fn new(
        yaml: &str,
        root: &Path,
        workspaces: &[(&str, &Path)],
        params: &[(&str, &str)],
    ) -> Result<Self, String> {
        let task = parse(yaml)?;
        let mut variables = Variables::from([
            ("context.task.name".to_owned(), task.metadata.name.clone()),
            ("context.taskRun.name".to_owned(), format!("{}-run", task.metadata.name)),
        ]);
        bind_workspaces(&task, workspaces, &mut variables)?;
        bind_params(&task, params, &mut variables)?;
        for step in &task.spec.steps {
            let path = exit_code_path(root, &step.name);
            let name = format!("steps.step-{}.exitCode.path", step.name);
            variables.insert(name, text_of(&path)?);
        }
        let root = root.to_owned();
        Ok(Self { task, root, variables, secrets: BTreeMap::new(), replaced: Vec::new() })
    }

    /// Adds a secret to the cluster.
    #[allow(dead_code, reason = "not every suite has tasks with secrets")]
    pub(crate) fn with_secret(mut self, name: &str, file: &str, content: &[u8]) -> Self {
        let files = self.secrets.entry(name.to_owned()).or_default();
        files.push((file.to_owned(), content.to_vec()));
        self
    }

    /// Replaces a text in all scripts, for example the name of a service in the cluster by its
    /// local address. A script without it does not change.
    #[allow(dead_code, reason = "not every suite has tasks with services")]
    pub(crate) fn replacing(mut self, text: &str, by: &str) -> Self {
        self.replaced.push((text.to_owned(), by.to_owned()));
        self
    }

    /// Runs the steps. An error means that the task is invalid, not that a step failed.
    pub(crate) fn run(&self, btdt: &Path) -> Result<Report, String> {
        for dir in ["bin", "work", "tekton/scripts"] {
            fs::create_dir_all(self.root.join(dir)).map_err(|error| error.to_string())?;
        }
        let link = self.root.join("bin/btdt");
        std::os::unix::fs::symlink(btdt, link).map_err(|error| error.to_string())?;
        self.make_volumes()?;
        let mut report = Report { succeeded: true, steps: BTreeMap::new() };
        for (index, step) in self.task.spec.steps.iter().enumerate() {
            let outcome = Running::start(self.command(index, step)?).finish();
            // A shell reports a signal as 128 plus its number, and so does Tekton's entrypoint.
            let code = outcome.code.unwrap_or_else(|| 128 + outcome.signal.unwrap_or(0));
            let path = exit_code_path(&self.root, &step.name);
            let dir = path.parent().expect("the directory of a step");
            fs::create_dir_all(dir).map_err(|error| error.to_string())?;
            fs::write(&path, code.to_string()).map_err(|error| error.to_string())?;
            report.steps.insert(step.name.clone(), outcome);
            if code != 0 && step.on_error == OnError::StopAndFail {
                report.succeeded = false;
                break;
            }
        }
        Ok(report)
    }

    fn make_volumes(&self) -> Result<(), String> {
        for volume in &self.task.spec.volumes {
            let secret = &volume.secret;
            let files = self
                .secrets
                .get(&secret.secret_name)
                .ok_or_else(|| format!("there is no secret {}", secret.secret_name))?;
            mount_secret(&self.volume(&volume.name), files, secret.mode()?)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    /// The script of a step, with everything of the cluster replaced by its local counterpart.
    fn script(&self, step: &Step) -> Result<String, String> {
        let mut script = relocate(&step.script, "/btdt", &text_of(&self.root.join("bin/btdt"))?);
        for mount in &step.volume_mounts {
            if !self.task.spec.volumes.iter().any(|volume| volume.name == mount.name) {
                return Err(format!("volume {} is not declared", mount.name));
            }
            let place = text_of(&self.volume(&mount.name))?;
            script = relocate(&script, &mount.mount_path, &place);
        }
        for (text, by) in &self.replaced {
            script = script.replace(text, by);
        }
        substitute(&script, &self.variables)
    }

    fn command(&self, index: usize, step: &Step) -> Result<Command, String> {
        let script = self.script(step)?;
        let script = if script.starts_with("#!") { script } else { format!("{PREAMBLE}{script}") };
        let path = self.root.join(format!("tekton/scripts/script-{index}"));
        fs::write(&path, &script).map_err(|error| error.to_string())?;
        // Started through its interpreter, because a file that was just written cannot always be
        // executed immediately.
        let line = script.lines().next().unwrap_or_default();
        let (interpreter, argument) = interpreter(line)?;
        let cwd = match &step.working_dir {
            Some(dir) => PathBuf::from(substitute(dir, &self.variables)?),
            None => self.root.join("work"),
        };
        let mut command = clean_command(Path::new(interpreter), &cwd);
        command.args(argument).arg(&path);
        command.envs(inherited_environment());
        command.env("PATH", self.search_path());
        for variable in &step.env {
            let value = substitute(&variable.value, &self.variables)?;
            command.env(&variable.name, value);
        }
        Ok(command)
    }

    fn search_path(&self) -> OsString {
        let mut path = self.root.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        path
    }
}

fn exit_code_path(root: &Path, step: &str) -> PathBuf {
    root.join(format!("tekton/steps/step-{step}/exitCode"))
}

fn text_of(path: &Path) -> Result<String, String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// The program and the argument of a script's first line.
fn interpreter(line: &str) -> Result<(&str, Option<&str>), String> {
    let line = line.strip_prefix("#!").unwrap_or_default().trim();
    match line.split_once(char::is_whitespace) {
        Some((program, argument)) => Ok((program, Some(argument.trim()))),
        None if !line.is_empty() => Ok((line, None)),
        None => Err("the script names no interpreter".to_owned()),
    }
}

/// The variables with which npm finds its settings, a proxy and certificates; all others are
/// dropped.
fn inherited_environment() -> impl Iterator<Item = (OsString, OsString)> {
    const PREFIXES: [&str; 2] = ["npm_config_", "ssl_cert_"];
    const NAMES: [&str; 6] =
        ["home", "tmpdir", "http_proxy", "https_proxy", "no_proxy", "node_extra_ca_certs"];
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy().to_lowercase();
        NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn bind_workspaces(
    task: &Task,
    given: &[(&str, &Path)],
    variables: &mut Variables,
) -> Result<(), String> {
    for (name, _) in given {
        if !task.spec.workspaces.iter().any(|declared| declared.name == *name) {
            return Err(format!("workspace {name} is not declared"));
        }
    }
    for workspace in &task.spec.workspaces {
        let name = &workspace.name;
        let (_, path) = given
            .iter()
            .find(|(given, _)| given == name)
            .ok_or_else(|| format!("workspace {name} is not bound"))?;
        variables.insert(format!("workspaces.{name}.path"), text_of(path)?);
        variables.insert(format!("workspaces.{name}.bound"), "true".to_owned());
    }
    Ok(())
}

fn bind_params(
    task: &Task,
    given: &[(&str, &str)],
    variables: &mut Variables,
) -> Result<(), String> {
    for (name, _) in given {
        if !task.spec.params.iter().any(|declared| declared.name == *name) {
            return Err(format!("param {name} is not declared"));
        }
    }
    for param in &task.spec.params {
        let name = &param.name;
        let value = given
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| (*value).to_owned())
            .or_else(|| param.default.clone())
            .ok_or_else(|| format!("param {name} has no value"))?;
        for form in
            [format!("params.{name}"), format!("params['{name}']"), format!("params[\"{name}\"]")]
        {
            variables.insert(form, value.clone());
        }
    }
    Ok(())
}
