//! Rules for Rust files: how long they and their functions are, and that each says what it is for.

use super::Finding;
use super::files::SourceFile;

/// A file of more lines has two jobs; its unit tests do not count.
const MAX_FILE_LINES: usize = 600;
/// Tests are lists of cases: a long one is tedious, but not hard to read.
const MAX_FILE_LINES_WITH_TESTS: usize = 900;
/// A function of more lines has two jobs.
const MAX_FUNCTION_LINES: usize = 70;
/// As for files.
const MAX_TEST_FUNCTION_LINES: usize = 120;

/// Files stay short.
pub(super) fn file_length(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() || file.is_generated() {
        return Vec::new();
    }
    let all = file.text.lines().count();
    let code = file.first_test_line() - 1;
    let mut findings = Vec::new();
    if code > MAX_FILE_LINES {
        let message = format!("{code} lines of code; {MAX_FILE_LINES} is the limit");
        findings.push(Finding::new(file, 0, message));
    } else if all > MAX_FILE_LINES_WITH_TESTS {
        let message = format!("{all} lines with tests; {MAX_FILE_LINES_WITH_TESTS} is the limit");
        findings.push(Finding::new(file, 0, message));
    }
    findings
}

/// Functions stay short.
pub(super) fn function_length(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() || file.is_generated() {
        return Vec::new();
    }
    let first_test_line = file.first_test_line();
    let mut findings = Vec::new();
    for function in functions(&file.code) {
        let limit = if function.line < first_test_line {
            MAX_FUNCTION_LINES
        } else {
            MAX_TEST_FUNCTION_LINES
        };
        if function.lines > limit {
            let Function { name, lines, .. } = &function;
            let message = format!("function {name} has {lines} lines; {limit} is the limit");
            findings.push(Finding::new(file, function.line, message));
        }
    }
    findings
}

/// Every module begins by saying what it is for.
pub(super) fn module_docs(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() || file.is_generated() {
        return Vec::new();
    }
    let mut lines = file.text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with("#!["));
    match first {
        Some(line) if line.starts_with("//!") => Vec::new(),
        _ => {
            let message = "must begin with `//!` docs that say what the module is for";
            vec![Finding::new(file, 1, message)]
        }
    }
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    /// The line of the name, counted from 1.
    line: usize,
    /// From the line with `fn` to that of the closing brace.
    lines: usize,
}

/// The functions in masked code, nested ones included.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if code[..start].ends_with(word) {
            continue;
        }
        let signature = &code[start + "fn ".len()..];
        let name: String = signature.trim_start().chars().take_while(|c| word(*c)).collect();
        // `fn (` is a type.
        if name.is_empty() {
            continue;
        }
        if let Some(length) = body_end(signature) {
            found.push(Function {
                name,
                line: code[..start].matches('\n').count() + 1,
                lines: signature[..length].matches('\n').count() + 1,
            });
        }
    }
    found
}

/// The length of a signature with its body, or `None` when there is only a declaration.
fn body_end(signature: &str) -> Option<usize> {
    let mut round_or_square = 0_i32;
    let mut braces = 0_usize;
    for (index, c) in signature.char_indices() {
        match c {
            '(' | '[' => round_or_square += 1,
            ')' | ']' => round_or_square -= 1,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && round_or_square == 0 {
                    return Some(index);
                }
            }
            ';' if braces == 0 && round_or_square == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::mask::mask;
    use super::super::tests::lines_found;
    use super::*;

    const NONE: &[usize] = &[];

    fn function_of(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    x();\n".repeat(lines - 2))
    }

    #[test]
    fn long_files_are_found() {
        let line = "const A: u8 = 1;\n";
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        let found = |path, text: String| lines_found(file_length, path, &text);
        assert_eq!(found("a.rs", line.repeat(600)), NONE);
        assert_eq!(found("a.rs", line.repeat(601)), [0]);
        assert_eq!(found("a.txt", line.repeat(601)), NONE);
        assert_eq!(found("tests/a.rs", line.repeat(900)), NONE);
        assert_eq!(found("tests/a.rs", line.repeat(901)), [0]);
        assert_eq!(found("a.rs", line.repeat(600) + tests), NONE);
        assert_eq!(found("a.rs", line.repeat(500) + tests + &line.repeat(398)), [0]);
        let marker = concat!("// @", "generated\n").to_owned();
        assert_eq!(found("a.rs", marker + &line.repeat(601)), NONE);
    }

    #[test]
    fn long_functions_are_found() {
        let found = |path, text: String| lines_found(function_length, path, &text);
        assert_eq!(found("a.rs", function_of(70)), NONE);
        assert_eq!(found("a.rs", "\n".to_owned() + &function_of(71)), [2]);
        assert_eq!(found("tests/a.rs", function_of(120)), NONE);
        assert_eq!(found("tests/a.rs", function_of(121)), [1]);
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function_of(71));
        assert_eq!(found("a.rs", in_tests), NONE);
    }

    #[test]
    fn a_function_ends_where_its_body_ends() {
        let text = "\
trait T {
    fn declared(&self) -> [u8; 4];
}
fn outer(f: fn (u8) -> u8) -> [u8; 2] {
    // }
    let x = \"}\";
    fn inner() {}
    [0; 2]
}
fn last()
where
    u8: Copy,
{
}
";
        let found: Vec<(String, usize, usize)> = functions(&mask(text))
            .into_iter()
            .map(|function| (function.name, function.line, function.lines))
            .collect();
        let expected = [("outer", 4, 6), ("inner", 7, 1), ("last", 10, 5)];
        assert_eq!(found, expected.map(|(name, at, lines)| (name.to_owned(), at, lines)));
    }

    #[test]
    fn a_module_without_docs_is_found() {
        assert_eq!(lines_found(module_docs, "a.rs", "use std::fs;\n"), [1]);
        assert_eq!(lines_found(module_docs, "a.rs", "/// Not the module's.\nfn a() {}\n"), [1]);
        assert_eq!(lines_found(module_docs, "a.rs", ""), [1]);
        assert_eq!(lines_found(module_docs, "a.rs", "//! Docs.\n"), NONE);
        assert_eq!(lines_found(module_docs, "a.rs", "#![no_std]\n\n//! Docs.\n"), NONE);
    }
}
