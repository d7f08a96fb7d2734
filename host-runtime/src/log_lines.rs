//! The format of messages on standard error, the same in every shell.

use btdt_ports::Severity;

/// A message of the core as a line without line break; `None` if users should not see it.
#[must_use]
pub fn line(severity: Severity, message: &str) -> Option<String> {
    match severity {
        Severity::Debug => None,
        Severity::Warning => Some(warning(message)),
        Severity::Error => Some(format!("Internal error: {}", escape(message))),
    }
}

/// A warning as a line.
#[must_use]
pub fn warning(message: &str) -> String {
    format!("Warning: {}", escape(message))
}

/// The text without characters that could forge lines or colours.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_one_line() {
        let warned = line(Severity::Warning, "a\nError: b\u{1b}[31m\u{85}").unwrap();
        assert_eq!(warned, "Warning: a\\nError: b\\u{1b}[31m\\u{85}");
        assert_eq!(line(Severity::Error, "ä").unwrap(), "Internal error: ä");
        assert_eq!(line(Severity::Debug, "a"), None);
    }
}
