//! Cache keys, and the names of their records.
//!
//! A key is data and never becomes a path. Its record name is the key, percent-encoded except for
//! ASCII letters, digits, `_`, `-` and any `.` but a leading one. Keys with a common prefix thus
//! have names with a common prefix. A name that would be too long is cut and ends in `~` and the
//! SHA-256 of the key; `~` in keys is encoded, so the two forms cannot be confused.

use crate::digest::sha256;
use btdt_ports::client::{KeyFault, MAX_KEY_LENGTH};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;

/// What record names percent-encode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// Longest record name in bytes: file systems allow 255.
const MAX_NAME: usize = 250;

/// Length of a long name's suffix, `~` and digest, in bytes.
const SUFFIX: usize = 1 + 2 * btdt_ports::Digest::LENGTH;

/// A valid cache key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Longest key in bytes of UTF-8.
    pub const MAX_LENGTH: usize = MAX_KEY_LENGTH;

    /// Checks a key.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyFault> {
        let text = text.into();
        if text.is_empty() {
            return Err(KeyFault::Empty);
        }
        check(&text)?;
        Ok(Key(text))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the record of this key.
    #[must_use]
    pub fn record_name(&self) -> String {
        let mut name = encode(&self.0);
        if name.len() > MAX_NAME {
            name.truncate(MAX_NAME - SUFFIX);
            name.push('~');
            name.push_str(&sha256(self.0.as_bytes()).to_hex());
        }
        name
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A prefix of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Checks a prefix. It may be empty, and matches every key then.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyFault> {
        let text = text.into();
        check(&text)?;
        Ok(Prefix(text))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` begins with it.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        key.0.starts_with(&self.0)
    }

    /// The prefix that the record names of all matching keys share. Names of other keys may share
    /// it as well, because those of long keys are cut.
    #[must_use]
    pub fn record_name_prefix(&self) -> String {
        let mut name = encode(&self.0);
        name.truncate(MAX_NAME - SUFFIX);
        name
    }
}

fn check(text: &str) -> Result<(), KeyFault> {
    if text.len() > Key::MAX_LENGTH {
        return Err(KeyFault::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(KeyFault::Control);
    }
    if text.contains(',') {
        return Err(KeyFault::Comma);
    }
    Ok(())
}

fn encode(text: &str) -> String {
    // No name begins with a dot: such files are hidden, and `.` and `..` are no names.
    match text.strip_prefix('.') {
        Some(rest) => format!("%2E{}", utf8_percent_encode(rest, ENCODED)),
        None => utf8_percent_encode(text, ENCODED).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_that_are_refused() {
        assert_eq!(Key::new(""), Err(KeyFault::Empty));
        assert_eq!(Key::new("a,b"), Err(KeyFault::Comma));
        assert_eq!(Key::new("a\nb"), Err(KeyFault::Control));
        assert_eq!(Key::new("a\u{85}b"), Err(KeyFault::Control));
        assert_eq!(Key::new("é".repeat(257)), Err(KeyFault::TooLong));
        assert!(Key::new("é".repeat(256)).is_ok());
    }

    #[test]
    fn names_are_readable_where_they_can_be() {
        let name = |key: &str| Key::new(key).unwrap().record_name();
        assert_eq!(name("node-modules-af13"), "node-modules-af13");
        assert_eq!(name("../a b/é~"), "%2E.%2Fa%20b%2F%C3%A9%7E");
        assert_eq!(name(&"k".repeat(250)), "k".repeat(250));
        assert_eq!(name(&"k".repeat(251)).len(), 250);
    }

    proptest! {
        #[test]
        fn names_are_safe_unique_and_keep_prefixes(a in "\\PC{1,300}", b in "\\PC{1,300}") {
            let (Ok(a), Ok(b)) = (Key::new(a), Key::new(b)) else { return Ok(()) };
            let name = a.record_name();
            prop_assert!((1..=250).contains(&name.len()));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%_-.~".contains(&byte)));
            prop_assert!(!name.starts_with('.'));
            prop_assert_eq!(a == b, name == b.record_name());
            for (end, _) in a.as_str().char_indices() {
                let prefix = Prefix::new(&a.as_str()[..end]).unwrap();
                prop_assert!(prefix.matches(&a));
                prop_assert!(name.starts_with(&prefix.record_name_prefix()));
            }
        }
    }
}
