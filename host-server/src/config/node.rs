//! Values of the configuration, each with the place that it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file as a whole.
    WholeFile(Arc<PathBuf>),
    /// A line of a file.
    File {
        /// The file.
        path: Arc<PathBuf>,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::WholeFile(path) => write!(formatter, "{}", path.display()),
            Origin::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Origin::Variable(name) => formatter.write_str(name),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    /// The line of its key.
    pub(super) origin: Origin,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// What no key wants, by its name in messages.
    Other(&'static str),
}

pub(super) type Table = BTreeMap<String, Node>;

impl Value {
    /// What it is, in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

/// Reads a file's text.
///
/// # Errors
/// A message without any of the text, which may hold passwords, and the place.
pub(super) fn parse(text: &str, path: &Path) -> Result<Table, (Origin, String)> {
    let source = Source { text, path: Arc::new(path.to_owned()) };
    let document = DeTable::parse(text).map_err(|error| {
        let origin = source.origin(error.span().map_or(0, |span| span.start));
        (origin, format!("this is not TOML: {}", error.message().replace('\n', "; ")))
    })?;
    Ok(source.table(document.get_ref()))
}

struct Source<'a> {
    text: &'a str,
    path: Arc<PathBuf>,
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: Arc::clone(&self.path), line }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: &Spanned<std::borrow::Cow<'_, str>> = key;
            let origin = self.origin(key.span().start);
            (key.get_ref().to_string(), Node { value: self.value(value.get_ref()), origin })
        };
        table.iter().map(entry).collect()
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(integer) => {
                match i128::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()) {
                    Ok(integer) => Value::Integer(integer),
                    Err(_) => Value::Other("a number that is too large"),
                }
            }
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Array(values) => {
                let node = |value: &Spanned<DeValue<'_>>| Node {
                    value: self.value(value.get_ref()),
                    origin: self.origin(value.span().start),
                };
                Value::List(values.iter().map(node).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Datetime(_) => Value::Other("a date"),
        }
    }
}
