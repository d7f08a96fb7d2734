//! Checks keys and prefixes that a user gave.

use crate::key::{Key, Prefix};
use btdt_ports::client::Error;
use btdt_ports::client::KeyFault;

/// The distinct keys among `texts`, without empty ones.
///
/// # Errors
/// [`Error::InvalidKey`], or [`Error::NoKeys`] if there is none.
pub(super) fn valid_keys(texts: &[String]) -> Result<Vec<Key>, Error> {
    let mut keys: Vec<Key> = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let key = valid_key(text)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err(Error::NoKeys) } else { Ok(keys) }
}

/// The prefixes among `texts`, without empty ones.
pub(super) fn valid_prefixes(texts: &[String]) -> Result<Vec<Prefix>, Error> {
    texts.iter().filter(|text| !text.is_empty()).map(|text| valid_prefix(text)).collect()
}

pub(super) fn valid_key(text: &str) -> Result<Key, Error> {
    Key::new(text).map_err(|fault| invalid(text, fault))
}

pub(super) fn valid_prefix(text: &str) -> Result<Prefix, Error> {
    Prefix::new(text).map_err(|fault| invalid(text, fault))
}

fn invalid(text: &str, fault: KeyFault) -> Error {
    Error::invalid_key(text, fault)
}
