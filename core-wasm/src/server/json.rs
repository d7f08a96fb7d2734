//! JSON as this server writes it: flat objects, and lists of them.

use std::fmt::Write as _;

/// An object that is being written.
pub(super) struct Object<'text> {
    text: &'text mut String,
    first: bool,
}

impl<'text> Object<'text> {
    /// Begins an object at the end of `text`.
    pub(super) fn begin(text: &'text mut String) -> Self {
        text.push('{');
        Object { text, first: true }
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.text.push('}');
    }

    /// Adds a name; its value has to follow in the text that is returned.
    pub(super) fn member(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
        push_text(self.text, name);
        self.text.push(':');
        self.text
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        push_text(self.member(name), value);
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, value: u64) -> &mut Self {
        // Writing to a string does not fail.
        let _ = write!(self.member(name), "{value}");
        self
    }

    /// Adds a list of texts.
    pub(super) fn texts(&mut self, name: &str, values: impl Iterator<Item = String>) -> &mut Self {
        let text = self.member(name);
        text.push('[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                text.push(',');
            }
            push_text(text, &value);
        }
        text.push(']');
        self
    }
}

fn push_text(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let mut text = String::new();
        let mut object = Object::begin(&mut text);
        object.text("a\"", "\\é\n\u{7f}\u{2028}").number("n", u64::MAX);
        object.texts("l", ["x".to_owned(), "y".to_owned()].into_iter());
        object.end();
        let expected = r#"{"a\"":"\\é\u000a\u007f\u2028","n":18446744073709551615,"l":["x","y"]}"#;
        assert_eq!(text, expected);
    }
}
