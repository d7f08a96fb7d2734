//! Reading the keys of one table, and noticing those that nobody asked for.

use super::error::{ConfigError, Problem};
use super::node::{Node, Origin, Table, Value};
use btdt_host_runtime::server_common::variables::PREFIX;
use btdt_host_runtime::server_common::{longer, nearest};
use std::cell::RefCell;

/// What was found to be wrong, while all of it is read.
#[derive(Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    /// Every key that was asked for: the name of the section and its own.
    known: RefCell<Vec<(String, &'static str)>>,
    unknown: RefCell<Vec<Unknown>>,
}

/// A key that nobody asked for.
struct Unknown {
    section: String,
    key: String,
    origin: Origin,
}

impl Problems {
    pub(super) fn add(&self, origin: Option<Origin>, key: &str, message: impl Into<String>) {
        let problem = Problem { origin, key: key.to_owned(), message: message.into() };
        self.found.borrow_mut().push(problem);
    }

    /// The warnings, if nothing was wrong.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigError> {
        let known = self.known.into_inner();
        let mut problems = self.found.into_inner();
        let mut warnings = Vec::new();
        for unknown in self.unknown.into_inner() {
            match unknown.judge(&known) {
                Ok(problem) => problems.push(problem),
                Err(warning) => warnings.push(warning),
            }
        }
        // In the order of the file; what is missing, and variables, come after it.
        problems.sort_by_key(|problem| match &problem.origin {
            Some(Origin::File { line, .. }) => *line,
            _ => usize::MAX,
        });
        if problems.is_empty() { Ok(warnings) } else { Err(ConfigError { problems }) }
    }
}

impl Unknown {
    /// A problem, or a warning if it probably has nothing to do with the server.
    fn judge(self, known: &[(String, &'static str)]) -> Result<Problem, String> {
        let key = full_key(&self.section, &self.key);
        let message = match &self.origin {
            Origin::Variable(name) => {
                let names: Vec<String> = known.iter().map(|(s, k)| variable_name(s, k)).collect();
                let near = nearest(name, names.iter().map(String::as_str));
                let same_key = || {
                    let place = known.iter().position(|(_, key)| *key == self.key)?;
                    Some(names[place].as_str())
                };
                match near.or_else(same_key) {
                    Some(near) => format!("unknown variable; did you mean {near}?"),
                    // `__` is what nobody else separates with.
                    None if name.contains("__") => "unknown variable".to_owned(),
                    None => return Err(format!("The variable {name} means nothing to the server")),
                }
            }
            _ => format!("unknown key{}", self.hint(known)),
        };
        Ok(Problem { origin: Some(self.origin), key, message })
    }

    /// What may have been meant by a key of the file, and what is allowed in its place.
    fn hint(&self, known: &[(String, &'static str)]) -> String {
        let here = || known.iter().filter(|(s, _)| *s == self.section).map(|(_, key)| *key);
        let mut hint = ". ".to_owned();
        if let Some(near) = nearest(&self.key, here()) {
            hint = format!("; did you mean `{near}`? ");
        } else if let Some((section, _)) = known.iter().find(|(_, key)| *key == self.key) {
            hint = match section.as_str() {
                "" => "; it belongs above the first [section] of the file. ".to_owned(),
                section => format!("; it belongs in [{section}]. "),
            };
        } else if let Some(near) = longer(&self.key, here()) {
            hint = format!("; did you mean `{near}`? ");
        }
        let allowed: Vec<String> = here().map(|key| format!("`{key}`")).collect();
        format!("{hint}Allowed here: {}", allowed.join(", "))
    }
}

/// A key with its sections, as people write it.
pub(super) fn full_key(section: &str, key: &str) -> String {
    let quoted = if key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if section.is_empty() { quoted } else { format!("{section}.{quoted}") }
}

fn variable_name(section: &str, key: &str) -> String {
    let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// One table. When it goes, keys that nobody asked for are problems.
pub(super) struct Section<'p> {
    name: String,
    /// Where it begins, unless it is the whole or not there.
    pub(super) origin: Option<Origin>,
    rest: Table,
    problems: &'p Problems,
}

impl<'p> Section<'p> {
    /// The whole configuration.
    pub(super) fn root(table: Table, problems: &'p Problems) -> Self {
        Section { name: String::new(), origin: None, rest: table, problems }
    }

    /// The table under a key; empty if there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'p> {
        let node = self.take(key);
        self.inner(key, node)
    }

    /// All tables in this one, by name; for tables whose keys are names.
    pub(super) fn into_sections(mut self) -> Vec<(String, Section<'p>)> {
        let entries = std::mem::take(&mut self.rest);
        let section = |(name, node): (String, Node)| {
            let section = self.inner(&name, Some(node));
            (name, section)
        };
        entries.into_iter().map(section).collect()
    }

    fn inner(&self, key: &str, node: Option<Node>) -> Section<'p> {
        let name = full_key(&self.name, key);
        let origin = node.as_ref().map(|node| node.origin.clone());
        let rest = match node.map(|node| node.value) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(value) => {
                let message = match &origin {
                    Some(Origin::Variable(variable)) => {
                        format!("this is a table: set {variable}__KEY for each of its keys")
                    }
                    _ => format!("a table was expected, this is {}", value.kind()),
                };
                self.problems.add(origin.clone(), &name, message);
                Table::new()
            }
        };
        Section { name, origin, rest, problems: self.problems }
    }

    /// The value of a key, if it is there and right. If it is wrong, that becomes a problem.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        self.read_with_origin(key, parse).map(|(value, _)| value)
    }

    /// The same, with the place of the value.
    pub(super) fn read_with_origin<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<(T, Origin)> {
        let node = self.take(key)?;
        match parse(&node) {
            Ok(value) => Some((value, node.origin)),
            Err(message) => {
                self.problem(Some(node.origin), key, message);
                None
            }
        }
    }

    /// Something that is wrong with a key of this section.
    pub(super) fn problem(&self, origin: Option<Origin>, key: &str, message: impl Into<String>) {
        let key = if key.is_empty() { self.name.clone() } else { full_key(&self.name, key) };
        self.problems.add(origin, &key, message);
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.problems.known.borrow_mut().push((self.name.clone(), key));
        self.rest.remove(key)
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let mut unknown = self.problems.unknown.borrow_mut();
        for (key, node) in std::mem::take(&mut self.rest) {
            unknown.push(Unknown { section: self.name.clone(), key, origin: node.origin });
        }
    }
}
