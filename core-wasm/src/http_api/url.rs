//! Parses paths and queries: percent-encoding (RFC 3986), and form encoding, where `+` is a space.

use super::problem::Problem;
use crate::key::{Key, Prefix};
use btdt_ports::client::KeyFault;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most keys in a request: each costs an authorization and a lookup.
pub const MAX_KEYS: usize = 256;

/// Most prefixes in a request: each costs a listing.
pub const MAX_PREFIXES: usize = 16;

/// Most labels of an entry, and the longest names and values in bytes: they have to fit in a record.
pub const MAX_LABELS: usize = 32;
const MAX_LABEL_NAME: usize = 64;
const MAX_LABEL_VALUE: usize = 512;

/// Decodes percent-encoding.
///
/// # Errors
/// 400 for a `%` without two hexadecimal digits, and for invalid UTF-8.
pub(super) fn decode(text: &str) -> Result<String, Problem> {
    let invalid = || Problem::bad_request("The URL is not valid percent-encoded UTF-8.");
    let is_encoded = |rest: &str| {
        rest.as_bytes()
            .first_chunk()
            .is_some_and(|digits: &[u8; 2]| digits.iter().all(u8::is_ascii_hexdigit))
    };
    // The decoder would leave other `%` alone.
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(invalid());
    }
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| invalid())
}

/// Decodes a part of a form, where `+` is a space.
fn decode_form(text: &str) -> Result<String, Problem> {
    decode(&text.replace('+', " "))
}

/// The ASCII characters to encode in headers.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Encodes text for a header: `%`, and all bytes that are not visible ASCII.
pub(super) fn encode_for_header(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_HEADERS).to_string()
}

/// The known parameters of a request. Others are ignored.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// Distinct keys, without empty ones.
    pub(super) keys: Vec<Key>,
    /// Distinct prefixes. The empty one matches all keys.
    pub(super) prefixes: Vec<Prefix>,
    /// Unwanted keys, which the client has tried already.
    pub(super) not: Vec<Key>,
    pub(super) verify: bool,
    /// The key before a page of entries.
    pub(super) after: Option<Key>,
    /// Most entries on a page.
    pub(super) limit: Option<usize>,
    pub(super) labels: BTreeMap<String, String>,
}

impl Parameters {
    /// Parses a query.
    ///
    /// # Errors
    /// 400 for invalid parameters.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut parameters = Parameters::default();
        // The limits include repetitions and empty ones, because the description of the API
        // cannot express anything else.
        let (mut keys, mut unwanted, mut prefixes, mut labels) = (0, 0, 0, 0);
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode_form(value)?;
            match decode_form(name)?.as_str() {
                "key" => {
                    if !value.is_empty() {
                        add_distinct(&mut parameters.keys, key(value, "key")?);
                    }
                    count(&mut keys, MAX_KEYS, "keys")?;
                }
                "not" => {
                    if !value.is_empty() {
                        parameters.not.push(key(value, "not")?);
                    }
                    count(&mut unwanted, MAX_KEYS, "unwanted keys")?;
                }
                "prefix" => {
                    let prefix = Prefix::new(value).map_err(|fault| invalid("prefix", fault))?;
                    add_distinct(&mut parameters.prefixes, prefix);
                    count(&mut prefixes, MAX_PREFIXES, "prefixes")?;
                }
                "label" => {
                    let (name, value) = label(&value)?;
                    parameters.labels.insert(name, value);
                    count(&mut labels, MAX_LABELS, "labels")?;
                }
                "verify" => parameters.verify = flag("verify", &value)?,
                "after" if !value.is_empty() => parameters.after = Some(key(value, "after")?),
                "limit" => {
                    let problem = || Problem::bad_request("\"limit\" must be a positive number.");
                    parameters.limit = Some(positive(&value).ok_or_else(problem)?);
                }
                _ => {}
            }
        }
        Ok(parameters)
    }
}

fn add_distinct<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn count(named: &mut usize, limit: usize, what: &str) -> Result<(), Problem> {
    *named += 1;
    if *named <= limit {
        return Ok(());
    }
    Err(Problem::bad_request(format!("A request may have at most {limit} {what}.")))
}

/// Parses a label, `NAME=VALUE`.
fn label(text: &str) -> Result<(String, String), Problem> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let valid = !name.is_empty()
        && name.len() <= MAX_LABEL_NAME
        && value.len() <= MAX_LABEL_VALUE
        && !text.chars().any(char::is_control);
    if valid {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err(Problem::bad_request(format!(
        "A label is NAME=VALUE with a name of 1 to {MAX_LABEL_NAME} bytes, a value of at most \
         {MAX_LABEL_VALUE} bytes, and no control characters."
    )))
}

/// Checks a key from a URL.
///
/// # Errors
/// 400 if it is invalid.
pub(super) fn key(text: impl Into<String>, parameter: &str) -> Result<Key, Problem> {
    Key::new(text).map_err(|fault| invalid(parameter, fault))
}

/// Parses a number of at least one. Any larger number counts as the largest one, so that the result
/// does not depend on the size of integers.
fn positive(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX)).filter(|number| *number > 0)
}

fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::bad_request(format!("\"{name}\" must be \"true\" or \"false\"."))),
    }
}

fn invalid(parameter: &str, fault: KeyFault) -> Problem {
    Problem::bad_request(format!("The parameter \"{parameter}\" is invalid: {fault}."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_and_anything_else_refused() {
        assert_eq!(decode("a%2Fb%c3%A9+c").unwrap(), "a/bé+c");
        assert_eq!(decode_form("a%2Bb+c").unwrap(), "a+b c");
        for invalid in ["%", "%4", "%4g", "%ff", "%-1", "%+1", "a%c3", "%é"] {
            assert_eq!(decode_form(invalid).unwrap_err().status, 400, "{invalid}");
        }
    }

    #[test]
    fn what_a_header_carries_can_be_read_back() {
        let key = "a b/é%41~";
        let encoded = encode_for_header(key);
        assert_eq!(encoded, "a%20b/%C3%A9%2541~");
        assert_eq!(decode(&encoded).unwrap(), key);
    }

    #[test]
    fn a_query_is_read_as_a_form() {
        let query = "key=a+b&&x=%61&key=&key=a%20b&key=%C3%A9&prefix=&verify=true&limit=7&after=k&label=a%3Db%3Dc";
        let parameters = Parameters::parse(Some(query)).unwrap();
        let keys: Vec<_> = parameters.keys.iter().map(Key::as_str).collect();
        assert_eq!(keys, ["a b", "é"]);
        assert_eq!(parameters.prefixes.len(), 1);
        assert!(parameters.verify);
        assert_eq!(parameters.limit, Some(7));
        assert_eq!(parameters.after.unwrap().as_str(), "k");
        assert_eq!(parameters.labels.get("a").map(String::as_str), Some("b=c"));
    }

    #[test]
    fn a_limit_may_be_larger_than_any_number() {
        for (text, limit) in [("1", Some(1)), ("007", Some(7)), ("0", None), ("00", None)] {
            assert_eq!(positive(text), limit, "{text}");
        }
        assert_eq!(positive(&"9".repeat(50)), Some(usize::MAX));
        for text in ["", "-1", "+1", "1.0", " 1", "1e3", "٣"] {
            assert_eq!(positive(text), None, "{text}");
        }
    }

    #[test]
    fn a_query_without_meaning_is_refused() {
        let many = |name: &str, count: usize| {
            (0..=count).map(|index| format!("{name}={index}&")).collect::<String>()
        };
        let mut invalid: Vec<String> =
            ["key=a,b", "key=%00", "prefix=%0a", "limit=0", "limit=x"].map(str::to_owned).into();
        invalid.extend(
            ["verify", "verify=1", "verify=", "after=%7f", "label==b", "label=a%3D%01", "%=1"]
                .map(str::to_owned),
        );
        invalid.extend([
            many("key", MAX_KEYS),
            many("prefix", MAX_PREFIXES),
            many("label", MAX_LABELS),
            "key=k&".repeat(MAX_KEYS + 1),
            "key=&".repeat(MAX_KEYS + 1),
            "not=&".repeat(MAX_KEYS + 1),
            "prefix=&".repeat(MAX_PREFIXES + 1),
            "label=a&".repeat(MAX_LABELS + 1),
            format!("key={}", "k".repeat(Key::MAX_LENGTH + 1)),
            format!("label=a={}", "k".repeat(MAX_LABEL_VALUE + 1)),
        ]);
        for query in invalid {
            assert_eq!(Parameters::parse(Some(&query)).unwrap_err().status, 400, "{query}");
        }
    }
}
