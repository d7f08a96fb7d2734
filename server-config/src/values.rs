//! Single values: how they are parsed, and what is said about those that are wrong.
//!
//! The value of a variable is always a text, so a text is accepted there for every type.

use crate::field_names::names;
use crate::problem::FIRST_VARIABLE;
use crate::secret::Secret;
use crate::suggest::nearest;
use btdt_host_runtime::units::{parse_duration, parse_size};
use serde::de::{self, Deserialize, Deserializer, Error, IntoDeserializer};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::{Spanned, Value};

/// Longer times are mistakes, and timers cannot count them.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A path, and where it was given.
pub(crate) type GivenPath = Option<Spanned<PathBuf>>;

/// A value as it was written, and where.
type Given = Spanned<Value>;

/// What was meant, or a message for the user.
type Parsed<T> = Result<T, String>;

/// Defines functions for serde's `deserialize_with`, each of a function that parses what was given.
macro_rules! settings {
    ($($name:ident: $type:ty = $parse:expr;)*) => {$(
        pub(crate) fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
            setting(from, $parse)
        }
    )*};
}

settings! {
    addresses: Vec<String> = parse_addresses;
    connections: u32 = |given| count(given, 1_000_000);
    // At least what the core needs, at most what it can address.
    core_memory: u64 = |given| size(given, 16 << 20..=4 << 30);
    directory: GivenPath = |given| path(given)?.ok_or("a path is needed".to_owned()).map(Some);
    duration: Duration = |given| time(given, 0);
    expiration: Option<Option<Duration>> = |given| parse_expiration(given).map(Some);
    // The HTTP library needs 8 KiB.
    header_size: u64 = |given| size(given, 8 << 10..=16 << 20);
    max_cache_size: Option<Option<u64>> = |given| parse_size_limit(given).map(Some);
    nonzero_size: u64 = |given| size(given, 1..=u64::MAX);
    optional_duration: Option<Duration> = |given| time(given, 0).map(Some);
    optional_timeout: Option<Duration> = |given| time(given, 1).map(Some);
    optional_path: GivenPath = path;
    paths: Vec<Spanned<PathBuf>> = parse_paths;
    secret: Secret = |given| text(given).map(Secret::new);
    size_limit: Option<u64> = parse_size_limit;
    switch: bool = parse_switch;
    timeout: Duration = |given| time(given, 1);
    // Each has an instance of the core, whose address space is reserved at the start, and a thread.
    transfers: u32 = |given| count(given, 4096);
}

/// The name of a variant.
pub(crate) fn word<'de, T: Deserialize<'static>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    setting(from, parse_word)
}

pub(crate) fn spanned_word<'de, T: Deserialize<'static>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Spanned<T>>, D::Error> {
    setting(from, |given| Ok(Some(Spanned::new(given.span(), parse_word(given)?))))
}

fn setting<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&Given) -> Parsed<T>,
) -> Result<T, D::Error> {
    // Only numbers of more than 64 bits fail.
    let given = Given::deserialize(from).map_err(|_| Error::custom("the number is too large"))?;
    parse(&given).map_err(Error::custom)
}

fn parse_switch(given: &Given) -> Parsed<bool> {
    match given.get_ref() {
        Value::Boolean(boolean) => Ok(*boolean),
        Value::String(text) if is_variable(given) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(format!("true or false was expected, this is {text:?}")),
        },
        Value::String(_) => Err("true or false, without quotes, was expected".to_owned()),
        value => Err(unexpected(value, "true or false")),
    }
}

fn text(given: &Given) -> Parsed<&str> {
    string(given.get_ref())
}

fn string(value: &Value) -> Parsed<&str> {
    value.as_str().ok_or_else(|| unexpected(value, "a string in quotes"))
}

/// A list of texts. In a variable, they are separated by commas.
fn texts(given: &Given) -> Parsed<Vec<&str>> {
    match given.get_ref() {
        Value::Array(values) => values.iter().map(string).collect(),
        Value::String(text) if is_variable(given) => {
            Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect())
        }
        Value::String(_) => Err("a list was expected: put it in [ ]".to_owned()),
        value => Err(unexpected(value, "a list of strings")),
    }
}

/// A path; an empty text is none.
fn path(given: &Given) -> Parsed<GivenPath> {
    let text = text(given)?;
    if text.contains('\0') {
        return Err(format!("{text:?} is no path"));
    }
    Ok((!text.is_empty()).then(|| Spanned::new(given.span(), PathBuf::from(text))))
}

/// Paths, each with the span of the whole list.
fn parse_paths(given: &Given) -> Parsed<Vec<Spanned<PathBuf>>> {
    let path = |text| Spanned::new(given.span(), PathBuf::from(text));
    Ok(texts(given)?.into_iter().map(path).collect())
}

/// A number of things, from 1.
fn count(given: &Given, most: u32) -> Parsed<u32> {
    let number = match given.get_ref() {
        Value::Integer(number) => u32::try_from(*number).ok(),
        Value::String(text) if is_variable(given) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| (1..=most).contains(number)).ok_or_else(|| {
        format!("a whole number from 1 to {most} was expected, this is {}", shown(given))
    })
}

/// A size in bytes. A plain number is bytes.
fn bytes(given: &Given) -> Parsed<u64> {
    match given.get_ref() {
        Value::Integer(bytes) => u64::try_from(*bytes).map_err(|_| format!("{bytes} is no size")),
        Value::String(text) => parse_size(text),
        value => Err(unexpected(value, "a size such as '10GiB'")),
    }
}

fn size(given: &Given, allowed: RangeInclusive<u64>) -> Parsed<u64> {
    let bytes = bytes(given)?;
    if allowed.contains(&bytes) {
        return Ok(bytes);
    }
    let (given, least) = (shown(given), show_exactly(*allowed.start()));
    Err(match *allowed.end() {
        u64::MAX => format!("{given} is too small; at least {least} is needed"),
        most => format!("{given} is not between {least} and {}", show_exactly(most)),
    })
}

/// A size limit, where 'unlimited' is none. 0 is refused: if it was meant as "no limit", everything
/// would be lost.
fn parse_size_limit(given: &Given) -> Parsed<Option<u64>> {
    if given.get_ref().as_str() == Some("unlimited") {
        return Ok(None);
    }
    match bytes(given)? {
        0 => Err("0 would keep nothing; without a limit it is 'unlimited'".to_owned()),
        bytes => Ok(Some(bytes)),
    }
}

/// A time of at least so many seconds.
fn time(given: &Given, least: u64) -> Parsed<Duration> {
    let time = match given.get_ref() {
        Value::String(text) => parse_duration(text).map_err(|error| {
            format!("{} is no time such as '10min' or '1h 30min': {error}", shown(given))
        })?,
        Value::Integer(number) => {
            return Err(format!("the unit is missing, for example '{number}s'"));
        }
        value => return Err(unexpected(value, "a time such as '10min'")),
    };
    if time < Duration::from_secs(least) {
        return Err(format!("{} is too short; at least {least}s is needed", shown(given)));
    }
    if time > LONGEST {
        return Err(format!("{} is longer than 100 years", shown(given)));
    }
    Ok(time)
}

/// An age limit, where 'never' is none.
fn parse_expiration(given: &Given) -> Parsed<Option<Duration>> {
    if given.get_ref().as_str() == Some("never") {
        return Ok(None);
    }
    match time(given, 0)? {
        Duration::ZERO => {
            Err("0 would keep nothing; to keep entries for ever it is 'never'".to_owned())
        }
        time => Ok(Some(time)),
    }
}

fn parse_word<T: Deserialize<'static>>(given: &Given) -> Parsed<T> {
    let text = text(given)?;
    T::deserialize(text.into_deserializer()).map_err(|_: de::value::Error| {
        let words = names::<T>().iter().copied();
        let hint = nearest(text, words.clone())
            .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        let allowed: Vec<String> = words.map(|word| format!("'{word}'")).collect();
        format!("{} is not one of {}{hint}", shown(given), allowed.join(", "))
    })
}

/// Addresses to listen on.
fn parse_addresses(given: &Given) -> Parsed<Vec<String>> {
    let addresses = texts(given)?;
    if addresses.is_empty() {
        return Err("at least one address is needed, for example '0.0.0.0:8707'".to_owned());
    }
    for (index, address) in addresses.iter().enumerate() {
        if !is_address(address) {
            return Err(format!(
                "{address:?} is no address: an address is 'HOST:PORT', for example \
                 '0.0.0.0:8707' or '[::]:8707'"
            ));
        }
        if addresses[..index].contains(address) {
            return Err(format!("{address:?} is there twice"));
        }
    }
    Ok(addresses.into_iter().map(str::to_owned).collect())
}

/// Whether this is a socket address, or a name and a port. Listening shows whether the name exists.
fn is_address(address: &str) -> bool {
    let is_name = |host: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        // Digits and dots alone are an address that is wrong: 127.0.0.256.
        host.chars().all(is_allowed) && !host.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let is_named = |(host, port): (&str, &str)| is_name(host) && port.parse::<u16>().is_ok();
    address.parse::<SocketAddr>().is_ok() || address.rsplit_once(':').is_some_and(is_named)
}

fn is_variable(given: &Given) -> bool {
    given.span().start >= FIRST_VARIABLE
}

fn unexpected(value: &Value, expected: &str) -> String {
    format!("{expected} was expected, this is {}", kind(value.type_str()))
}

/// What a value of a TOML type is called in messages.
pub(crate) fn kind(toml_type: &str) -> &'static str {
    match toml_type {
        "string" => "a string",
        "integer" => "a number",
        "float" => "a number with a fraction",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        _ => "a table",
    }
}

/// What was written, if it is short enough for a message.
fn shown(given: &Given) -> String {
    match given.get_ref() {
        Value::String(text) if text.chars().count() <= 80 => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        value => kind(value.type_str()).to_owned(),
    }
}

fn show_exactly(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        _ if bytes != 0 && bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes != 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes != 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
