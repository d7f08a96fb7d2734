//! Where the configuration of `btdt-server` is: in at most one file, and in variables.

use crate::checks::{self, Files};
use crate::config::Loaded;
use crate::problem::{ConfigError, line};
use crate::variables::{FILE_VARIABLE, Variables, is_ours};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::DeTable;

/// Files to look for if no variable names one; the first that exists is read.
const DEFAULT_FILES: [&str; 2] = ["/etc/btdt-server/config.toml", "/config.toml"];

/// In bytes. A larger file cannot be a configuration.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The environment; variables of other programs are ignored.
    pub variables: Vec<(OsString, OsString)>,
    /// Files to look for if no variable names one.
    pub default_files: Vec<PathBuf>,
}

/// Reads and checks the configuration of `btdt-server`.
///
/// # Errors
/// All mistakes, including files and directories that are named but cannot be used.
pub fn load(sources: &Sources, files: &dyn Files) -> Result<Loaded, ConfigError> {
    let mut warnings = Vec::new();
    let path = sources.file(&mut warnings)?;
    let text = path.as_deref().map_or(Ok(String::new()), read_file)?;
    let file = path.as_deref().map(|path| (path, &*text));
    let tree = file.map_or(Ok(DeTable::new()), |(path, text)| parse(text, path))?;
    let loaded = checks::load(file, tree, sources.our_variables()?, Some(files))?;
    warnings.extend(loaded.warnings);
    if loaded.config.caches.is_empty() {
        warnings.push("No caches are configured, so that there is nothing to serve".to_owned());
    }
    Ok(Loaded { config: loaded.config, file: path, warnings })
}

impl Sources {
    /// The default files and these variables.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Sources {
            variables: variables.into_iter().collect(),
            default_files: DEFAULT_FILES.iter().map(PathBuf::from).collect(),
        }
    }

    /// The file to read. If a variable names one, it must exist.
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
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        Ok(found)
    }

    fn our_variables(&self) -> Result<Variables, ConfigError> {
        let ours = self.variables.iter().filter_map(|(name, value)| {
            let name = name.to_str().filter(|name| is_ours(name))?;
            let value =
                value.to_str().ok_or_else(|| format!("{name}: its value is not valid UTF-8"));
            Some(value.map(|value| (name.to_owned(), value.to_owned())))
        });
        Ok(ours.collect::<Result<_, String>>()?)
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(format!("{}: the file is larger than 1 MiB", path.display()).into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = line(error.as_bytes(), error.utf8_error().valid_up_to());
        format!("{}:{line}: this is not valid UTF-8", path.display()).into()
    })
}

/// Parses the text of a file. Errors show none of it, since it may contain passwords.
fn parse<'a>(text: &'a str, path: &Path) -> Result<DeTable<'a>, ConfigError> {
    DeTable::parse(text).map(Spanned::into_inner).map_err(|error| {
        let line = line(text.as_bytes(), error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', "; ");
        format!("{}:{line}: this is not TOML: {message}", path.display()).into()
    })
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    format!("{}: the configuration cannot be read: {error}", path.display()).into()
}
