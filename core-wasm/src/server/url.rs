//! Paths and queries: percent-encoding (RFC 3986), and forms, where `+` is a space.

use super::problem::Problem;
use crate::key::{Key, KeyFault, Prefix};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Keys that a request may name: each of them costs an authorization and a lookup.
pub const MAX_KEYS: usize = 256;

/// Prefixes that a request may name: each of them costs a listing.
pub const MAX_PREFIXES: usize = 16;

/// Labels that an entry may have, and bytes of their names and values: they have to fit in a record.
pub const MAX_LABELS: usize = 32;
const MAX_LABEL_NAME: usize = 64;
const MAX_LABEL_VALUE: usize = 512;

/// Undoes percent-encoding.
///
/// # Errors
/// 400 for a `%` that two hexadecimal digits do not follow, and for what is not UTF-8.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, Problem> {
    let special = |byte: u8| byte == b'%' || (plus_is_space && byte == b'+');
    if !text.bytes().any(special) {
        return Ok(Cow::Borrowed(text));
    }
    let invalid = || Problem::bad_request("The URL is not valid percent-encoded UTF-8.");
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || {
                    let digit = char::from(bytes.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = digit().zip(digit()).ok_or_else(invalid)?;
                high << 4 | low
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| invalid())
}

/// What a header cannot carry, apart from what is not ASCII; and `%`, which encodes the rest.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// `text` in a form that a header can carry: every byte but visible ASCII, and `%`, is encoded.
pub(super) fn encode_for_header(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_HEADERS).to_string()
}

/// The parameters of a request that this protocol knows; others are ignored.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// Each once, empty ones dropped.
    pub(super) keys: Vec<Key>,
    /// Each once; an empty one is the prefix of all keys.
    pub(super) prefixes: Vec<Prefix>,
    /// Keys that are not wanted: a client has tried them already.
    pub(super) not: Vec<Key>,
    pub(super) verify: bool,
    /// The key that a page of entries comes after.
    pub(super) after: Option<Key>,
    /// How many entries a page has at most.
    pub(super) limit: Option<usize>,
    pub(super) labels: BTreeMap<String, String>,
    /// How often each was named, repetitions and empty ones included: that is what the limits are
    /// about, and what the description of the API can say.
    keys_named: usize,
    not_named: usize,
    prefixes_named: usize,
    labels_named: usize,
}

impl Parameters {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 for anything that has no meaning.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut parameters = Parameters::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value, true)?;
            match &*decode(name, true)? {
                "key" => parameters.add_key(value)?,
                "prefix" => {
                    let prefix = Prefix::new(value).map_err(|fault| invalid("prefix", fault))?;
                    parameters.add_prefix(prefix)?;
                }
                "not" => parameters.add_not(value)?,
                "verify" => parameters.verify = flag("verify", &value)?,
                "after" if !value.is_empty() => parameters.after = Some(key(value, "after")?),
                "limit" => {
                    let problem = || Problem::bad_request("\"limit\" must be a positive number.");
                    parameters.limit = Some(positive(&value).ok_or_else(problem)?);
                }
                "label" => parameters.add_label(&value)?,
                _ => {}
            }
        }
        Ok(parameters)
    }

    fn add_key(&mut self, text: Cow<'_, str>) -> Result<(), Problem> {
        self.keys_named += 1;
        if !text.is_empty() {
            let key = key(text, "key")?;
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        let fits = self.keys_named <= MAX_KEYS;
        if fits { Ok(()) } else { Err(too_many("keys", MAX_KEYS)) }
    }

    fn add_not(&mut self, text: Cow<'_, str>) -> Result<(), Problem> {
        self.not_named += 1;
        if !text.is_empty() {
            self.not.push(key(text, "not")?);
        }
        let fits = self.not_named <= MAX_KEYS;
        if fits { Ok(()) } else { Err(too_many("unwanted keys", MAX_KEYS)) }
    }

    fn add_prefix(&mut self, prefix: Prefix) -> Result<(), Problem> {
        self.prefixes_named += 1;
        if !self.prefixes.contains(&prefix) {
            self.prefixes.push(prefix);
        }
        let fits = self.prefixes_named <= MAX_PREFIXES;
        if fits { Ok(()) } else { Err(too_many("prefixes", MAX_PREFIXES)) }
    }

    fn add_label(&mut self, text: &str) -> Result<(), Problem> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let valid = !name.is_empty()
            && name.len() <= MAX_LABEL_NAME
            && value.len() <= MAX_LABEL_VALUE
            && !text.chars().any(char::is_control);
        if !valid {
            let detail = format!(
                "A label is NAME=VALUE with a name of 1 to {MAX_LABEL_NAME} bytes, a value of at \
                 most {MAX_LABEL_VALUE} bytes, and no control characters."
            );
            return Err(Problem::bad_request(detail));
        }
        self.labels_named += 1;
        self.labels.insert(name.to_owned(), value.to_owned());
        let fits = self.labels_named <= MAX_LABELS;
        if fits { Ok(()) } else { Err(too_many("labels", MAX_LABELS)) }
    }
}

/// A key that came in a URL.
///
/// # Errors
/// 400 where it is none.
pub(super) fn key(text: impl Into<String>, parameter: &str) -> Result<Key, Problem> {
    Key::new(text).map_err(|fault| invalid(parameter, fault))
}

/// A number of at least one; the largest there is for all that are larger, however many digits they
/// have: what a number can hold depends on the machine, and is no business of the client.
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

fn too_many(what: &str, limit: usize) -> Problem {
    Problem::bad_request(format!("A request may have at most {limit} {what}."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_and_anything_else_refused() {
        assert_eq!(decode("a%2Fb%c3%A9+c", false).unwrap(), "a/bé+c");
        assert_eq!(decode("a%2Bb+c", true).unwrap(), "a+b c");
        for invalid in ["%", "%4", "%4g", "%ff", "%-1", "%+1", "a%c3", "%é"] {
            assert_eq!(decode(invalid, true).unwrap_err().status, 400, "{invalid}");
        }
    }

    #[test]
    fn what_a_header_carries_can_be_read_back() {
        let key = "a b/é%41~";
        let encoded = encode_for_header(key);
        assert_eq!(encoded, "a%20b/%C3%A9%2541~");
        assert_eq!(decode(&encoded, false).unwrap(), key);
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
