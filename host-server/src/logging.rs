//! The log: lines for people, or JSON for programs, on standard output.
//!
//! Values come from requests, so a line must not look like two lines, or a value like another field.
//! In the text form, everything that is not plain is quoted and escaped here, whatever the caller
//! passes; in the JSON form, the encoding does that.

use crate::config::{LogConfig, LogFormat, LogLevel};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// Sends everything that is logged from now on to standard output.
///
/// # Errors
/// The log has been set up already.
pub fn init(config: &LogConfig) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let colours = config.format == LogFormat::Text && io::stdout().is_terminal();
    tracing::subscriber::set_global_default(subscriber(config, colours, io::stdout))
}

/// A subscriber that writes each line with one call of the writer.
pub fn subscriber<W>(
    config: &LogConfig,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer =
        tracing_subscriber::fmt::layer::<Registry>().with_writer(writer).log_internal_errors(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Text => {
            layer.fmt_fields(PlainFields).event_format(PlainLines { colours }).boxed()
        }
        LogFormat::Json => layer
            .json()
            .with_ansi(false)
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    Box::new(Registry::default().with(layer.with_filter(filter(config.level))))
}

/// Libraries log less than the server itself.
fn filter(level: LogLevel) -> Targets {
    let (ours, theirs) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    Targets::new().with_target("btdt", ours).with_default(theirs)
}

/// `2026-01-31T12:00:00.123456Z INFO message field=value`
struct PlainLines {
    /// Whether the level is coloured, for terminals.
    colours: bool,
}

impl<S, N> FormatEvent<S, N> for PlainLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let (colour, level) = match *event.metadata().level() {
            Level::ERROR => ("31", "ERROR"),
            Level::WARN => ("33", "WARN "),
            Level::INFO => ("32", "INFO "),
            Level::DEBUG => ("34", "DEBUG"),
            Level::TRACE => ("35", "TRACE"),
        };
        if self.colours {
            write!(writer, " \x1b[{colour}m{level}\x1b[0m")?;
        } else {
            write!(writer, " {level}")?;
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                writer.write_str(fields)?;
            }
        }
        writer.write_char('\n')
    }
}

/// The message as it is, then ` name=value` for each field, all escaped.
struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, field: &Field, text: &str) {
        if self.result.is_err() {
            return;
        }
        self.result = if field.name() == "message" {
            // Not quoted: it is the program's own. A value in it still cannot break the line.
            write!(self.writer, " {}", Escaped { text, quotes: false })
        } else if is_plain(text) {
            write!(self.writer, " {}={text}", field.name())
        } else {
            write!(self.writer, " {}=\"{}\"", field.name(), Escaped { text, quotes: true })
        };
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format!("{value:?}"));
    }
}

/// Whether a value can stand without quotes.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\' | '\'' | '`');
    !text.is_empty() && text.chars().all(plain)
}

/// A text in which nothing can begin a line, colour a terminal or turn the direction of text.
struct Escaped<'a> {
    text: &'a str,
    /// Whether quotes and backslashes are escaped as well, for a value in quotes.
    quotes: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.text.chars() {
            if is_dangerous(character) || self.quotes && matches!(character, '"' | '\\') {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Controls, line and paragraph separators, and what changes the direction or hides.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
