//! The configuration of the guide, and what is in `deploy/`.

use super::{AnyFiles, sources, with_key};
use btdt_server::config::{CacheLocation, load};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const GUIDE: &str = "\
[cleanup]
interval = '1h'
cache_expiration = '7days'
max_cache_size = '10GiB'
[caches]
default = { type = 'Filesystem', path = '/var/lib/btdt/cache-default' }
";

#[test]
fn the_guides_configuration_means_what_it_says() {
    let loaded = with_key(GUIDE, &[]).unwrap();
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.cleanup_interval, Duration::from_secs(3600));
    let cache = &loaded.config.caches["default"];
    let path = PathBuf::from("/var/lib/btdt/cache-default");
    assert_eq!(cache.location, CacheLocation::Filesystem(path));
    assert_eq!(cache.cleanup.cache_expiration, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(cache.cleanup.max_cache_size, Some(10 << 30));
    assert_eq!(cache.quota, None);
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

#[derive(Deserialize)]
struct ConfigMap {
    kind: String,
    data: BTreeMap<String, String>,
}

#[test]
fn the_deployed_configuration_is_the_guides() {
    let text = std::fs::read_to_string(deploy().join("kubernetes/configmap.yaml")).unwrap();
    let map: ConfigMap = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(map.kind, "ConfigMap");
    let deployed = with_key(&map.data["config.toml"], &[]).unwrap();
    assert_eq!(deployed.config, with_key(GUIDE, &[]).unwrap().config);
}

#[derive(Deserialize)]
struct Deployment {
    spec: DeploymentSpec,
}

#[derive(Deserialize)]
struct DeploymentSpec {
    template: Template,
}

#[derive(Deserialize)]
struct Template {
    spec: PodSpec,
}

#[derive(Deserialize)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    env: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

#[test]
fn the_deployment_sets_variables_that_are_known() {
    let text = std::fs::read_to_string(deploy().join("kubernetes/deployment.yaml")).unwrap();
    let deployment: Deployment = serde_saphyr::from_str(&text).unwrap();
    let [container] = deployment.spec.template.spec.containers.as_slice() else { panic!() };
    let directory = TempDir::new().unwrap();
    let mut sources = sources(&directory, Some(GUIDE), &[]);
    let file = sources.default_files[0].clone();
    for variable in &container.env {
        let value = match variable.name.as_str() {
            "BTDT_SERVER_CONFIG_FILE" => {
                assert_eq!(variable.value, "/config.toml");
                file.clone().into_os_string()
            }
            _ => variable.value.clone().into(),
        };
        sources.variables.push((variable.name.clone().into(), value));
    }
    let loaded = load(&sources, &AnyFiles).unwrap();
    assert_eq!(loaded.file, Some(file));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.auth.private_key, Some(PathBuf::from("/auth_private_key.pem")));
}

/// All documents of all files are YAML, and say what they are.
#[test]
fn deployments_are_yaml() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        api_version: String,
        kind: String,
    }
    let mut found = 0;
    for directory in ["kubernetes", "tekton"] {
        for entry in std::fs::read_dir(deploy().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let documents = text.split("\n---\n").map(serde_saphyr::from_str::<Any>);
            for document in documents {
                let document = document.unwrap_or_else(|error| panic!("{path:?}: {error}"));
                assert!(!document.api_version.is_empty() && !document.kind.is_empty());
                // `kubectl apply -f` of the directory must not replace those of the user.
                let is_applied = path.extension().is_some_and(|ending| ending != "example");
                assert!(!is_applied || document.kind != "Secret", "{path:?}");
                found += 1;
            }
        }
    }
    assert_eq!(found, 7);
}

/// What `docs/server.md` shows as the complete configuration is one, and shows the defaults.
#[test]
fn the_documented_defaults_are_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server.md");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = text.find("```toml\n# All keys").expect("the block with all keys") + 8;
    let block = &text[begin..begin + text[begin..].find("```").unwrap()];
    let documented = with_key(block, &[]).unwrap().config;
    let default = with_key("", &[]).unwrap().config;
    assert_eq!(documented, default);
    let examples = text.matches("```toml\n").count();
    assert!(examples >= 2);
    for example in text.split("```toml\n").skip(1) {
        let example = example.split("```").next().unwrap();
        with_key(example, &[]).unwrap_or_else(|error| panic!("{error}\n{example}"));
    }
}
