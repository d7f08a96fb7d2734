//! The configuration of the WASI server: variables alone, and no keys for what it does not do.

use crate::checks;
use crate::config::Loaded;
use crate::problem::ConfigError;
use crate::variables::{FILE_VARIABLE, Variables, is_ours, key_path};
use toml::de::DeTable;

/// Keys of `btdt-server` for what the runtime of the WASI server decides, and for what would have
/// to outlive a request. Variables for them are ignored. `*` is any cache.
const NOT_ON_WASI: &[&str] = &[
    "bind_addrs",
    "caches.*.cleanup.cache_expiration",
    "caches.*.cleanup.grace_period",
    "caches.*.cleanup.max_cache_size",
    "caches.*.quota",
    "cleanup",
    "cleanup.cache_expiration",
    "cleanup.grace_period",
    "cleanup.interval",
    "cleanup.max_cache_size",
    "enable_metrics",
    "limits.body_timeout",
    "limits.core_deadline",
    "limits.core_memory",
    "limits.header_timeout",
    "limits.idle_timeout",
    "limits.max_connections",
    "limits.max_transfers",
    "limits.request_timeout",
    "log",
    "log.format",
    "log.level",
    "shutdown_grace_period",
    "tls_certificate",
    "tls_keystore",
    "tls_keystore_password",
    "tls_private_key",
];

/// Reads and checks the configuration of the WASI server.
///
/// # Errors
/// All mistakes, except in paths: those show when caches and keys are opened.
pub fn load_on_wasi(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let (mut ours, mut ignored) = (Variables::new(), Vec::new());
    for (name, value) in variables {
        if name == FILE_VARIABLE && !value.is_empty() {
            let message = "files with the configuration are not read here: set variables";
            return Err(format!("{name}: {message}").into());
        }
        if is_ours(&name) && is_not_on_wasi(&name) {
            ignored.push(name);
        } else if is_ours(&name) {
            ours.insert(name, value);
        }
    }
    let mut loaded = checks::load(None, DeTable::new(), ours, None)?;
    if !ignored.is_empty() {
        loaded.warnings.push(format!(
            "This runtime decides what these variables mean elsewhere, so they are ignored \
             (docs/wasi.md): {}",
            ignored.join(", ")
        ));
    }
    Ok(loaded)
}

fn is_not_on_wasi(variable: &str) -> bool {
    let path = key_path(variable).to_lowercase();
    let mut parts: Vec<&str> = path.split("__").collect();
    if let ["caches", cache, ..] = &mut parts[..] {
        *cache = "*";
    }
    NOT_ON_WASI.contains(&&*parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AuthConfig, CacheLocation, Config, Limits};
    use std::collections::BTreeMap;
    use std::path::Path;

    const KEY: (&str, &str) = ("BTDT_AUTH_PRIVATE_KEY", "/keys/private.pem");
    const CACHE: (&str, &str) = ("BTDT_CACHES__DEFAULT__PATH", "/cache");

    fn load(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        load_on_wasi(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        load(variables).unwrap_err().problems
    }

    fn directories(config: &Config) -> BTreeMap<&str, &CacheLocation> {
        config.caches.iter().map(|(name, cache)| (name.as_str(), &cache.location)).collect()
    }

    #[test]
    fn the_least() {
        let Loaded { config, warnings, .. } = load(&[KEY, CACHE, ("PATH", "/bin")]).unwrap();
        let expected = CacheLocation::Filesystem("/cache".into());
        assert_eq!(directories(&config), BTreeMap::from([("default", &expected)]));
        assert_eq!(config.auth.private_key.as_deref(), Some(Path::new("/keys/private.pem")));
        assert!(config.enable_api_docs && config.auth.public_keys.is_empty());
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn everything() {
        let Loaded { config, warnings, .. } = load(&[
            ("BTDT_AUTH_PRIVATE_KEY", ""),
            ("BTDT_AUTH_PUBLIC_KEYS", "a.pem, b.pem"),
            ("BTDT_AUTH_REVOCATION_LIST", "r"),
            ("BTDT_CACHES__NODE-MODULES__TYPE", "Filesystem"),
            ("BTDT_CACHES__NODE-MODULES__PATH", "n"),
            ("BTDT_CACHES__B__PATH", "b"),
            ("BTDT_ENABLE_API_DOCS", "no"),
            ("BTDT_LIMITS__MAX_BODY_SIZE", "1GiB"),
            ("BTDT_LIMITS__MAX_HEADER_SIZE", "9000"),
            ("BTDT_LIMITS__MAX_MANIFEST_SIZE", "1MiB"),
        ])
        .unwrap();
        let [b, n] = ["b", "n"].map(|path| CacheLocation::Filesystem(path.into()));
        assert_eq!(directories(&config), BTreeMap::from([("b", &b), ("node-modules", &n)]));
        let expected = Config {
            enable_api_docs: false,
            auth: AuthConfig {
                private_key: None,
                public_keys: vec!["a.pem".into(), "b.pem".into()],
                revocation_list: Some("r".into()),
            },
            caches: config.caches.clone(),
            limits: Limits {
                max_body_size: 1 << 30,
                max_header_size: 9000,
                max_manifest_size: 1 << 20,
                ..Limits::default()
            },
            ..Config::default()
        };
        assert_eq!(config, expected);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn nothing_at_all() {
        let problems = problems(&[]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("BTDT_CACHES__DEFAULT__PATH"));
        assert!(problems[1].contains("BTDT_AUTH_PRIVATE_KEY"));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (variable, value, expected) in [
            ("BTDT_AUTH_PUBLIC_KEY", "k", "did you mean BTDT_AUTH_PUBLIC_KEYS?"),
            ("BTDT_AUTH_REVOCATION_LISTS", "r", "did you mean BTDT_AUTH_REVOCATION_LIST?"),
            ("BTDT_CACHES__DEFAULT__PAHT", "/x", "did you mean BTDT_CACHES__DEFAULT__PATH?"),
            ("BTDT_SOMETHING__ELSE", "x", "BTDT_SOMETHING__ELSE: unknown variable"),
            ("BTDT_CACHES__.A__PATH", "/x", "cannot be the name of a cache"),
            ("BTDT_CACHES__A__PATH", "", "a path is needed"),
            ("BTDT_CACHES__A__TYPE", "InMemory", "only 'Filesystem' is possible"),
            ("BTDT_CACHES__A__TYPE", "filesystem", "did you mean 'Filesystem'?"),
            ("BTDT_CACHES__A__TYPE", "Filesystem", "BTDT_CACHES__A__PATH is missing"),
            ("BTDT_CACHES__A__PATH", "/cache/a", "one in the other"),
            ("BTDT_CACHES__A__PATH", "/cache", "the directory of the cache \"a\" as well"),
            ("BTDT_LIMITS__MAX_BODY_SIZE", "0", "too small"),
            ("BTDT_LIMITS__MAX_MANIFEST_SIZE", "x", "a whole number was expected"),
            ("BTDT_ENABLE_API_DOCS", "maybe", "true or false was expected"),
            ("BTDT_SERVER_CONFIG_FILE", "/config.toml", "set variables"),
        ] {
            let found = problems(&[KEY, CACHE, (variable, value)]);
            assert_eq!(found.len(), 1, "{variable}: {found:?}");
            assert!(found[0].contains(expected), "{variable}: {found:?}");
        }
    }

    #[test]
    fn what_means_nothing_here_is_named_once() {
        let loaded = load(&[
            KEY,
            CACHE,
            ("BTDT_BIND_ADDRS", "x"),
            ("BTDT_CACHES__DEFAULT__QUOTA", "1GiB"),
            ("BTDT_SERVER_PORT_8707_TCP", "tcp://10.0.0.1:8707"),
            ("BTDT_TRUSTED_ROOT_CERTS", "x"),
            ("BTDT_IMAGE", "x"),
        ]);
        let warnings = loaded.unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(warnings[0], "The variable BTDT_IMAGE means nothing to the server");
        assert!(warnings[1].ends_with(": BTDT_BIND_ADDRS, BTDT_CACHES__DEFAULT__QUOTA"));
        assert!(warnings[1].starts_with("This runtime "));
    }
}
