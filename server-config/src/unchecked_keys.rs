//! The keys that are checked together with others or with the file system, and how all keys are
//! read.

use crate::config::{CleanupConfig, Config};
use crate::problem::{Problems, full_key};
use crate::secret::Secret;
use crate::values::{self, GivenPath};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// What [`Config`] has no room for before it is checked.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Unchecked {
    #[serde(deserialize_with = "values::optional_path")]
    pub(crate) tls_keystore: GivenPath,
    #[serde(deserialize_with = "values::secret")]
    pub(crate) tls_keystore_password: Secret,
    #[serde(deserialize_with = "values::optional_path")]
    pub(crate) tls_certificate: GivenPath,
    #[serde(deserialize_with = "values::optional_path")]
    pub(crate) tls_private_key: GivenPath,
    #[serde(deserialize_with = "values::optional_path")]
    pub(crate) auth_private_key: GivenPath,
    #[serde(deserialize_with = "values::paths")]
    pub(crate) auth_public_keys: Vec<Spanned<PathBuf>>,
    #[serde(deserialize_with = "values::optional_path")]
    pub(crate) auth_revocation_list: GivenPath,
    pub(crate) cleanup: Cleanup,
    pub(crate) caches: BTreeMap<Spanned<String>, Cache>,
}

/// `[cleanup]`, or that of a cache.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cleanup {
    /// Not for single caches; `known_keys` relies on it being the first.
    #[serde(deserialize_with = "values::optional_timeout")]
    pub(crate) interval: Option<Duration>,
    #[serde(deserialize_with = "values::expiration")]
    cache_expiration: Option<Option<Duration>>,
    #[serde(deserialize_with = "values::max_cache_size")]
    max_cache_size: Option<Option<u64>>,
    #[serde(deserialize_with = "values::optional_duration")]
    grace_period: Option<Duration>,
}

impl Cleanup {
    /// The values that are given, and those of `fallback` for the others.
    pub(crate) fn or(&self, fallback: &CleanupConfig) -> CleanupConfig {
        CleanupConfig {
            cache_expiration: self.cache_expiration.unwrap_or(fallback.cache_expiration),
            max_cache_size: self.max_cache_size.unwrap_or(fallback.max_cache_size),
            grace_period: self.grace_period.unwrap_or(fallback.grace_period),
        }
    }
}

/// `[caches.NAME]`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cache {
    #[serde(rename = "type", deserialize_with = "values::spanned_word")]
    pub(crate) kind: Option<Spanned<CacheKind>>,
    #[serde(deserialize_with = "values::directory")]
    pub(crate) path: GivenPath,
    #[serde(deserialize_with = "values::size_limit")]
    pub(crate) quota: Option<u64>,
    pub(crate) cleanup: Cleanup,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) enum CacheKind {
    Filesystem,
    InMemory,
}

/// Reads all known keys. Values that are wrong become problems, and defaults take their place.
pub(crate) fn read(mut tree: DeTable<'_>, problems: &mut Problems<'_>) -> (Config, Unchecked) {
    // serde stops at the first error, so what it is about is removed for the next attempt.
    loop {
        let error = match deserialize(&tree).and_then(|config| Ok((config, deserialize(&tree)?))) {
            Ok(read) => return read,
            Err(error) => error,
        };
        let removed = error.span().and_then(|span| Some((remove(&mut tree, "", &span)?, span)));
        let Some((key, span)) = removed else {
            problems.add_missing(error.message());
            return Default::default();
        };
        problems.add(&span, &key, error.message());
    }
}

fn deserialize<'de, T: Deserialize<'de>>(tree: &DeTable<'de>) -> Result<T, toml::de::Error> {
    T::deserialize(ValueDeserializer::from(Spanned::new(0..0, DeValue::Table(tree.clone()))))
}

/// Removes the value with this span, and returns its key.
fn remove(table: &mut DeTable<'_>, section: &str, span: &Range<usize>) -> Option<String> {
    // The tables that a variable needs have its span, too.
    let inner = table.iter_mut().find_map(|(key, value)| match value.get_mut() {
        DeValue::Table(inner) => remove(inner, &full_key(section, key.get_ref()), span),
        _ => None,
    });
    inner.or_else(|| {
        let (key, _) = table.iter().find(|(_, value)| value.span() == *span)?;
        let key = key.to_string();
        table.remove(key.as_str());
        Some(full_key(section, &key))
    })
}
