//! What an instance needs before it can answer: configuration, keys and caches. A runtime may make
//! an instance for each request, so nothing is done here that is not needed by all of them.

use super::bindings::service;
use super::{fault_texts, stderr_log};
use crate::settings::{self, Settings};
use std::env;
use std::sync::OnceLock;

static SETTINGS: OnceLock<Option<Settings>> = OnceLock::new();

/// The configuration, once keys and caches are known to the adapter; `None` where something is
/// wrong, which has been said then.
pub(super) fn settings() -> Option<&'static Settings> {
    SETTINGS.get_or_init(set_up).as_ref()
}

fn set_up() -> Option<Settings> {
    let variables = env::vars_os();
    // WASI has no others than UTF-8.
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = match settings::load(variables) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.iter().for_each(|problem| stderr_log::failure(problem));
            return None;
        }
    };
    loaded.warnings.iter().for_each(|warning| stderr_log::warn(warning));
    let opened = trust(&loaded.settings).and_then(|()| open(&loaded.settings));
    match opened {
        Ok(()) => Some(loaded.settings),
        Err(message) => {
            stderr_log::failure(&message);
            None
        }
    }
}

fn trust(settings: &Settings) -> Result<(), String> {
    let bytes = |path: &String| path.as_bytes().to_vec();
    let keys = service::Keys {
        private_key: settings.private_key.as_ref().map(bytes),
        public_keys: settings.public_keys.iter().map(bytes).collect(),
        revocation_list: settings.revocation_list.as_ref().map(bytes),
    };
    service::trust(&keys).map_err(|fault| fault.reason)
}

fn open(settings: &Settings) -> Result<(), String> {
    for (name, path) in &settings.caches {
        service::add_cache(name, path.as_bytes()).map_err(|fault| {
            format!("Could not open cache {name:?} at {path}: {}", fault_texts::of_cache(fault))
        })?;
    }
    Ok(())
}
