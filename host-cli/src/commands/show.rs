//! Formatting of results: text for people, JSON for programs.

use crate::backend::client;
use crate::failure::Failure;
use crate::messages;
use crate::printer::Printer;
use btdt_host_runtime::log_lines::escape;
use btdt_host_runtime::units::show_size;
use btdt_ports::Timestamp;
use btdt_ports::time::rfc_3339;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes that are buffered before printing.
const GATHERED: usize = 64 << 10;

/// Buffered lines of results.
pub(super) struct Lines<'printer> {
    printer: &'printer Printer,
    text: String,
}

impl<'printer> Lines<'printer> {
    pub(super) fn new(printer: &'printer Printer) -> Self {
        Lines { printer, text: String::new() }
    }

    /// Adds a line, which must not contain control characters.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    /// Prints the buffered lines.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        match text.strip_suffix('\n') {
            None => Ok(()),
            Some(text) => self.printer.result(text).map_err(messages::output),
        }
    }
}

/// An entry as JSON.
#[derive(Serialize)]
pub(super) struct JsonEntry<'entry> {
    key: &'entry str,
    manifest: String,
    created: String,
    last_access: String,
    raw_size: u64,
    stored_size: u64,
    files: u64,
    tool: &'entry str,
    labels: BTreeMap<&'entry str, &'entry str>,
}

impl<'entry> JsonEntry<'entry> {
    pub(super) fn new(entry: &'entry client::EntryInfo) -> Self {
        JsonEntry {
            key: &entry.key,
            manifest: entry.manifest.to_hex(),
            created: rfc_3339(entry.created),
            last_access: rfc_3339(entry.last_access),
            raw_size: entry.raw_size,
            stored_size: entry.stored_size,
            files: entry.files,
            tool: &entry.tool,
            labels: entry.labels.iter().map(|(name, value)| (&**name, &**value)).collect(),
        }
    }
}

/// A value as JSON on one line.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| messages::output(error.into()))?;
    // Control characters that JSON allows and terminals interpret: only texts contain them.
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    Ok(escaped)
}

/// A path for people, with bytes that are not UTF-8 as `\xNN`.
pub(super) fn path(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// A path for JSON, and its bytes in hexadecimal if it is not UTF-8.
pub(super) fn json_path(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    let path = String::from_utf8_lossy(bytes);
    let hex = matches!(path, Cow::Owned(_))
        .then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    (path, hex)
}

/// The stored size of an entry; servers do not always know it.
pub(super) fn stored_size(entry: &client::EntryInfo) -> String {
    match entry.stored_size {
        0 if entry.raw_size > 0 => "-".to_owned(),
        size => show_size(size),
    }
}

/// A rough age.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match now.seconds_since(then) {
        seconds if seconds < 2 * MINUTE => format!("{seconds}s"),
        seconds if seconds < 2 * HOUR => format!("{}min", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        seconds => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rough() {
        let ago = |seconds| {
            let now = Timestamp { seconds: 1_000_000_000, nanoseconds: 0 };
            age(now, Timestamp { seconds: now.seconds - seconds, nanoseconds: 0 })
        };
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2min"),
            (7199, "119min"),
            (7200, "2h"),
            (2 * 86_400 - 1, "47h"),
            (1000 * 86_400, "1000d"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn nothing_that_is_shown_controls_a_terminal() {
        assert_eq!(path(b"a\x1b[31m\n\xff\xc3\xa9"), "a\\u{1b}[31m\\n\\xffé");
        assert_eq!(json(&"a\u{1b}\u{9b}\u{7f}\n\"").unwrap(), r#""a\u001b\u009b\u007f\n\"""#);
        assert_eq!(json_path(b"\xff").1.as_deref(), Some("ff"));
        assert_eq!(json_path("é".as_bytes()).1, None);
    }
}
