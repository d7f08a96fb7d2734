//! Configuration of the server: files, variables, messages, and the example deployments.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "config_environment.rs"]
mod environment;
#[path = "config_files.rs"]
mod files;
#[path = "config_guide.rs"]
mod guide;
#[path = "config_messages.rs"]
mod messages;
#[path = "config_process.rs"]
mod process;

use btdt_server::config::{ConfigError, Files, Loaded, Sources, load};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Files that can all be used, wherever they are.
struct AnyFiles;

impl Files for AnyFiles {
    fn check_readable(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }
    fn check_private_key(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }
    fn check_cache_directory(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }
    fn canonical(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// What a configuration needs at least.
const KEY: (&str, &str) = ("BTDT_AUTH_PRIVATE_KEY", "/key.pem");

fn sources(directory: &TempDir, file: Option<&str>, variables: &[(&str, &str)]) -> Sources {
    let path = directory.path().join("config.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let variable = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    Sources { variables: variables.iter().map(variable).collect(), default_files: vec![path] }
}

/// Loads a configuration of this file and these variables.
fn loaded(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(&sources(&TempDir::new().unwrap(), file, variables), &AnyFiles)
}

/// Loads one that has a key besides.
fn with_key(file: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let mut all = vec![KEY];
    all.extend_from_slice(variables);
    loaded(Some(file), &all)
}

/// The message about a configuration, with the path of its file made short.
fn message(file: Option<&str>, variables: &[(&str, &str)]) -> String {
    let directory = TempDir::new().unwrap();
    let error = load(&sources(&directory, file, variables), &AnyFiles).unwrap_err();
    error.to_string().replace(&format!("{}/", directory.path().display()), "")
}
