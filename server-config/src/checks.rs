//! The steps from a parsed file to the configuration, and what has to be true of several keys
//! together and of the files that they name.

use crate::config::{AuthConfig, CacheConfig, CacheLocation, CleanupConfig, Loaded, TlsConfig};
use crate::known_keys;
use crate::problem::{ConfigError, Problems, full_key};
use crate::unchecked_keys::{self, Cache, CacheKind, Unchecked};
use crate::values::GivenPath;
use crate::variables::{Variables, overlay, variable_name};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::DeTable;

/// Longest name of a cache: it is part of URLs, tokens, metrics and log lines.
const MAX_CACHE_NAME: usize = 100;

/// What the checks need to know about files. Errors are for the user.
pub trait Files {
    /// # Errors
    /// Why the file cannot be read.
    fn check_readable(&self, path: &Path) -> Result<(), String>;
    /// # Errors
    /// Why the file can neither be read nor created.
    fn check_private_key(&self, path: &Path) -> Result<(), String>;
    /// # Errors
    /// Why the directory can neither be used for a cache nor created.
    fn check_cache_directory(&self, path: &Path) -> Result<(), String>;
    /// The path without symbolic links, as far as it exists: equal for equal directories.
    fn canonical(&self, path: &Path) -> PathBuf;
}

/// Reads the configuration from a file, with its path, text and tree, and from variables. The WASI
/// server has no `files`: it sees whether they can be used when it opens them.
pub(crate) fn load(
    file: Option<(&Path, &str)>,
    mut tree: DeTable<'_>,
    variables: Variables,
    files: Option<&dyn Files>,
) -> Result<Loaded, ConfigError> {
    let mut problems = Problems::new(file, variables.keys().cloned().collect());
    overlay(&mut tree, variables);
    let warnings = known_keys::check(&mut tree, &mut problems, files.is_none());
    let (mut config, mut keys) = unchecked_keys::read(tree, &mut problems);
    let mut checks = Checks { problems, files };
    let cleanup = keys.cleanup.or(&CleanupConfig::default());
    config.cleanup_interval = keys.cleanup.interval.unwrap_or(config.cleanup_interval);
    config.caches = checks.caches(std::mem::take(&mut keys.caches), &cleanup);
    config.auth = checks.auth(&mut keys);
    config.tls = checks.tls(keys);
    checks.problems.finish()?;
    Ok(Loaded { config, file: None, warnings })
}

struct Checks<'a> {
    problems: Problems<'a>,
    files: Option<&'a dyn Files>,
}

impl Checks<'_> {
    /// The path, if a check accepts it.
    fn usable(
        &mut self,
        key: &str,
        path: GivenPath,
        check: fn(&dyn Files, &Path) -> Result<(), String>,
    ) -> Option<PathBuf> {
        let path = path?;
        if let Some(Err(message)) = self.files.map(|files| check(files, path.get_ref())) {
            self.problems.add(&path.span(), key, message);
            return None;
        }
        Some(path.into_inner())
    }

    fn readable(&mut self, key: &str, path: GivenPath) -> Option<PathBuf> {
        self.usable(key, path, |files, path| files.check_readable(path))
    }

    fn tls(&mut self, keys: Unchecked) -> Option<TlsConfig> {
        let given = [&keys.tls_keystore, &keys.tls_certificate, &keys.tls_private_key];
        let spans = given.map(|path| path.as_ref().map(Spanned::span).unwrap_or_default());
        let keystore = self.readable("tls_keystore", keys.tls_keystore);
        let certificate = self.readable("tls_certificate", keys.tls_certificate);
        let private_key = self.readable("tls_private_key", keys.tls_private_key);
        let (span, key, message) = match (keystore, certificate, private_key) {
            (None, None, None) => return None,
            (Some(keystore), None, None) => {
                return Some(TlsConfig::Pkcs12 { keystore, password: keys.tls_keystore_password });
            }
            (None, Some(certificate), Some(private_key)) => {
                return Some(TlsConfig::Pem { certificate, private_key });
            }
            (Some(_), _, _) => (
                &spans[0],
                "tls_keystore",
                "there is also tls_certificate or tls_private_key; use either the keystore or the \
                 two PEM files",
            ),
            (None, Some(_), None) => (
                &spans[1],
                "tls_certificate",
                "tls_private_key is missing, the file with the key of this certificate",
            ),
            (None, None, Some(_)) => (
                &spans[2],
                "tls_private_key",
                "tls_certificate is missing, the file with the certificate of this key",
            ),
        };
        self.problems.add(span, key, message);
        None
    }

    fn auth(&mut self, keys: &mut Unchecked) -> AuthConfig {
        let private_key =
            self.usable("auth_private_key", keys.auth_private_key.take(), |files, path| {
                files.check_private_key(path)
            });
        let public_keys: Vec<PathBuf> = std::mem::take(&mut keys.auth_public_keys)
            .into_iter()
            .map_while(|path| self.readable("auth_public_keys", Some(path)))
            .collect();
        let is_missing = private_key.is_none() && public_keys.is_empty();
        if is_missing
            && !self.problems.has("auth_private_key")
            && !self.problems.has("auth_public_keys")
        {
            let (private, public) = match self.files {
                Some(_) => ("auth_private_key (or BTDT_AUTH_PRIVATE_KEY)", "auth_public_keys"),
                None => ("BTDT_AUTH_PRIVATE_KEY", "BTDT_AUTH_PUBLIC_KEYS"),
            };
            self.problems.add_missing(format!(
                "there is no key to check tokens with: set {private} to a file, which is created \
                 if it is missing, or list files of public keys in {public}"
            ));
        }
        let revocation_list =
            self.readable("auth_revocation_list", keys.auth_revocation_list.take());
        AuthConfig { private_key, public_keys, revocation_list }
    }

    fn caches(
        &mut self,
        caches: BTreeMap<Spanned<String>, Cache>,
        cleanup: &CleanupConfig,
    ) -> BTreeMap<String, CacheConfig> {
        let mut checked = BTreeMap::new();
        let mut directories: Vec<(String, PathBuf)> = Vec::new();
        for (name, cache) in caches {
            let (span, name) = (name.span(), name.into_inner());
            let section = full_key("caches", &name);
            if let Err(message) = check_cache_name(&name) {
                self.problems.add(&span, &section, message);
                if self.files.is_none() {
                    continue;
                }
            }
            let cleanup = cache.cleanup.or(cleanup);
            let quota = cache.quota;
            let Some(location) = self.location(&section, &span, cache) else { continue };
            if let CacheLocation::Filesystem(path) = &location {
                let path = self.files.map_or_else(|| path.clone(), |files| files.canonical(path));
                if let Some(message) = shared_directory(&path, &directories) {
                    self.problems.add(&span, &format!("{section}.path"), message);
                }
                directories.push((name.clone(), path));
            }
            checked.insert(name, CacheConfig { location, cleanup, quota });
        }
        if self.files.is_none() && checked.is_empty() && self.problems.is_empty() {
            self.problems.add_missing(
                "there is no cache: set BTDT_CACHES__DEFAULT__PATH to a directory that the runtime \
                 has opened for the server, or to one in it, for a cache of the name `default`",
            );
        }
        checked
    }

    fn location(
        &mut self,
        section: &str,
        span: &Range<usize>,
        cache: Cache,
    ) -> Option<CacheLocation> {
        let [kind_key, path_key] = ["type", "path"].map(|key| format!("{section}.{key}"));
        let is_wasi = self.files.is_none();
        let kind = cache.kind.as_ref().map(Spanned::get_ref);
        if kind.is_none() && (!is_wasi || self.problems.has(&kind_key)) {
            if !self.problems.has(&kind_key) {
                let message = "the type is missing: type = 'Filesystem' or type = 'InMemory'";
                self.problems.add(span, section, message);
            }
            return None;
        }
        match (kind, cache.path) {
            (Some(CacheKind::InMemory), None) if !is_wasi => return Some(CacheLocation::InMemory),
            (Some(CacheKind::InMemory), Some(path)) if !is_wasi => {
                self.problems.add(&path.span(), &path_key, "a cache in memory has no path");
            }
            (Some(CacheKind::InMemory), _) => {
                let span = cache.kind.as_ref().map_or(span.clone(), Spanned::span);
                let message = "nothing is kept in memory from one request to the next here; only \
                               'Filesystem' is possible";
                self.problems.add(&span, &kind_key, message);
            }
            (_, path @ Some(_)) => {
                let check = |files: &dyn Files, path: &Path| files.check_cache_directory(path);
                return self.usable(&path_key, path, check).map(CacheLocation::Filesystem);
            }
            // Without a type, there was nothing but an unknown variable.
            (None, None) => {}
            (_, None) if self.problems.has(&path_key) => {}
            (_, None) => {
                let variable = variable_name(section, "path");
                let what = if is_wasi { &*variable } else { "the path" };
                let message = format!("{what} is missing, the directory of the cache");
                self.problems.add(span, section, message);
            }
        }
        None
    }
}

/// What is wrong with a directory that another cache uses, too.
fn shared_directory(path: &Path, others: &[(String, PathBuf)]) -> Option<String> {
    let overlaps = |other: &Path| path.starts_with(other) || other.starts_with(path);
    let (other, other_path) = others.iter().find(|(_, other_path)| overlaps(other_path))?;
    let how = if path == other_path {
        format!("this is the directory of the cache {other:?} as well")
    } else {
        let other_path = other_path.display();
        format!("this and {other_path} of the cache {other:?} are one in the other")
    };
    Some(format!("{how}; each cache needs a directory of its own"))
}

/// Names of caches are part of URLs as they are.
fn check_cache_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    let is_short = (1..=MAX_CACHE_NAME).contains(&name.len());
    if is_short && !name.starts_with('.') && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(format!(
        "this cannot be the name of a cache; a name has 1 to {MAX_CACHE_NAME} letters a-z and A-Z, \
         digits, and - _ . ~, and does not begin with a dot"
    ))
}
