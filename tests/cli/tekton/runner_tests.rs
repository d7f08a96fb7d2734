//! The task runner does what Tekton does: without this, a green guide would mean little.

use std::fs;
use std::path::Path;

use super::runner::{Report, TaskRun};
use crate::support::Sandbox;
use crate::support::binary::btdt_path;

/// A task with these steps, each given as the YAML of one list item.
fn task(steps: &[&str]) -> String {
    let head = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: t\nspec:\n";
    let params = "  params:\n    - name: who\n      default: world\n";
    let workspaces = "  workspaces:\n    - name: w\n  steps:\n";
    let steps: String =
        steps.iter().map(|step| format!("    - {}\n", step.replace('\n', "\n      "))).collect();
    format!("{head}{params}{workspaces}{steps}")
}

#[track_caller]
fn run(sandbox: &Sandbox, steps: &[&str], params: &[(&str, &str)]) -> Report {
    let root = sandbox.path("pod");
    let _ = fs::remove_dir_all(&root);
    let workspace = sandbox.path("w");
    fs::create_dir_all(&workspace).unwrap();
    TaskRun::new(&task(steps), &root, &[("w", &workspace)], params)
        .and_then(|run| run.run(btdt_path()))
        .expect("a task that makes sense")
}

#[test]
fn steps_run_in_order_in_their_directories_with_their_variables() {
    let sandbox = Sandbox::new();
    let report = run(
        &sandbox,
        &[
            "name: one\nimage: i\nworkingDir: $(workspaces.w.path)\nscript: |\n  #!/bin/sh\n  pwd > where",
            "name: two\nimage: i\nenv:\n  - name: GREETING\n    value: hello $(params.who)\nscript: |\n  \
             cat $(workspaces.w.path)/where\n  echo $GREETING",
        ],
        &[("who", "you")],
    );
    let workspace = sandbox.path("w");
    let expected = format!("{}\nhello you\n", workspace.display());
    assert_eq!(report.step("two").stdout, expected);
    assert!(report.succeeded);
}

#[test]
fn a_failing_step_stops_the_task_unless_it_may_fail() {
    let sandbox = Sandbox::new();
    let after = "name: after\nimage: i\nscript: cat $(steps.step-bad.exitCode.path)";
    let stops = "name: bad\nimage: i\nscript: exit 7";
    let report = run(&sandbox, &[stops, after], &[]);
    assert!(!report.succeeded);
    assert_eq!(report.step("bad").code, Some(7));
    assert!(!report.steps.contains_key("after"));

    let goes_on = "name: bad\nimage: i\nonError: continue\nscript: exit 7";
    let report = run(&sandbox, &[goes_on, after], &[]);
    assert!(report.succeeded);
    assert_eq!(report.step("after").stdout, "7");
}

#[test]
fn a_script_without_an_interpreter_stops_at_the_first_error() {
    let sandbox = Sandbox::new();
    let report = run(&sandbox, &["name: a\nimage: i\nscript: |\n  false\n  echo no"], &[]);
    assert_eq!((report.step("a").code, report.step("a").stdout.as_str()), (Some(1), ""));
    // With one of its own it does not, as in the guides.
    let script = "name: a\nimage: i\nscript: |\n  #!/bin/sh\n  false\n  echo yes";
    let report = run(&sandbox, &[script], &[]);
    assert_eq!(report.step("a").stdout, "yes\n");
}

#[test]
fn the_environment_is_clean_but_for_the_path() {
    let sandbox = Sandbox::new();
    let script =
        "name: a\nimage: i\nscript: |\n  command -v btdt\n  echo \"[$CARGO_MANIFEST_DIR]\"";
    let report = run(&sandbox, &[script], &[]);
    let expected = format!("{}\n[]\n", sandbox.path("pod/bin/btdt").display());
    assert_eq!(report.step("a").stdout, expected);
}

#[test]
fn unknown_variables_workspaces_and_params_are_errors() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("pod");
    let here = Path::new("/");
    let yaml = task(&["name: a\nimage: i\nscript: cat $(steps.step-typo.exitCode.path)"]);
    let run = TaskRun::new(&yaml, &root, &[("w", here)], &[]).expect("a task");
    let error = run.run(btdt_path()).expect_err("a typo in a variable");
    assert_eq!(error, "unknown variable $(steps.step-typo.exitCode.path)");
    let problem = |workspaces: &[(&str, &Path)], params: &[(&str, &str)]| {
        TaskRun::new(&yaml, &root, workspaces, params).err().expect("an error")
    };
    assert_eq!(problem(&[], &[]), "workspace w is not bound");
    assert_eq!(problem(&[("w", here), ("x", here)], &[]), "workspace x is not declared");
    assert_eq!(problem(&[("w", here)], &[("p", "1")]), "param p is not declared");
}
