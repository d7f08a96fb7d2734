//! Lines of the log: their form, and that values cannot forge them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What is logged by `log`.
fn logged(format: LogFormat, level: LogLevel, colours: bool, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = subscriber(&LogConfig { format, level }, colours, move || writer.clone());
    tracing::subscriber::with_default(subscriber, log);
    lines.text()
}

/// Everything that could make one line look like two, or like another.
const HOSTILE: &str = "/x\r\n2026-01-01T00:00:00Z INFO served status=200\u{1b}[2K\u{9b}1A\u{2028}\
                       \u{202e}\u{85}\u{7f}\0\" user=\"root\\";

fn all_ways_to_log() {
    tracing::info!(path = HOSTILE, status = 404, "served");
    tracing::info!(path = %HOSTILE, status = 404, "served");
    tracing::info!(path = ?HOSTILE, status = 404, "served");
    tracing::info!("served {HOSTILE}");
    let span = tracing::info_span!("request", path = %HOSTILE);
    span.in_scope(|| tracing::info!("served"));
    let error = io::Error::other(HOSTILE);
    tracing::info!(error = &error as &dyn std::error::Error, "served");
}

#[test]
fn text_lines_cannot_be_forged() {
    let text = logged(LogFormat::Text, LogLevel::Info, false, all_ways_to_log);
    assert_eq!(text.lines().count(), 6, "{text}");
    for character in text.chars().filter(|character| *character != '\n') {
        assert!(!is_dangerous(character), "{character:?} in {text}");
    }
    for line in text.lines() {
        assert!(line.contains(" INFO "), "{line}");
    }
    // In quotes, the only quotes are those around the value.
    let first = text.lines().next().unwrap();
    let outside: String =
        first.replace("\\\\", "").replace("\\\"", "").split('"').step_by(2).collect();
    assert!(!outside.contains("user=") && !outside.contains("status=200"), "{outside}");
    assert!(outside.ends_with(" status=404"), "{outside}");
}

#[test]
fn json_lines_cannot_be_forged() {
    let text = logged(LogFormat::Json, LogLevel::Info, true, all_ways_to_log);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    for line in &lines {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["level"], "INFO");
        assert!(value["message"].as_str().unwrap().starts_with("served"));
        assert!(
            line.chars().all(|character| !character.is_ascii_control() || character == '\u{7f}')
        );
    }
    let first: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(first["path"], HOSTILE);
    assert_eq!(first["status"], 404);
}

#[test]
fn plain_values_are_easy_to_read() {
    let text = logged(LogFormat::Text, LogLevel::Info, false, || {
        tracing::info!(
            request_id = "a1-b2",
            path = "/api/caches/x",
            keys = "a b",
            empty = "",
            n = 3_u64,
            "served"
        );
    });
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.ends_with('Z'), "{text}");
    let expected = "INFO  served request_id=a1-b2 path=/api/caches/x keys=\"a b\" empty=\"\" n=3\n";
    assert_eq!(rest, expected);
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn colours_are_for_terminals() {
    let text = logged(LogFormat::Text, LogLevel::Info, true, || tracing::warn!("x"));
    assert!(text.contains(" \u{1b}[33mWARN \u{1b}[0m x\n"), "{text}");
}

#[test]
fn levels() {
    let log = || {
        tracing::error!("1");
        tracing::warn!("2");
        tracing::info!("3");
        tracing::debug!("4");
        tracing::trace!("5");
        tracing::info!(target: "hyper", "library");
        tracing::warn!(target: "rustls", "library");
    };
    for (level, ours, theirs) in [
        (LogLevel::Error, 1, 0),
        (LogLevel::Warn, 2, 1),
        (LogLevel::Info, 3, 1),
        (LogLevel::Debug, 4, 2),
        (LogLevel::Trace, 5, 2),
    ] {
        let text = logged(LogFormat::Text, level, false, log);
        let libraries = text.matches("library").count();
        assert_eq!((text.lines().count() - libraries, libraries), (ours, theirs), "{level:?}");
    }
}
