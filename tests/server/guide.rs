//! The guide "Tekton with btdt-server": its commands, its configuration and its task, run as they
//! are written, and our own version of the task.

#[path = "../biscuit/mod.rs"]
mod biscuit;
#[path = "../tekton/expectations.rs"]
mod expectations;
#[path = "../tekton/places.rs"]
mod places;
#[path = "../tekton/runner.rs"]
mod runner;
#[path = "../tekton/task.rs"]
mod task;
#[path = "../tekton/variables.rs"]
mod variables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shared::{
    ERROR, NOT_FOUND, Outcome, Running, SUCCESS, Tree, TreeBuilder, assert_same, clean_command,
};
use crate::support::{Server, btdt_path, server_path};
use rustix::process::Signal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

use expectations::{
    assert_installed, hit_and_skipped_both, missed_installed_and_stored, require_npm,
};
use runner::{Report, TaskRun};

/// The complete task of the guide.
const GUIDE: &str = include_str!("guide/task_run-tests.yaml");
/// The configuration of the guide.
const CONFIG_MAP: &str = include_str!("guide/configmap.yaml");
/// What we recommend.
const OURS: &str = include_str!("../../deploy/tekton/task_run-tests-server.yaml");

/// Where the service of the server is in the guide's cluster.
const SERVICE: &str = "http://btdt-server.default.svc.cluster.local:8707";
/// Where the volume of the cache is in the guide's pod.
const CACHE: &str = "/var/lib/btdt/cache-default";

/// Two versions of a project with tiny dependencies; the lock files name no registry.
const ONE: [(&str, &str); 2] = [
    ("package.json", include_str!("../tekton/npm-one/package.json")),
    ("package-lock.json", include_str!("../tekton/npm-one/package-lock.json")),
];
const TWO: [(&str, &str); 2] = [
    ("package.json", include_str!("../tekton/npm-two/package.json")),
    ("package-lock.json", include_str!("../tekton/npm-two/package-lock.json")),
];

#[derive(Deserialize)]
struct ConfigMap {
    data: BTreeMap<String, String>,
}

/// What the guide has in its cluster: secrets, a configuration, a volume and the server.
struct Cluster {
    directory: TempDir,
    token: Vec<u8>,
    url: String,
    server: Option<Server>,
}

impl Cluster {
    /// Follows the guide up to the running server.
    fn deploy() -> Self {
        let directory = tempfile::Builder::new().prefix("btdt-guide-").tempdir().unwrap();
        let root = directory.path();
        make_secrets(root);
        // Kubernetes decodes what is under `data`, and takes `stringData` as it is: with the line
        // feed that a YAML block ends with.
        let secret = fs::read_to_string(root.join("auth_private_key.pem")).unwrap() + "\n";
        let secrets = root.join("auth-key-secret");
        let files = [("auth_private_key.pem".to_owned(), secret.into_bytes())];
        places::mount_secret(&secrets, &files, 0o644).unwrap();
        // The init container, but for the user.
        let key = root.join("auth-key-work.pem");
        fs::copy(secrets.join("auth_private_key.pem"), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let token = biscuit::run(root, "base64 -d auth_token.txt");

        let cache = root.join("cache-default");
        fs::create_dir(&cache).unwrap();
        let map: ConfigMap = serde_saphyr::from_str(CONFIG_MAP).unwrap();
        let config = &map.data["config.toml"];
        assert!(config.contains(CACHE));
        let path = root.join("config.toml");
        fs::write(&path, config.replace(CACHE, cache.to_str().unwrap())).unwrap();

        let mut command = clean_command(server_path(), Path::new("/"));
        command.env("BTDT_AUTH_PRIVATE_KEY", key).env("BTDT_SERVER_CONFIG_FILE", path);
        command.env("BTDT_BIND_ADDRS", "127.0.0.1:0");
        let server = Server::start(command);
        Self { token, url: server.url().to_owned(), server: Some(server), directory }
    }

    /// Ends the server. Nothing listens at its address from now on.
    fn stop_server(&mut self) {
        let mut server = self.server.take().unwrap();
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A fresh checkout of a project.
    fn checkout(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let tree = TreeBuilder::new(self.path(name));
        for (file, content) in files {
            tree.file(file, content);
        }
        tree.path("")
    }

    /// Runs a task over a checkout.
    #[track_caller]
    fn run(&self, task: &str, checkout: &Path) -> Report {
        let name = checkout.file_name().unwrap().to_str().unwrap();
        assert!(task.contains(SERVICE), "the task uses the service of the guide:\n{task}");
        TaskRun::new(task, &self.path(&format!("{name}-pod")), &[("git-sources", checkout)], &[])
            .map(|run| run.with_secret("btdt-client-token", "token", &self.token))
            .map(|run| run.replacing(SERVICE, &self.url))
            .and_then(|run| run.run(&btdt_path()))
            .expect("a task that makes sense")
    }

    /// No step may show the token, whole or in part.
    #[track_caller]
    fn assert_token_unseen(&self, report: &Report) {
        let token = String::from_utf8(self.token.clone()).unwrap();
        let start = &token[..24];
        for step in report.steps.values() {
            assert!(!step.stdout.contains(start) && !step.stderr.contains(start), "{step}");
        }
    }
}

/// Runs the guide's commands for secrets.
fn make_secrets(root: &Path) {
    biscuit::run(root, biscuit::GUIDE);
}

/// First build, second build, build with a changed lock file.
fn builds(task: &str) {
    require_npm();
    let cluster = Cluster::deploy();
    let first = cluster.checkout("first", &ONE);
    let report = cluster.run(task, &first);
    missed_installed_and_stored(&report);
    cluster.assert_token_unseen(&report);

    let second = cluster.checkout("second", &ONE);
    let report = cluster.run(task, &second);
    hit_and_skipped_both(&report);
    cluster.assert_token_unseen(&report);
    let modules = |checkout: &Path| Tree::of(&checkout.join("node_modules"));
    assert_same(&modules(&first), &modules(&second), "node_modules");
    assert!(second.join("node_modules/is-number/index.js").is_file());

    let third = cluster.checkout("third", &TWO);
    missed_installed_and_stored(&cluster.run(task, &third));
    let fourth = cluster.checkout("fourth", &TWO);
    hit_and_skipped_both(&cluster.run(task, &fourth));
    assert_same(&modules(&third), &modules(&fourth), "node_modules of the other version");
    let uses = ["-e", "process.exit(require('is-odd')(3) ? 0 : 1)"];
    let output = Command::new("node").args(uses).current_dir(&fourth).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_task_of_the_guide_misses_then_hits_then_misses_again() {
    builds(GUIDE);
}

#[test]
fn our_task_misses_then_hits_then_misses_again() {
    builds(OURS);
}

#[test]
fn a_server_that_is_down_does_not_stop_builds_with_our_task() {
    require_npm();
    let mut cluster = Cluster::deploy();
    cluster.stop_server();
    let checkout = cluster.checkout("checkout", &ONE);
    let report = cluster.run(OURS, &checkout);
    for step in ["restore-cache", "store-cache"] {
        let step = report.step(step);
        assert_eq!(step.code, Some(ERROR), "{step}");
        assert!(step.stderr.contains("Could not access cache: http://127.0.0.1:"), "{step}");
    }
    assert_installed(&report);
    assert!(checkout.join("node_modules/is-number/index.js").is_file());
    assert!(report.succeeded, "the build passes");
}

#[test]
fn a_server_that_is_down_stops_builds_with_the_task_of_the_guide_only_at_the_store() {
    let mut cluster = Cluster::deploy();
    cluster.stop_server();
    // `node_modules` is there already, so that the test does not depend on npm.
    let files = [("package-lock.json", "{}"), ("node_modules/x", "x")];
    let checkout = cluster.checkout("checkout", &files);
    let report = cluster.run(&GUIDE.replace("npm ci", "true"), &checkout);
    assert_eq!(report.step("restore-cache").code, Some(ERROR));
    assert_eq!(report.step("run-tests").code, Some(SUCCESS));
    assert_eq!(report.step("store-cache").code, Some(ERROR));
    assert!(!report.succeeded);
}

#[test]
fn without_a_lock_file_our_task_stores_nothing() {
    let cluster = Cluster::deploy();
    let files = [("node_modules/x", "x")];
    let checkout = cluster.checkout("checkout", &files);
    let report = cluster.run(&OURS.replace("npm ci", "true"), &checkout);
    for step in ["restore-cache", "store-cache"] {
        let step = report.step(step);
        assert_eq!((step.code, step.stdout.as_str()), (Some(ERROR), ""), "{step}");
        assert!(step.stderr.contains("package-lock.json"), "{step}");
    }
    let token = cluster.path("token");
    fs::write(&token, &cluster.token).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = clean_command(&btdt_path(), cluster.directory.path());
    let cache = format!("{}/api/caches/default", cluster.url);
    command.args(["restore", "-c", &cache, "-a", "token", "-k", "none", "--prefix", "n", "out"]);
    let outcome: Outcome = Running::start(command).finish();
    assert_eq!(outcome.code, Some(NOT_FOUND), "the cache is empty:\n{outcome}");
}

#[test]
fn a_secret_or_a_volume_that_is_missing_is_not_overlooked_by_the_runner() {
    let directory = tempfile::tempdir().unwrap();
    let checkout = directory.path().join("checkout");
    fs::create_dir(&checkout).unwrap();
    let error = |task: &str, name: &str| {
        let root = directory.path().join(name);
        let run = TaskRun::new(task, &root, &[("git-sources", &checkout)], &[]).unwrap();
        let run = if name == "volume" {
            run.with_secret("btdt-client-token", "token", b"x")
        } else {
            run
        };
        run.run(&btdt_path()).expect_err("a task that makes no sense")
    };
    assert_eq!(error(GUIDE, "secret"), "there is no secret btdt-client-token");
    let renamed = GUIDE.replacen("- name: btdt-token", "- name: other", 1);
    assert_eq!(error(&renamed, "volume"), "volume other is not declared");
}
