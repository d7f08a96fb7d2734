//! Rust source with comments and literals blanked out, so that simple scans see only code.
//!
//! This is no parser: it knows just enough of Rust's lexical rules to tell code from text.

/// Replaces every character of comments, strings and character literals by a space. Line breaks
/// stay, so that line numbers and columns mean the same in both texts.
pub(super) fn mask(text: &str) -> String {
    let mut scanner = Scanner {
        rest: text.chars().collect(),
        position: 0,
        code: String::with_capacity(text.len()),
    };
    while let Some(current) = scanner.peek(0) {
        match (current, scanner.peek(1)) {
            ('/', Some('/')) => scanner.blank_until(|scanner| scanner.peek(0) == Some('\n')),
            ('/', Some('*')) => scanner.block_comment(),
            ('"', _) => scanner.string(),
            ('r', Some('"' | '#')) if !scanner.follows_a_word() => scanner.raw_string(),
            ('\'', _) => scanner.quote(),
            _ => scanner.keep(),
        }
    }
    scanner.code
}

struct Scanner {
    rest: Vec<char>,
    position: usize,
    code: String,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.position + ahead).copied()
    }

    fn keep(&mut self) {
        self.code.extend(self.peek(0));
        self.position += 1;
    }

    fn blank(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(current) = self.peek(0) {
                self.code.push(if current == '\n' { '\n' } else { ' ' });
                self.position += 1;
            }
        }
    }

    fn blank_until(&mut self, at_end: impl Fn(&Self) -> bool) {
        while self.peek(0).is_some() && !at_end(self) {
            self.blank(1);
        }
    }

    /// Whether the character before is part of the same word, as the `r` of `for` is. A `b` or `c`
    /// prefix of a literal counts as no word.
    fn follows_a_word(&self) -> bool {
        let word = |c: &char| c.is_alphanumeric() || *c == '_';
        let before = |distance: usize| {
            let index = self.position.checked_sub(distance)?;
            self.rest.get(index).filter(|c| word(c)).copied()
        };
        match before(1) {
            Some('b' | 'c') => before(2).is_some(),
            other => other.is_some(),
        }
    }

    /// A block comment; they nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.peek(0).is_some() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.blank(2);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.blank(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.blank(1),
            }
        }
    }

    fn string(&mut self) {
        self.blank(1);
        while let Some(current) = self.peek(0) {
            match current {
                '\\' => self.blank(2),
                '"' => return self.blank(1),
                _ => self.blank(1),
            }
        }
    }

    /// `r"…"`, `r#"…"#` and so on; or a raw identifier, which is code.
    fn raw_string(&mut self) {
        let mut hashes = 0;
        while self.peek(1 + hashes) == Some('#') {
            hashes += 1;
        }
        if self.peek(1 + hashes) != Some('"') {
            return self.keep();
        }
        self.blank(2 + hashes);
        self.blank_until(|scanner| {
            scanner.peek(0) == Some('"')
                && (1..=hashes).all(|ahead| scanner.peek(ahead) == Some('#'))
        });
        self.blank(1 + hashes);
    }

    /// A character literal, or the apostrophe of a lifetime.
    fn quote(&mut self) {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                // The escaped character may itself be an apostrophe.
                self.blank(3);
                self.blank_until(|scanner| scanner.peek(0) == Some('\''));
                self.blank(1);
            }
            (Some(_), Some('\'')) => self.blank(3),
            _ => self.keep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The masked text with runs of spaces made one.
    fn squeezed(text: &str) -> String {
        let masked = mask(text);
        assert_eq!(masked.chars().count(), text.chars().count());
        assert_eq!(masked.lines().count(), text.lines().count());
        masked.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_disappear() {
        assert_eq!(squeezed("a // { b\nc"), "a \nc");
        assert_eq!(squeezed("a /* { /* } */ \n { */ b"), "a \n b");
        assert_eq!(squeezed("a /* unfinished {"), "a");
    }

    #[test]
    fn strings_disappear() {
        assert_eq!(squeezed(r#"f("{ \" }", x)"#), "f( , x)");
        assert_eq!(squeezed(r##"f(r#"{ " }"#, x)"##), "f( , x)");
        assert_eq!(squeezed(r##"f(br#"{"#, x)"##), "f(b , x)");
        assert_eq!(squeezed("f(\"one {\ntwo\")"), "f( \n )");
        assert_eq!(squeezed(r#"for"{""#), "for");
    }

    #[test]
    fn characters_disappear_and_lifetimes_stay() {
        assert_eq!(squeezed(r"f('{', '\'', '\u{7b}', 'x')"), "f( , , , )");
        assert_eq!(squeezed("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(squeezed("'outer: loop {}"), "'outer: loop {}");
    }

    #[test]
    fn raw_identifiers_are_code() {
        assert_eq!(squeezed("let r#type = 1;"), "let r#type = 1;");
    }
}
