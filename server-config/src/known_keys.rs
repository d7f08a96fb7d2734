//! Which keys there are, and what is said about others.

use crate::config::{Config, Limits, LogConfig};
use crate::field_names::names;
use crate::problem::{Problems, full_key};
use crate::suggest::{longer, nearest};
use crate::unchecked_keys::{Cache, Cleanup, Unchecked};
use crate::values::kind;
use crate::variables::variable_name;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table of the configuration.
struct Section {
    /// Its full key.
    name: String,
    keys: Vec<&'static str>,
}

/// All sections, with those of the caches that the tree has.
fn sections(tree: &DeTable<'_>) -> Vec<Section> {
    let section =
        |name: &str, keys: &[&'static str]| Section { name: name.into(), keys: keys.into() };
    let cleanup = names::<Cleanup>();
    let mut sections = vec![
        section("", &[names::<Config>(), names::<Unchecked>()].concat()),
        section("cleanup", cleanup),
        section("limits", names::<Limits>()),
        section("log", names::<LogConfig>()),
        section("caches", &[]),
    ];
    if let Some(DeValue::Table(caches)) = tree.get("caches").map(Spanned::get_ref) {
        for key in caches.keys() {
            let name = full_key("caches", key.get_ref());
            sections.push(section(&name, names::<Cache>()));
            // The first key is the interval, which is the same for all caches.
            sections.push(section(&format!("{name}.cleanup"), &cleanup[1..]));
        }
    }
    sections
}

/// Removes unknown keys and sections that are not tables. The result are warnings.
pub(crate) fn check(
    tree: &mut DeTable<'_>,
    problems: &mut Problems<'_>,
    is_wasi: bool,
) -> Vec<String> {
    let sections = &sections(tree);
    let mut check = Check { sections, problems, is_wasi, warnings: Vec::new() };
    check.table(&check.sections[0], tree);
    check.warnings
}

struct Check<'a, 'p> {
    sections: &'a [Section],
    problems: &'a mut Problems<'p>,
    is_wasi: bool,
    warnings: Vec<String>,
}

impl<'a> Check<'a, '_> {
    fn table(&mut self, section: &'a Section, table: &mut DeTable<'_>) {
        let entries = std::mem::take(table).into_iter();
        let known = entries.filter_map(|(key, mut value)| {
            let name = full_key(&section.name, key.get_ref());
            if let Some(inner) = self.sections.iter().find(|section| section.name == name) {
                self.inner(inner, &key.span(), value.get_mut());
            } else if !section.keys.contains(&&**key.get_ref()) {
                self.unknown(section, key.get_ref(), &key.span());
                return None;
            }
            Some((key, value))
        });
        *table = known.collect();
    }

    /// Checks a section. If it is not a table, an empty one takes its place.
    fn inner(&mut self, section: &'a Section, span: &Range<usize>, value: &mut DeValue<'_>) {
        if let DeValue::Table(table) = value {
            return self.table(section, table);
        }
        let message = match self.problems.variable(span) {
            Some(variable) => format!("this is a table: set {variable}__KEY for each of its keys"),
            None => format!("a table was expected, this is {}", kind(value.type_str())),
        };
        self.problems.add(span, &section.name, message);
        *value = DeValue::Table(DeTable::new());
    }

    fn unknown(&mut self, section: &Section, key: &str, span: &Range<usize>) {
        let message = match self.problems.variable(span) {
            None => format!("unknown key{}", self.hint(section, key)),
            Some(variable) => match self.nearest_variable(variable, key) {
                Some(near) => format!("unknown variable; did you mean {near}?"),
                // Other programs do not use `__` as a separator.
                None if variable.contains("__") => "unknown variable".to_owned(),
                None => {
                    let warning = format!("The variable {variable} means nothing to the server");
                    return self.warnings.push(warning);
                }
            },
        };
        self.problems.add(span, &full_key(&section.name, key), message);
    }

    fn nearest_variable(&self, variable: &str, key: &str) -> Option<String> {
        let mut names = Vec::new();
        for section in self.sections {
            names.extend(section.keys.iter().map(|key| variable_name(&section.name, key)));
        }
        let near = nearest(variable, names.iter().map(String::as_str)).map(str::to_owned);
        // The WASI server accepts variables that only end like one.
        if near.is_some() || self.is_wasi {
            return near;
        }
        let section = self.sections.iter().find(|section| section.keys.contains(&key))?;
        Some(variable_name(&section.name, key))
    }

    /// What may have been meant by a key of the file, and what is allowed in its place.
    fn hint(&self, section: &Section, key: &str) -> String {
        let here = || section.keys.iter().copied();
        let with_key = || self.sections.iter().find(|section| section.keys.contains(&key));
        let hint = if let Some(near) = nearest(key, here()) {
            format!("; did you mean `{near}`?")
        } else if let Some(section) = with_key() {
            match section.name.as_str() {
                "" => "; it belongs above the first [section] of the file.".to_owned(),
                name => format!("; it belongs in [{name}]."),
            }
        } else if let Some(near) = longer(key, here()) {
            format!("; did you mean `{near}`?")
        } else {
            ".".to_owned()
        };
        let allowed: Vec<String> = here().map(|key| format!("`{key}`")).collect();
        format!("{hint} Allowed here: {}", allowed.join(", "))
    }
}
