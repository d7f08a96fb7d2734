//! Rules about the project as a whole: links between documents, manifests, the changelog.

use super::Finding;
use super::files::SourceFile;
use std::collections::HashSet;

/// Every crate takes part in the lints of the workspace.
pub(super) fn crate_lints(file: &SourceFile) -> Vec<Finding> {
    let is_manifest = file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml");
    if !is_manifest || table(&file.text, "package").is_none() {
        return Vec::new();
    }
    let takes_part = table(&file.text, "lints")
        .is_some_and(|mut lines| lines.any(|line| line.replace(' ', "") == "workspace=true"));
    if takes_part {
        return Vec::new();
    }
    let message = "needs `[lints]` with `workspace = true`";
    vec![Finding::new(file, 0, message)]
}

/// The lines of a table of a TOML file, without those of its subtables.
fn table<'a>(text: &'a str, name: &str) -> Option<impl Iterator<Item = &'a str>> {
    let header = format!("[{name}]");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == header)?;
    Some(lines.take_while(|line| !line.starts_with('[')))
}

/// The changelog has a place for what is being done, or tells of the current version.
pub(super) fn changelog(files: &[SourceFile]) -> Vec<Finding> {
    let finding = |message: String| vec![Finding { path: "CHANGELOG.md".into(), line: 0, message }];
    let by_path = |path: &str| files.iter().find(|file| file.path == path);
    let Some(file) = by_path("CHANGELOG.md") else {
        return finding("is missing".into());
    };
    let version = by_path("Cargo.toml")
        .and_then(|file| table(&file.text, "workspace.package"))
        .and_then(|mut lines| lines.find_map(|line| line.strip_prefix("version = ")))
        .map(|version| version.trim_matches('"').to_owned());
    let wanted = |heading: &str| {
        let name = heading.split_whitespace().next().unwrap_or_default();
        let name = name.trim_matches(['[', ']']);
        name == "Unreleased" || Some(name) == version.as_deref()
    };
    let mut headings = file.text.lines().filter_map(|line| line.strip_prefix("## "));
    if headings.any(wanted) {
        return Vec::new();
    }
    let version = version.as_deref().unwrap_or("the current version");
    finding(format!("needs a heading `## Unreleased` or `## {version}`"))
}

/// Relative links in Markdown files lead to files of the repository.
pub(super) fn markdown_links(files: &[SourceFile]) -> Vec<Finding> {
    let mut known: HashSet<String> = HashSet::from([String::new()]);
    for file in files {
        // A link may lead to a directory too.
        let mut path = file.path.as_str();
        while known.insert(path.to_owned()) {
            path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(&file.text) {
            let found = resolve(&file.path, &target).is_some_and(|path| known.contains(&path));
            if !found {
                findings.push(Finding::new(file, line, format!("leads nowhere: {target}")));
            }
        }
    }
    findings
}

/// The relative targets of the links in a Markdown text, without fragments, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            in_fence = !in_fence;
        } else if !in_fence {
            let targets = line_targets(&without_code_spans(line));
            found.extend(targets.into_iter().map(|target| (index + 1, target)));
        }
    }
    found
}

fn line_targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(inline_target);
    let definition =
        line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline.chain(definition).filter_map(relative_target).collect()
}

/// What is between the parentheses of a link; they may be nested.
fn inline_target(rest: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (index, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(&rest[..index]),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The path in a link's target; `None` for another site or a place on the same page.
fn relative_target(target: &str) -> Option<String> {
    let target = target.trim();
    let path = match target.strip_prefix('<') {
        Some(rest) => rest.split('>').next()?,
        // What follows a space is a title.
        None => target.split(' ').next()?,
    };
    let path = path.split('#').next()?;
    let has_scheme = path.split('/').next().is_some_and(|first| first.contains(':'));
    (!path.is_empty() && !has_scheme).then(|| path.replace("%20", " "))
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The path, relative to the root, to which a link in a file leads; `None` outside the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines_found;
    use super::*;

    const NONE: &[usize] = &[];

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let package = "[package]\nname = \"a\"\n";
        let lints = "\n[lints]\nworkspace = true\n";
        let found = |path, text: &str| lines_found(crate_lints, path, text);
        assert_eq!(found("a/Cargo.toml", package), [0]);
        assert_eq!(found("a/Cargo.toml", &format!("{package}{lints}")), NONE);
        let elsewhere = format!("{package}\n[lints]\n[other]\nworkspace = true\n");
        assert_eq!(found("a/Cargo.toml", &elsewhere), [0]);
        assert_eq!(found("Cargo.toml", "[workspace]\n"), NONE);
    }

    fn changelog_findings(text: &str) -> usize {
        let manifest = "[workspace.package]\nversion = \"1.2.0\"\n";
        let files =
            [SourceFile::new("Cargo.toml", manifest), SourceFile::new("CHANGELOG.md", text)];
        changelog(&files).len()
    }

    #[test]
    fn a_changelog_without_a_current_heading_is_found() {
        for text in ["## Unreleased\n", "## [1.2.0] - 2026-01-01\n", "# Log\n\n## 1.2.0\n"] {
            assert_eq!(changelog_findings(text), 0, "{text}");
        }
        for text in ["", "## 1.1.0\n", "Unreleased\n"] {
            assert_eq!(changelog_findings(text), 1, "{text}");
        }
        assert_eq!(changelog(&[]).len(), 1);
    }

    fn broken_links(path: &str, text: &str) -> Vec<usize> {
        let files = [
            SourceFile::new(path, text),
            SourceFile::new("docs/guide.md", "# Guide\n"),
            SourceFile::new("README.md", ""),
        ];
        let findings = markdown_links(&files);
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text = "\
[a](missing.md) and [b](docs/guide.md)
[c](docs/guide.md#part \"Title\"), ![d](docs/missing.png)
[e](<docs/no such.md>)
[ref]: docs/nothing.md
[f](../outside.md)
";
        assert_eq!(broken_links("a.md", text), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn links_that_lead_somewhere_are_not() {
        let text = "\
[a](guide.md), [b](../README.md), [c](../docs/), [d](/README.md), [e](./guide.md#x), [f](..)
[g](https://example.org/x.md) [h](#here) [i](mailto:a@example.org)
[ref]: ../README.md
`[j](missing.md)`
```sh
[k](missing.md)
```
";
        assert_eq!(broken_links("docs/a.md", text), NONE);
    }
}
