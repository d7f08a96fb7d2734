//! Where the configuration comes from: at most one file, and the environment above it.

use super::error::{ConfigError, Problem};
use super::node::{Node, Origin, Table, Value, parse};
use btdt_host_runtime::server_common::variables::{FILE_VARIABLE, PREFIX, is_ours};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that are looked for if no variable names one; the first that exists counts.
const DEFAULT_FILES: [&str; 2] = ["/etc/btdt-server/config.toml", "/config.toml"];

/// No configuration is larger; a larger file is a mistake.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Sources {
    /// All variables of the environment; those that are not for the server are left alone.
    pub variables: Vec<(OsString, OsString)>,
    /// Files to look for if no variable names one.
    pub default_files: Vec<PathBuf>,
}

/// What was found.
pub(super) struct Gathered {
    pub(super) root: Table,
    pub(super) file: Option<PathBuf>,
    pub(super) warnings: Vec<String>,
}

impl Sources {
    /// The usual files, and these variables.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Sources {
            variables: variables.into_iter().collect(),
            default_files: DEFAULT_FILES.iter().map(PathBuf::from).collect(),
        }
    }

    /// Reads the file and lays the variables over it.
    pub(super) fn read(&self) -> Result<Gathered, ConfigError> {
        let mut warnings = Vec::new();
        let file = self.file(&mut warnings)?;
        let mut root = match &file {
            Some(path) => read_file(path)?,
            None => Table::new(),
        };
        for (name, value) in self.our_variables()? {
            overlay(&mut root, &name, value);
        }
        Ok(Gathered { root, file, warnings })
    }

    /// The file to read. One that a variable names has to exist.
    fn file(&self, warnings: &mut Vec<String>) -> Result<Option<PathBuf>, ConfigError> {
        let named = self.variables.iter().find(|(name, _)| name == FILE_VARIABLE);
        if let Some((_, value)) = named.filter(|(_, value)| !value.is_empty()) {
            return Ok(Some(PathBuf::from(value)));
        }
        let mut found = None;
        for path in &self.default_files {
            match path.try_exists() {
                Ok(false) => {}
                Ok(true) if found.is_none() => found = Some(path.clone()),
                Ok(true) => warnings.push(format!(
                    "{} is not read, because another file comes first",
                    path.display()
                )),
                Err(error) => return Err(unreadable(path, &error).into()),
            }
        }
        Ok(found)
    }

    /// The variables that are meant for us, by name.
    fn our_variables(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut ours = BTreeMap::new();
        for (name, value) in &self.variables {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            let Some(value) = value.to_str() else {
                let message = "its value is not valid UTF-8".to_owned();
                let origin = Some(Origin::Variable(name.to_owned()));
                return Err(Problem { origin, key: String::new(), message }.into());
            };
            ours.insert(name.to_owned(), value.to_owned());
        }
        Ok(ours)
    }
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let whole = |message: String| Problem {
        origin: Some(Origin::WholeFile(Arc::new(path.to_owned()))),
        key: String::new(),
        message,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(whole("the file is larger than 1 MiB".to_owned()).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Problem {
            origin: Some(Origin::File { path: Arc::new(path.to_owned()), line }),
            key: String::new(),
            message: "this is not valid UTF-8".to_owned(),
        }
    })?;
    parse(&text, path).map_err(|(origin, message)| {
        Problem { origin: Some(origin), key: String::new(), message }.into()
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem {
        origin: Some(Origin::WholeFile(Arc::new(path.to_owned()))),
        key: String::new(),
        message: format!("the configuration cannot be read: {error}"),
    }
}

/// Puts a variable's value where it belongs. `__` separates the sections.
fn overlay(root: &mut Table, name: &str, value: String) {
    let origin = Origin::Variable(name.to_owned());
    let mut path: Vec<&str> = name[PREFIX.len()..].split("__").collect();
    let Some(last) = path.pop() else { return };
    let mut table = root;
    for part in path {
        let key = matching_key(table, part);
        let new = || Node { value: Value::Table(Table::new()), origin: origin.clone() };
        let node = table.entry(key).or_insert_with(new);
        if !matches!(node.value, Value::Table(_)) {
            *node = new();
        }
        let Value::Table(inner) = &mut node.value else { return };
        table = inner;
    }
    let key = matching_key(table, last);
    table.insert(key, Node { value: Value::Text(value), origin });
}

/// The key of the table that a part of a variable's name means: upper and lower case do not count.
fn matching_key(table: &Table, part: &str) -> String {
    let existing = table.keys().find(|key| key.eq_ignore_ascii_case(part));
    existing.cloned().unwrap_or_else(|| part.to_ascii_lowercase())
}
