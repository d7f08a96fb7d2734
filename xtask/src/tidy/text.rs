//! Rules for every text file.

use super::Finding;
use super::files::SourceFile;

/// No line ends in white space.
pub(super) fn trailing_whitespace(file: &SourceFile) -> Vec<Finding> {
    if file.is_vendored() || file.is_golden() {
        return Vec::new();
    }
    let message = "white space at the end of the line";
    each_line(file, |line| (line != line.trim_end()).then(|| message.into()))
}

/// A file that is not empty ends with exactly one line break.
pub(super) fn final_newline(file: &SourceFile) -> Vec<Finding> {
    let fine = file.text.is_empty() || (file.text.ends_with('\n') && !file.text.ends_with("\n\n"));
    if fine || file.is_vendored() || file.is_golden() {
        return Vec::new();
    }
    vec![Finding::new(file, 0, "must end with one line break")]
}

/// Work that is left goes into the issue tracker, where people look for it.
pub(super) fn notes_to_self(file: &SourceFile) -> Vec<Finding> {
    // Written in two parts, so that this file does not break its own rule.
    const WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    if file.is_vendored() {
        return Vec::new();
    }
    each_line(file, |line| {
        let word = WORDS.iter().find(|word| has_word(line, word))?;
        Some(format!("{word}: do it now, or open an issue"))
    })
}

/// No path of a particular machine: it means nothing on any other.
pub(super) fn machine_paths(file: &SourceFile) -> Vec<Finding> {
    const PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    if file.is_vendored() {
        return Vec::new();
    }
    each_line(file, |line| {
        let path = PATHS.iter().find(|path| has_absolute_path(line, path))?;
        Some(format!("{path} is a path of a particular machine"))
    })
}

fn each_line(file: &SourceFile, check: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let numbered = file.text.split('\n').enumerate();
    numbered.filter_map(|(index, line)| Some(Finding::new(file, index + 1, check(line)?))).collect()
}

/// Whether a word is in the line, not as part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(part) && !line[start + word.len()..].starts_with(part)
    })
}

/// Whether an absolute path starts like this; the same letters inside a longer path are something
/// else.
fn has_absolute_path(line: &str, path: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_-.~)}]".contains(c);
    line.match_indices(path).any(|(start, _)| !line[..start].ends_with(part))
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines_found;
    use super::*;

    const NONE: &[usize] = &[];

    #[test]
    fn white_space_at_the_end_of_a_line() {
        let text = "fine\nspace \ntab\t\n\nreturn\r\n";
        assert_eq!(lines_found(trailing_whitespace, "a.md", text), [2, 3, 5]);
        assert_eq!(lines_found(trailing_whitespace, "a.snap", text), NONE);
        assert_eq!(lines_found(trailing_whitespace, "wit/deps/io.wit", text), NONE);
    }

    #[test]
    fn the_last_line_ends_once() {
        assert_eq!(lines_found(final_newline, "a.md", "text"), [0]);
        assert_eq!(lines_found(final_newline, "a.md", "text\n\n"), [0]);
        for text in ["", "text\n"] {
            assert_eq!(lines_found(final_newline, "a.md", text), NONE);
        }
    }

    #[test]
    fn notes_to_self_are_found_as_words() {
        let text = ["// TO", "DO: x\nXX", "X\nXXX", "X mktemp\nFIX", "ME(me)\nTO", "DOS\n"];
        assert_eq!(lines_found(notes_to_self, "a.rs", &text.concat()), [1, 2, 4]);
    }

    #[test]
    fn machine_paths_are_found_as_paths() {
        let text = ["cd /wo", "rk/x\nhttps://host/ho", "me/\n\"/ro", "ot/\"\nframe/wo", "rk/\n"];
        assert_eq!(lines_found(machine_paths, "a.sh", &text.concat()), [1, 3]);
    }
}
