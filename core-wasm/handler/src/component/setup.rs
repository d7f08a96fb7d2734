//! Prepares an instance: configuration, keys and caches. A runtime may create an instance for each
//! request, so this does only what every request needs.

use super::bindings::service;
use super::{fault_texts, stderr_log};
use btdt_server_config::{CacheLocation, Config, Loaded, load_on_wasi};
use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

static CONFIG: OnceLock<Option<Config>> = OnceLock::new();

/// The configuration, once keys and caches are known to the adapter; `None` if something is wrong,
/// which was logged then.
pub(super) fn config() -> Option<&'static Config> {
    CONFIG.get_or_init(set_up).as_ref()
}

#[allow(
    clippy::disallowed_methods,
    reason = "a component has no main: its host calls it for each request"
)]
fn set_up() -> Option<Config> {
    let variables = env::vars_os();
    // All variables are UTF-8 under WASI.
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let Loaded { config, warnings, .. } = match load_on_wasi(variables) {
        Ok(loaded) => loaded,
        Err(error) => {
            error.problems.iter().for_each(|problem| stderr_log::failure(&problem.to_string()));
            return None;
        }
    };
    warnings.iter().for_each(|warning| stderr_log::warn(warning));
    if let Err(message) = trust_keys(&config).and_then(|()| add_caches(&config)) {
        stderr_log::failure(&message);
        return None;
    }
    Some(config)
}

fn trust_keys(config: &Config) -> Result<(), String> {
    let bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_vec();
    let keys = service::Keys {
        private_key: config.auth.private_key.as_ref().map(bytes),
        public_keys: config.auth.public_keys.iter().map(bytes).collect(),
        revocation_list: config.auth.revocation_list.as_ref().map(bytes),
    };
    service::trust(&keys).map_err(|fault| fault.reason)
}

fn add_caches(config: &Config) -> Result<(), String> {
    for (name, cache) in &config.caches {
        // There are no others on WASI.
        let CacheLocation::Filesystem(path) = &cache.location else { continue };
        service::add_cache(name, path.as_os_str().as_encoded_bytes()).map_err(|fault| {
            let (path, why) = (path.display(), fault_texts::of_cache(fault));
            format!("Could not open cache {name:?} at {path}: {why}")
        })?;
    }
    Ok(())
}
