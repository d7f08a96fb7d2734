//! Style made executable: rules that a program can check, over every file of the repository.
//!
//! Each rule is a function from files to findings, in the module of its kind, with a test that
//! shows a violating sample. CONTRIBUTING.md explains the rules to people.

mod calls;
mod files;
mod mask;
mod project;
mod rust;
mod text;

use crate::workspace::Workspace;
use anyhow::{Result, bail};
use files::SourceFile;
use std::fmt;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    message: String,
}

type FileRule = fn(&SourceFile) -> Vec<Finding>;
type ProjectRule = fn(&[SourceFile]) -> Vec<Finding>;

/// The rules that look at one file at a time.
const FILE_RULES: &[FileRule] = &[
    calls::banned_calls,
    project::crate_lints,
    rust::file_length,
    rust::function_length,
    rust::module_docs,
    text::final_newline,
    text::machine_paths,
    text::notes_to_self,
    text::trailing_whitespace,
];

/// The rules that need to know all files.
const PROJECT_RULES: &[ProjectRule] = &[project::changelog, project::markdown_links];

/// Checks all files and prints what it finds.
///
/// # Errors
/// When there is a finding, or the files can't be listed or read.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = files::load(workspace.root())?;
    let findings = check(&files);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings in {} files", findings.len(), files.len());
    }
    println!("tidy: {} files, nothing to complain about", files.len());
    Ok(())
}

fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in FILE_RULES {
        findings.extend(files.iter().flat_map(rule));
    }
    for rule in PROJECT_RULES {
        findings.extend(rule(files));
    }
    findings.sort();
    findings
}

impl Finding {
    fn new(file: &SourceFile, line: usize, message: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines at which a rule finds something in a file of the given name and text.
    pub(super) fn lines_found(rule: FileRule, path: &str, text: &str) -> Vec<usize> {
        let findings = rule(&SourceFile::new(path, text));
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn findings_are_sorted_and_say_where() {
        let files = [
            SourceFile::new("b.md", "x "),
            SourceFile::new("a.md", "one\ntwo \n"),
            SourceFile::new("CHANGELOG.md", "## Unreleased\n"),
        ];
        let shown: Vec<String> = check(&files).iter().map(Finding::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown[0].starts_with("a.md:2: "), "{shown:?}");
        assert!(shown[1].starts_with("b.md: "), "{shown:?}");
        assert!(shown[2].starts_with("b.md:1: "), "{shown:?}");
    }
}
