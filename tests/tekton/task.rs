//! The part of Tekton's Task that the guides use. Unknown fields are errors.

use serde::Deserialize;

/// A Task as in its YAML.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Task {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    #[serde(default)]
    pub(crate) params: Vec<Param>,
    pub(crate) steps: Vec<Step>,
    #[serde(default)]
    pub(crate) volumes: Vec<Volume>,
    #[serde(default)]
    pub(crate) workspaces: Vec<Workspace>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Param {
    pub(crate) name: String,
    #[serde(default, rename = "type")]
    pub(crate) _type: Option<String>,
    #[serde(default, rename = "description")]
    pub(crate) _description: Option<String>,
    #[serde(default)]
    pub(crate) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workspace {
    pub(crate) name: String,
    #[serde(default, rename = "description")]
    pub(crate) _description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// Steps run as plain processes here, so the image is unused.
    #[serde(rename = "image")]
    pub(crate) _image: String,
    #[serde(default)]
    pub(crate) working_dir: Option<String>,
    #[serde(default)]
    pub(crate) on_error: OnError,
    #[serde(default)]
    pub(crate) env: Vec<EnvVar>,
    #[serde(default)]
    pub(crate) volume_mounts: Vec<VolumeMount>,
    pub(crate) script: String,
}

/// A volume; only secrets are supported.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) secret: Secret,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Secret {
    pub(crate) secret_name: String,
    /// As written: YAML for Kubernetes has octal numbers with a leading 0.
    #[serde(default)]
    pub(crate) default_mode: Option<String>,
}

impl Secret {
    /// The mode of the secret's files.
    pub(crate) fn mode(&self) -> Result<u32, String> {
        let text = self.default_mode.as_deref().unwrap_or("0644");
        let number = match text.strip_prefix("0o").or_else(|| text.strip_prefix('0')) {
            Some(octal) => u32::from_str_radix(octal, 8),
            None => text.parse(),
        };
        number
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| format!("defaultMode {text} is no mode"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    #[serde(default, rename = "readOnly")]
    pub(crate) _read_only: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnError {
    #[default]
    StopAndFail,
    Continue,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Parses a Task; the error says what is wrong with it.
pub(crate) fn parse(yaml: &str) -> Result<Task, String> {
    let task: Task = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    if task.kind != "Task" {
        return Err(format!("not a Task but a {}", task.kind));
    }
    if !["tekton.dev/v1", "tekton.dev/v1beta1"].contains(&task.api_version.as_str()) {
        return Err(format!("unknown API version {}", task.api_version));
    }
    if task.spec.steps.is_empty() {
        return Err(format!("task {} has no steps", task.metadata.name));
    }
    Ok(task)
}

#[test]
fn what_is_no_task_is_refused() {
    let step = "steps: [{name: a, image: i, script: 'true'}]";
    let head = "metadata: {name: t}\nspec:";
    for (yaml, problem) in [
        (format!("apiVersion: v1\nkind: Task\n{head} {{{step}}}"), "API version"),
        (format!("apiVersion: tekton.dev/v1\nkind: Pod\n{head} {{{step}}}"), "not a Task"),
        (format!("apiVersion: tekton.dev/v1\nkind: Task\n{head} {{steps: []}}"), "no steps"),
        (
            format!("apiVersion: tekton.dev/v1\nkind: Task\n{head} {{{step}, colour: red}}"),
            "colour",
        ),
    ] {
        let error = parse(&yaml).expect_err(&yaml);
        assert!(error.contains(problem), "{error}");
    }
    let good = format!("apiVersion: tekton.dev/v1\nkind: Task\n{head} {{{step}}}");
    assert_eq!(parse(&good).unwrap().spec.steps.len(), 1);
}

#[test]
fn modes_are_octal_where_kubernetes_takes_them_so() {
    for (text, mode) in [
        (Some("0600"), Ok(0o600)),
        (Some("0o440"), Ok(0o440)),
        (Some("384"), Ok(0o600)),
        (None, Ok(0o644)),
        (Some("0900"), Err(())),
        (Some("600"), Err(())),
    ] {
        let secret = Secret { secret_name: "s".into(), default_mode: text.map(str::to_owned) };
        assert_eq!(secret.mode().map_err(drop), mode, "{text:?}");
    }
}
