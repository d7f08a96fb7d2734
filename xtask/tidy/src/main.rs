//! Checks the style rules that rustfmt and clippy do not check, in every file that git knows:
//! `btdt-tidy ROOT`, for `cargo xtask tidy`. CONTRIBUTING.md explains the rules.
//!
//! This is a separate program because most xtask commands do not need its parsers.

// Findings and the result are printed.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod import_circles;

use anyhow::{Context, Result, bail};
use pulldown_cmark::{Event, Parser, Tag};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A longer file has more than one job. Unit tests do not count.
const MAX_FILE_LINES: usize = 600;
/// Tests are lists of cases: long, but not hard to read.
const MAX_FILE_LINES_WITH_TESTS: usize = 900;

/// Remaining work belongs in the issue tracker. Split, so that this file passes its own rule.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Paths of a particular machine mean nothing elsewhere.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// A text file, with its path relative to the root of the repository.
struct SourceFile {
    path: String,
    text: String,
}

fn main() -> Result<()> {
    let root = std::env::args_os().nth(1).context("usage: btdt-tidy ROOT")?;
    let root = Path::new(&root);
    let files = load(root)?;
    let mut findings: Vec<String> = files.iter().flat_map(check).collect();
    findings.extend(check_links(root, &files));
    findings.extend(check_changelog(&files)?);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings in {} files", findings.len(), files.len());
    }
    let rust = files.iter().map(|file| file.path.clone()).filter(|path| path.ends_with(".rs"));
    import_circles::check(root, &rust.collect::<Vec<_>>())?;
    println!("tidy: {} files, no findings", files.len());
    Ok(())
}

/// The text files that git tracks or would track: findings are most useful before the commit.
fn load(root: &Path) -> Result<Vec<SourceFile>> {
    let mut git = Command::new("git");
    git.current_dir(root);
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let listing = git.output().context("git cannot be run")?;
    if !listing.status.success() {
        bail!("git cannot list the files: {}", String::from_utf8_lossy(&listing.stderr));
    }
    let listing = String::from_utf8(listing.stdout).context("a file's name is not UTF-8")?;
    let paths = listing.split('\0').filter(|path| !path.is_empty() && root.join(path).is_file());
    let mut files = Vec::new();
    for path in paths {
        let bytes = fs::read(root.join(path)).with_context(|| format!("could not read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes)
            && !text.contains('\0')
        {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

/// The rules for a single file.
fn check(file: &SourceFile) -> Vec<String> {
    let SourceFile { path, text } = file;
    let mut findings = Vec::new();
    let mut find = |line: usize, message: &str| findings.push(format!("{path}:{line}: {message}"));
    if path.starts_with("wit/deps/") {
        return findings;
    }
    let is_golden = path.ends_with(".snap") || path.ends_with(".golden");
    for (index, line) in text.lines().enumerate() {
        if line != line.trim_end() && !is_golden {
            find(index + 1, "white space at the end of the line");
        }
        if NOTES.iter().any(|note| has_word(line, note)) {
            find(index + 1, "a note to yourself: do it now, or open an issue");
        }
        if path.ends_with(".rs")
            && line.contains(concat!("thread::", "sleep"))
            && !path.starts_with("xtask/src/bench")
        {
            find(
                index + 1,
                "wait for the event itself: a time that is right here is wrong elsewhere",
            );
        }
        if MACHINE_PATHS.iter().any(|path| has_absolute_path(line, path)) {
            find(index + 1, "a path of a particular machine");
        }
    }
    if !text.is_empty() && !is_golden && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        find(text.lines().count(), "the file must end with one line break");
    }
    if path.ends_with(".rs") && !is_generated(text) {
        check_rust(text, find);
    } else if path.ends_with("Cargo.toml") && !takes_part_in_lints(text) {
        find(1, "needs `[lints]` with `workspace = true`");
    }
    findings
}

fn check_rust(text: &str, mut find: impl FnMut(usize, &str)) {
    let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
    if !first.is_some_and(|line| line.starts_with("//!")) {
        find(1, "must begin with `//!` docs that say what the module is for");
    }
    let all = text.lines().count();
    let tests = text.find("\n#[cfg(test)]\nmod tests {");
    let code = tests.map_or(all, |start| text[..start].lines().count());
    if code > MAX_FILE_LINES && !text.contains("\n#[test]\n") {
        find(1, &format!("{code} lines without the tests; {MAX_FILE_LINES} is the limit"));
    } else if all > MAX_FILE_LINES_WITH_TESTS {
        find(1, &format!("{all} lines; {MAX_FILE_LINES_WITH_TESTS} is the limit"));
    }
}

/// Generated files are marked in their first lines.
fn is_generated(text: &str) -> bool {
    text.lines().take(5).any(|line| line.contains(concat!("@", "generated")))
}

fn takes_part_in_lints(manifest: &str) -> bool {
    let Ok(manifest) = manifest.parse::<toml::Table>() else { return false };
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    !manifest.contains_key("package") || lints.and_then(toml::Value::as_bool) == Some(true)
}

/// Whether a line contains `word` as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(part) && !line[start + word.len()..].starts_with(part)
    })
}

/// Whether a line contains an absolute path that begins like this. Matches inside a longer path do
/// not count.
fn has_absolute_path(line: &str, path: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_-.~)}]".contains(c);
    line.match_indices(path).any(|(start, _)| !line[..start].ends_with(part))
}

/// Relative links in Markdown files must lead to files or directories of the repository.
fn check_links(root: &Path, files: &[SourceFile]) -> Vec<String> {
    let mut findings = Vec::new();
    for SourceFile { path, text } in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = root.join(path).parent().unwrap_or(root).to_path_buf();
        for (event, range) in Parser::new(text).into_offset_iter() {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event
            else {
                continue;
            };
            let target = dest_url.split('#').next().unwrap_or_default().replace("%20", " ");
            if target.is_empty() || target.split('/').next().is_some_and(|part| part.contains(':'))
            {
                continue;
            }
            let found = match target.strip_prefix('/') {
                Some(absolute) => root.join(absolute),
                None => folder.join(&target),
            };
            let is_inside = fs::canonicalize(&found).is_ok_and(|found| {
                fs::canonicalize(root).is_ok_and(|root| found.starts_with(root))
            });
            if !is_inside {
                let line = text[..range.start].lines().count().max(1);
                findings.push(format!("{path}:{line}: leads nowhere: {target}"));
            }
        }
    }
    findings
}

/// The changelog needs a heading for unreleased changes, or for the version in `Cargo.toml`.
fn check_changelog(files: &[SourceFile]) -> Result<Option<String>> {
    let by_path = |path: &str| files.iter().find(|file| file.path == path);
    let manifest = by_path("Cargo.toml").context("Cargo.toml is missing")?;
    let manifest: toml::Table = manifest.text.parse().context("Cargo.toml does not parse")?;
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap_or_default();
    let has_heading = by_path("CHANGELOG.md").is_some_and(|file| {
        let headings = file.text.lines().filter_map(|line| line.strip_prefix("## "));
        let names = headings.filter_map(|heading| heading.split_whitespace().next());
        names
            .map(|name| name.trim_matches(['[', ']']))
            .any(|name| name == "Unreleased" || name == version)
    });
    Ok((!has_heading)
        .then(|| format!("CHANGELOG.md: needs a heading `## Unreleased` or `## {version}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    /// The lines with findings in a file.
    fn lines_found(path: &str, text: &str) -> Vec<usize> {
        let line = |finding: String| finding.split(':').nth(1).unwrap().parse().unwrap();
        check(&file(path, text)).into_iter().map(line).collect()
    }

    #[test]
    fn white_space_at_the_end_of_lines_and_files() {
        assert_eq!(lines_found("a.md", "fine\nspace \ntab\t\n"), [2, 3]);
        assert_eq!(lines_found("a.md", "text"), [1]);
        assert_eq!(lines_found("a.md", "text\n\n"), [2]);
        for (path, text) in [("a.md", ""), ("a.snap", "space \n\n"), ("wit/deps/io.wit", "a \n\n")]
        {
            assert!(lines_found(path, text).is_empty(), "{path}");
        }
    }

    #[test]
    fn notes_and_paths_of_a_machine() {
        let notes = ["// TO", "DO: x\nXX", "X\nXXX", "X mktemp\nFIX", "ME(me)\nTO", "DOS\n"];
        assert_eq!(lines_found("a.md", &notes.concat()), [1, 2, 4]);
        let paths = ["cd /wo", "rk/x\nhttps://host/ho", "me/\n\"/ro", "ot/\"\nframe/wo", "rk/\n"];
        assert_eq!(lines_found("a.sh", &paths.concat()), [1, 3]);
    }

    #[test]
    fn rust_files_say_what_they_are_for_and_stay_short() {
        let with = |lines: usize| format!("//! Docs.\n{}", "fn f() {}\n".repeat(lines - 1));
        assert!(lines_found("a.rs", &with(MAX_FILE_LINES)).is_empty());
        assert_eq!(lines_found("a.rs", &with(MAX_FILE_LINES + 1)), [1]);
        let tests = format!("{}\n#[cfg(test)]\nmod tests {{\n", with(500));
        assert!(lines_found("a.rs", &format!("{tests}{}}}\n", "x();\n".repeat(300))).is_empty());
        assert_eq!(lines_found("a.rs", &format!("{tests}{}}}\n", "x();\n".repeat(500))), [1]);
        assert_eq!(lines_found("a.rs", "fn f() {}\n"), [1]);
        assert!(lines_found("a.rs", concat!("// @", "generated\nfn f() {}\n")).is_empty());
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let package = "[package]\nname = \"a\"\n";
        assert_eq!(lines_found("a/Cargo.toml", package), [1]);
        assert_eq!(
            lines_found("a/Cargo.toml", &format!("{package}[lints]\n[a]\nworkspace = true\n")),
            [1]
        );
        assert!(
            lines_found("a/Cargo.toml", &format!("{package}[lints]\nworkspace = true\n"))
                .is_empty()
        );
        assert!(lines_found("Cargo.toml", "[workspace]\n").is_empty());
    }

    #[test]
    fn a_changelog_without_a_current_heading_is_found() {
        let found = |text: &str| {
            let manifest = file("Cargo.toml", "[workspace.package]\nversion = \"1.2.0\"\n");
            check_changelog(&[manifest, file("CHANGELOG.md", text)]).unwrap().is_some()
        };
        for text in ["## Unreleased\n", "## [1.2.0] - 2026-01-01\n", "# Log\n\n## 1.2.0\n"] {
            assert!(!found(text), "{text}");
        }
        for text in ["", "## 1.1.0\n", "Unreleased\n"] {
            assert!(found(text), "{text}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        fs::write(root.path().join("docs/guide.md"), "").unwrap();
        let found = |text: &str| check_links(root.path(), &[file("docs/a.md", text)]).len();
        let broken =
            "[a](no.md) and [b](guide.md)\n![c](no.png)\n[d](<no such.md>)\n[e](../../x)\n";
        assert_eq!(found(broken), 4);
        assert_eq!(found("[f]\n\n[f]: nothing.md\n"), 1);
        let fine = "[a](guide.md#x \"Title\"), [b](../docs/), [c](/docs/guide.md), [d](..), [e](#here)\n\
                    [f](https://example.org/x.md) [g](mailto:a@example.org) `[h](no.md)`\n\
                    ```sh\n[i](no.md)\n```\n";
        assert_eq!(found(fine), 0);
    }

    #[test]
    fn this_repository_is_listed() {
        let files = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/main.rs"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }
}
