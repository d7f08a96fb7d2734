//! Single values: from what was written to what is meant, or what would have been allowed.
//!
//! What comes from a variable is a text always, so every value can be written as one.

use super::node::{Node, Origin, Value};
use super::secret::Secret;
use btdt_host_runtime::server_common::{nearest, parse_list, parse_switch};
use btdt_host_runtime::units::{parse_duration, parse_size, show_duration};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

type Parsed<T> = Result<T, String>;

/// Longer times are mistakes, and timers cannot count them.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

fn wrong(node: &Node, expected: &str) -> String {
    format!("{expected} was expected, this is {}", node.value.kind())
}

fn from_variable(node: &Node) -> bool {
    matches!(node.origin, Origin::Variable(_))
}

pub(super) fn text(node: &Node) -> Parsed<String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(wrong(node, "a string in quotes")),
    }
}

/// A text that no message may show.
pub(super) fn secret(node: &Node) -> Parsed<Secret> {
    text(node).map(Secret::new)
}

pub(super) fn boolean(node: &Node) -> Parsed<bool> {
    match &node.value {
        Value::Boolean(boolean) => Ok(*boolean),
        Value::Text(text) if from_variable(node) => parse_switch(text),
        Value::Text(_) => Err("true or false, without quotes, was expected".to_owned()),
        _ => Err(wrong(node, "true or false")),
    }
}

/// A list of texts; of a variable: separated by commas, blanks around them do not count.
pub(super) fn texts(node: &Node) -> Parsed<Vec<String>> {
    match &node.value {
        Value::List(nodes) => nodes.iter().map(text).collect(),
        Value::Text(text) if from_variable(node) => {
            Ok(parse_list(text).map(str::to_owned).collect())
        }
        Value::Text(_) => Err("a list was expected: put it in [ ]".to_owned()),
        _ => Err(wrong(node, "a list of strings")),
    }
}

/// A path; an empty text is none.
pub(super) fn path(node: &Node) -> Parsed<Option<PathBuf>> {
    let text = text(node)?;
    if text.contains('\0') {
        return Err(format!("{text:?} is no path"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()).map(PathBuf::from))
}

/// A number of things.
pub(super) fn count(allowed: RangeInclusive<u32>) -> impl FnOnce(&Node) -> Parsed<u32> {
    move |node| {
        let range = format!("a whole number from {} to {}", allowed.start(), allowed.end());
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if from_variable(node) => text.trim().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return Err(format!("{range} was expected, this is {}", shown(node)));
        };
        let number = u32::try_from(number).ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| format!("{range} was expected, this is {}", shown(node)))
    }
}

/// What was written, short enough for a message.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) if text.chars().count() <= 80 => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        value => value.kind().to_owned(),
    }
}

/// A size in bytes. A plain number is bytes.
pub(super) fn size(allowed: RangeInclusive<u64>) -> impl FnOnce(&Node) -> Parsed<u64> {
    move |node| {
        let bytes = match &node.value {
            Value::Integer(bytes) => {
                u64::try_from(*bytes).map_err(|_| format!("{bytes} is no size"))?
            }
            Value::Text(text) => parse_size(text)?,
            _ => return Err(wrong(node, "a size such as '10GiB'")),
        };
        if allowed.contains(&bytes) {
            return Ok(bytes);
        }
        let (least, most) = (show_exactly(*allowed.start()), show_exactly(*allowed.end()));
        Err(match *allowed.end() {
            u64::MAX => format!("{} is too small; at least {least} is needed", shown(node)),
            _ => format!("{} is not between {least} and {most}", shown(node)),
        })
    }
}

fn show_exactly(bytes: u64) -> String {
    match bytes {
        _ if bytes != 0 && bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes != 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes != 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        1 => "1 byte".to_owned(),
        _ => format!("{bytes} bytes"),
    }
}

/// A size limit, of which 'unlimited' is none. 0 is refused: who means "no limit" by it would lose
/// everything.
pub(super) fn size_limit(node: &Node) -> Parsed<Option<u64>> {
    if matches!(&node.value, Value::Text(text) if text == "unlimited") {
        return Ok(None);
    }
    match size(0..=u64::MAX)(node)? {
        0 => Err("0 would keep nothing; without a limit it is 'unlimited'".to_owned()),
        bytes => Ok(Some(bytes)),
    }
}

/// A time that is at least this long.
pub(super) fn duration(least: Duration) -> impl FnOnce(&Node) -> Parsed<Duration> {
    move |node| {
        let duration = match &node.value {
            Value::Text(text) => parse_duration(text).map_err(|error| {
                format!("{} is no time such as '10min' or '1h 30min': {error}", shown(node))
            })?,
            Value::Integer(number) => {
                return Err(format!("the unit is missing, for example '{number}s'"));
            }
            _ => return Err(wrong(node, "a time such as '10min'")),
        };
        if duration < least {
            return Err(format!(
                "{} is too short; at least {} is needed",
                shown(node),
                show_duration(least)
            ));
        }
        if duration > LONGEST {
            return Err(format!("{} is longer than 100 years", shown(node)));
        }
        Ok(duration)
    }
}

/// An age limit, of which 'never' is none.
pub(super) fn expiration(node: &Node) -> Parsed<Option<Duration>> {
    if matches!(&node.value, Value::Text(text) if text == "never") {
        return Ok(None);
    }
    let duration = duration(Duration::ZERO)(node)?;
    if duration.is_zero() {
        return Err("0 would keep nothing; to keep entries for ever it is 'never'".to_owned());
    }
    Ok(Some(duration))
}

/// One of several words.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Node) -> Parsed<T> {
    move |node| {
        let text = text(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let hint = nearest(&text, words.iter().map(|(word, _)| *word))
            .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        let allowed: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
        Err(format!("{} is not one of {}{hint}", shown(node), allowed.join(", ")))
    }
}

/// Addresses to listen on.
pub(super) fn addresses(node: &Node) -> Parsed<Vec<String>> {
    let addresses = texts(node)?;
    if addresses.is_empty() {
        return Err("at least one address is needed, for example '0.0.0.0:8707'".to_owned());
    }
    for (index, address) in addresses.iter().enumerate() {
        check_address(address)?;
        if addresses[..index].contains(address) {
            return Err(format!("{address:?} is there twice"));
        }
    }
    Ok(addresses)
}

/// A socket address, or a name and a port. Whether the name exists is seen when listening.
fn check_address(address: &str) -> Parsed<()> {
    if address.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let advice = "an address is 'HOST:PORT', for example '0.0.0.0:8707' or '[::]:8707'";
    let name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match address.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && host.chars().all(name_char) && port.parse::<u16>().is_ok() =>
        {
            // All digits and dots, and yet no address: 127.0.0.256.
            match host.chars().all(|c| c.is_ascii_digit() || c == '.') {
                true => Err(format!("{address:?} is no address: {advice}")),
                false => Ok(()),
            }
        }
        _ => Err(format!("{address:?} is no address: {advice}")),
    }
}
