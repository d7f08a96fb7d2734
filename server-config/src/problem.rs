//! What is wrong with a configuration, and where.

use std::ops::Range;
use std::path::Path;

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct ConfigError {
    /// All mistakes, one line each. Those in the file come first, in its order.
    pub problems: Vec<String>,
}

impl From<String> for ConfigError {
    fn from(problem: String) -> Self {
        ConfigError { problems: vec![problem] }
    }
}

/// Spans that start here or later stand for variables, by their number; no file is that long.
pub(crate) const FIRST_VARIABLE: usize = 1 << 30;

/// The problems found so far, and what spans refer to.
pub(crate) struct Problems<'a> {
    /// Path and text of the file.
    file: Option<(&'a Path, &'a str)>,
    /// Names of the variables, by number.
    variables: Vec<String>,
    found: Vec<Problem>,
}

struct Problem {
    line: usize,
    key: String,
    text: String,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: Option<(&'a Path, &'a str)>, variables: Vec<String>) -> Self {
        Problems { file, variables, found: Vec::new() }
    }

    /// Adds a problem with a key, which has its sections.
    pub(crate) fn add(&mut self, span: &Range<usize>, key: &str, message: impl AsRef<str>) {
        let message = message.as_ref();
        let (line, text) = match (self.variable(span), self.file) {
            // The name of a variable contains the key.
            (Some(name), _) => (usize::MAX, format!("{name}: {message}")),
            (None, Some((path, text))) => {
                let line = line(text.as_bytes(), span.start);
                (line, format!("{}:{line}: {key}: {message}", path.display()))
            }
            (None, None) => (usize::MAX, message.to_owned()),
        };
        self.found.push(Problem { line, key: key.to_owned(), text });
    }

    /// Adds a problem about something that is missing everywhere.
    pub(crate) fn add_missing(&mut self, message: impl Into<String>) {
        self.found.push(Problem { line: usize::MAX, key: String::new(), text: message.into() });
    }

    /// The variable that a span refers to.
    pub(crate) fn variable(&self, span: &Range<usize>) -> Option<&str> {
        let number = span.start.checked_sub(FIRST_VARIABLE)?;
        self.variables.get(number).map(String::as_str)
    }

    /// Whether something is wrong with a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.found.iter().any(|problem| problem.key == key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn finish(mut self) -> Result<(), ConfigError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|problem| problem.line);
        Err(ConfigError { problems: self.found.into_iter().map(|problem| problem.text).collect() })
    }
}

/// The line, from 1, of an offset.
pub(crate) fn line(text: &[u8], offset: usize) -> usize {
    let before = &text[..offset.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// A key with its sections, as written in a TOML file.
pub(crate) fn full_key(section: &str, key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let quoted = if key.chars().all(is_bare) { key.to_owned() } else { format!("{key:?}") };
    if section.is_empty() { quoted } else { format!("{section}.{quoted}") }
}
