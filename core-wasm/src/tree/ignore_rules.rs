//! Which files a store leaves out: `.btdtignore` files and exclude patterns, in gitignore syntax.
//!
//! Exclude patterns take precedence over files. Among the files, the one nearest to an entry with a
//! matching pattern decides. Excluded directories are not read, so nothing in them can be included
//! again. `.gitignore` files, and ignore files above the root, have no effect.

use btdt_ports::client::{Error, InvalidExclude};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::borrow::Cow;
use std::path::Path;

/// Name of ignore files.
pub const FILE_NAME: &[u8] = b".btdtignore";

/// Largest ignore file in bytes: far larger than real ones, and small in memory.
pub const MAX_FILE_SIZE: u64 = 1 << 20;

/// Exclude patterns, and the ignore files read so far.
#[derive(Debug)]
pub struct IgnoreRules {
    flags: Gitignore,
    /// Ignore files with their directories, parents first.
    files: Vec<(Vec<u8>, Gitignore)>,
}

impl IgnoreRules {
    /// Rules from exclude patterns, each a line of gitignore syntax.
    ///
    /// # Errors
    /// [`Error::InvalidExclude`].
    pub fn new(patterns: &[String]) -> Result<Self, Error> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in patterns {
            let refused = |reason: String| {
                Error::InvalidExclude(InvalidExclude { pattern: pattern.clone(), reason })
            };
            if pattern.contains(['\n', '\r']) {
                return Err(refused("a pattern is a single line".to_owned()));
            }
            builder.add_line(None, pattern).map_err(|error| refused(error.to_string()))?;
        }
        let flags = builder.build().map_err(|error| {
            Error::InvalidExclude(InvalidExclude {
                pattern: patterns.join(" "),
                reason: error.to_string(),
            })
        })?;
        Ok(IgnoreRules { flags, files: Vec::new() })
    }

    /// Whether there are no rules so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty() && self.files.is_empty()
    }

    /// Adds the patterns of the ignore file in `directory`, parent directories first. Returns a
    /// message for each invalid line.
    pub fn add_file(&mut self, directory: &[u8], content: &[u8]) -> Vec<String> {
        let mut builder = GitignoreBuilder::new(text(directory).as_ref());
        let mut refused = Vec::new();
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        for (index, line) in text(content).lines().enumerate() {
            if let Err(error) = builder.add_line(None, line) {
                refused.push(format!("line {}: {error}", index + 1));
            }
        }
        match builder.build() {
            Ok(rules) if !rules.is_empty() => self.files.push((directory.to_vec(), rules)),
            Ok(_) => {}
            Err(error) => refused.push(error.to_string()),
        }
        refused
    }

    /// Whether an entry is left out, given that its parent directory is not.
    #[must_use]
    pub fn excludes(&self, entry: &[u8], is_directory: bool) -> bool {
        if let Some(excluded) = verdict(&self.flags, entry, is_directory) {
            return excluded;
        }
        let above = |directory: &[u8]| {
            directory.is_empty()
                || entry.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
        };
        let mut near_first = self.files.iter().rev().filter(|(directory, _)| above(directory));
        near_first.find_map(|(_, rules)| verdict(rules, entry, is_directory)).unwrap_or(false)
    }
}

fn verdict(rules: &Gitignore, entry: &[u8], is_directory: bool) -> Option<bool> {
    match rules.matched(Path::new(text(entry).as_ref()), is_directory) {
        Match::None => None,
        Match::Ignore(_) => Some(true),
        Match::Whitelist(_) => Some(false),
    }
}

/// Names and patterns as text. Invalid UTF-8 is replaced the same way in both, so they still match.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(flags: &[&str], files: &[(&str, &str)]) -> IgnoreRules {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut rules = IgnoreRules::new(&flags).unwrap();
        for (directory, content) in files {
            assert!(rules.add_file(directory.as_bytes(), content.as_bytes()).is_empty());
        }
        rules
    }

    #[test]
    fn patterns_are_anchored_at_their_directory() {
        let rules = rules(&[], &[("", "/top\n*.log\nonly/\n"), ("sub", "/top\n")]);
        assert!(rules.excludes(b"top", false));
        assert!(rules.excludes(b"sub/top", false));
        assert!(!rules.excludes(b"subx/top", false));
        assert!(rules.excludes(b"a/b/c.log", false));
        assert!(rules.excludes(b"a/only", true));
        assert!(!rules.excludes(b"a/only", false));
    }

    #[test]
    fn the_nearest_file_decides_and_flags_outrank_it() {
        let files = [("", "*.log\n"), ("keep", "!*.log\n")];
        assert!(!rules(&[], &files).excludes(b"keep/a.log", false));
        assert!(rules(&["*.log"], &files).excludes(b"keep/a.log", false));
        assert!(!rules(&["!b.log"], &files).excludes(b"b.log", false));
        assert!(rules(&["!b.log"], &files).excludes(b"a.log", false));
    }

    #[test]
    fn the_last_matching_pattern_wins() {
        let rules = rules(&["*.log", "!keep.log", "/x/keep.log"], &[]);
        assert!(!rules.excludes(b"keep.log", false));
        assert!(rules.excludes(b"x/keep.log", false));
    }

    #[test]
    fn names_that_are_not_utf8_match() {
        let rules = rules(&["*.log"], &[("d", "x*\n")]);
        assert!(rules.excludes(b"\xff.log", false));
        assert!(rules.excludes(b"d/x\xff", false));
    }

    #[test]
    fn bad_patterns_are_named() {
        let error = IgnoreRules::new(&["a{b".to_owned()]).unwrap_err();
        assert!(matches!(error, Error::InvalidExclude(exclude) if exclude.pattern == "a{b"));
        let mut rules = IgnoreRules::new(&[]).unwrap();
        let refused = rules.add_file(b"", b"good\na{b\nalso\n");
        assert_eq!(refused.len(), 1);
        assert!(refused[0].starts_with("line 2: "), "{refused:?}");
        assert!(rules.excludes(b"good", false) && rules.excludes(b"also", false));
    }
}
