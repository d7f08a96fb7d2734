//! The configuration: variables of the environment, named as those of `btdt-server`.

use btdt_host_runtime::server_common::variables::{FILE_VARIABLE, PREFIX, is_ours};
use btdt_host_runtime::server_common::{self, check_cache_name, nearest, parse_list, parse_switch};
use btdt_host_runtime::units::parse_size;
use std::collections::BTreeMap;
use std::path::Path;

/// What the names of variables about caches begin with; the name of the cache follows.
const CACHES: &str = "CACHES__";

/// Variables that stand for one thing, without the prefix.
const KNOWN: &[&str] = &[
    "AUTH_PRIVATE_KEY",
    "AUTH_PUBLIC_KEYS",
    "AUTH_REVOCATION_LIST",
    "ENABLE_API_DOCS",
    "LIMITS__MAX_BODY_SIZE",
    "LIMITS__MAX_HEADER_SIZE",
    "LIMITS__MAX_MANIFEST_SIZE",
];

/// Variables of `btdt-server` for what the runtime does, or nobody.
const WITHOUT_MEANING: &[&str] = &[
    "BIND_ADDRS",
    "CLEANUP__CACHE_EXPIRATION",
    "CLEANUP__GRACE_PERIOD",
    "CLEANUP__INTERVAL",
    "CLEANUP__MAX_CACHE_SIZE",
    "ENABLE_METRICS",
    "LIMITS__BODY_TIMEOUT",
    "LIMITS__CORE_DEADLINE",
    "LIMITS__CORE_MEMORY",
    "LIMITS__HEADER_TIMEOUT",
    "LIMITS__IDLE_TIMEOUT",
    "LIMITS__MAX_CONNECTIONS",
    "LIMITS__MAX_TRANSFERS",
    "LIMITS__REQUEST_TIMEOUT",
    "LOG__FORMAT",
    "LOG__LEVEL",
    "SHUTDOWN_GRACE_PERIOD",
    "TLS_CERTIFICATE",
    "TLS_KEYSTORE",
    "TLS_KEYSTORE_PASSWORD",
    "TLS_PRIVATE_KEY",
];

/// The same, of those about one cache.
const WITHOUT_MEANING_OF_CACHES: &[&str] =
    &["CLEANUP__CACHE_EXPIRATION", "CLEANUP__GRACE_PERIOD", "CLEANUP__MAX_CACHE_SIZE", "QUOTA"];

/// The configuration, checked as far as it can be without looking at files. Paths are those of the
/// runtime, sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Directories of the caches by their names: one at least.
    pub(crate) caches: BTreeMap<String, String>,
    /// File of the private key.
    pub(crate) private_key: Option<String>,
    /// Files of public keys. One at least where there is no private key.
    pub(crate) public_keys: Vec<String>,
    /// File of the ids of revoked tokens.
    pub(crate) revocation_list: Option<String>,
    /// Whether `/docs` and `/api/openapi.json` are served.
    pub(crate) api_docs: bool,
    /// Largest body that stores an archive.
    pub(crate) max_body: u64,
    /// Largest head of a request.
    pub(crate) max_head: u64,
    /// Largest encoded manifest.
    pub(crate) max_manifest: u64,
}

/// A configuration, and what is to be said about it, a sentence each.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) warnings: Vec<String>,
}

/// Reads the configuration from variables and their values.
///
/// # Errors
/// Everything that is wrong with it, a sentence each.
pub(crate) fn load(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Vec<String>> {
    let mut reader = Reader::default();
    for (name, value) in variables {
        if name == FILE_VARIABLE && !value.is_empty() {
            reader.problem(&name, "files with the configuration are not read here: set variables");
        } else if is_ours(&name) {
            reader.read(&name, &value);
        }
    }
    reader.finish()
}

/// What has been read so far.
struct Reader {
    settings: Settings,
    types: BTreeMap<String, String>,
    ignored: Vec<String>,
    warnings: Vec<String>,
    problems: Vec<String>,
    /// Whether something about keys was wrong, so that they are not missing as well.
    wrong_keys: bool,
}

impl Default for Reader {
    fn default() -> Self {
        let settings = Settings {
            caches: BTreeMap::new(),
            private_key: None,
            public_keys: Vec::new(),
            revocation_list: None,
            api_docs: true,
            max_body: server_common::MAX_BODY_SIZE,
            max_head: server_common::MAX_HEADER_SIZE,
            max_manifest: server_common::MAX_MANIFEST_SIZE,
        };
        Reader {
            settings,
            types: BTreeMap::new(),
            ignored: Vec::new(),
            warnings: Vec::new(),
            problems: Vec::new(),
            wrong_keys: false,
        }
    }
}

impl Reader {
    fn problem(&mut self, variable: &str, message: &str) {
        self.problems.push(format!("{variable}: {message}"));
    }

    fn read(&mut self, variable: &str, value: &str) {
        let name = variable.strip_prefix(PREFIX).unwrap_or(variable);
        let done = match name {
            "AUTH_PRIVATE_KEY" => path(value).map(|path| self.settings.private_key = path),
            "AUTH_PUBLIC_KEYS" => {
                self.settings.public_keys = parse_list(value).map(str::to_owned).collect();
                Ok(())
            }
            "AUTH_REVOCATION_LIST" => path(value).map(|path| self.settings.revocation_list = path),
            "ENABLE_API_DOCS" => parse_switch(value).map(|on| self.settings.api_docs = on),
            "LIMITS__MAX_BODY_SIZE" => size(value).map(|size| self.settings.max_body = size),
            "LIMITS__MAX_HEADER_SIZE" => size(value).map(|size| self.settings.max_head = size),
            "LIMITS__MAX_MANIFEST_SIZE" => {
                size(value).map(|size| self.settings.max_manifest = size)
            }
            _ if WITHOUT_MEANING.contains(&name) => {
                self.ignored.push(variable.to_owned());
                Ok(())
            }
            _ => match name.strip_prefix(CACHES).and_then(|rest| rest.split_once("__")) {
                Some((cache, key)) => self.read_cache(variable, &cache.to_lowercase(), key, value),
                None => self.unknown(variable, known_names(None)),
            },
        };
        if let Err(message) = done {
            self.wrong_keys |= name.starts_with("AUTH_");
            self.problem(variable, &message);
        }
    }

    fn read_cache(
        &mut self,
        variable: &str,
        cache: &str,
        key: &str,
        value: &str,
    ) -> Result<(), String> {
        check_cache_name(cache)?;
        match key {
            "PATH" => {
                let path = path(value)?.ok_or("a path is needed")?;
                self.settings.caches.insert(cache.to_owned(), path);
                Ok(())
            }
            "TYPE" if value == "Filesystem" => {
                self.types.insert(cache.to_owned(), variable.to_owned());
                Ok(())
            }
            "TYPE" if value == "InMemory" => {
                Err("nothing is kept in memory from one request to the next here; only \
                     'Filesystem' is possible"
                    .to_owned())
            }
            "TYPE" => Err(format!("{value:?} is not 'Filesystem'")),
            _ if WITHOUT_MEANING_OF_CACHES.contains(&key) => {
                self.ignored.push(variable.to_owned());
                Ok(())
            }
            _ => self.unknown(variable, known_names(Some(&cache.to_uppercase()))),
        }
    }

    /// A variable that nobody knows: probably a slip of the fingers, or none of ours.
    fn unknown(&mut self, variable: &str, known: Vec<String>) -> Result<(), String> {
        match nearest(variable, known.iter().map(String::as_str)) {
            Some(near) => Err(format!("unknown variable; did you mean {near}?")),
            // `__` is what nobody else separates with.
            None if variable.contains("__") => Err("unknown variable".to_owned()),
            None => {
                self.warnings.push(format!("The variable {variable} means nothing to the server"));
                Ok(())
            }
        }
    }

    fn finish(mut self) -> Result<Loaded, Vec<String>> {
        self.check_caches();
        let Settings { private_key, public_keys, .. } = &self.settings;
        if !self.wrong_keys && private_key.is_none() && public_keys.is_empty() {
            self.problems.push(
                "there is no key to check tokens with: set BTDT_AUTH_PRIVATE_KEY to a file, which \
                 is created if it is missing, or list files of public keys in \
                 BTDT_AUTH_PUBLIC_KEYS"
                    .to_owned(),
            );
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        if !self.ignored.is_empty() {
            let names = self.ignored.join(", ");
            self.warnings.push(format!(
                "This runtime decides what these variables mean elsewhere, so they are ignored \
                 (docs/wasi.md): {names}"
            ));
        }
        Ok(Loaded { settings: self.settings, warnings: self.warnings })
    }

    fn check_caches(&mut self) {
        let caches = &self.settings.caches;
        let mut problems = Vec::new();
        for (name, variable) in &self.types {
            if !caches.contains_key(name) {
                let path = variable.replace("__TYPE", "__PATH");
                problems.push(format!("{variable}: {path} is missing, the directory of the cache"));
            }
        }
        let places: Vec<(&String, &Path)> =
            caches.iter().map(|(name, path)| (name, Path::new(path))).collect();
        for (index, (name, path)) in places.iter().enumerate() {
            let other = places[..index]
                .iter()
                .find(|(_, other)| path.starts_with(other) || other.starts_with(path));
            if let Some((other, _)) = other {
                problems.push(format!(
                    "the directories of the caches {other:?} and {name:?} are the same, or one in \
                     the other; each cache needs a directory of its own"
                ));
            }
        }
        if caches.is_empty() && self.types.is_empty() && self.problems.is_empty() {
            problems.push(
                "there is no cache: set BTDT_CACHES__DEFAULT__PATH to a directory that the runtime \
                 has opened for the server, or to one in it, for a cache of the name `default`"
                    .to_owned(),
            );
        }
        self.problems.append(&mut problems);
    }
}

/// The names of all variables that may have been meant, with those of a cache if it is about one.
fn known_names(cache: Option<&str>) -> Vec<String> {
    let named = |name: &&str| format!("{PREFIX}{name}");
    let mut names: Vec<String> = KNOWN.iter().chain(WITHOUT_MEANING).map(named).collect();
    if let Some(cache) = cache {
        let keys = ["PATH", "TYPE"];
        let keys = keys.iter().chain(WITHOUT_MEANING_OF_CACHES);
        names.extend(keys.map(|key| format!("{PREFIX}{CACHES}{cache}__{key}")));
    }
    names
}

/// A path; an empty text is none.
fn path(text: &str) -> Result<Option<String>, String> {
    if text.contains('\0') {
        return Err(format!("{text:?} is no path"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// A size of at least a byte.
fn size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("0 is too small; at least 1 byte is needed".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("BTDT_AUTH_PRIVATE_KEY", "/keys/private.pem");
    const CACHE: (&str, &str) = ("BTDT_CACHES__DEFAULT__PATH", "/cache");

    fn load(variables: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
        super::load(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        load(variables).unwrap_err()
    }

    #[test]
    fn the_least() {
        let Loaded { settings, warnings } = load(&[KEY, CACHE, ("PATH", "/bin")]).unwrap();
        assert_eq!(settings.caches, BTreeMap::from([("default".into(), "/cache".into())]));
        assert_eq!(settings.private_key.as_deref(), Some("/keys/private.pem"));
        assert!(settings.api_docs && settings.public_keys.is_empty());
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn everything() {
        let Loaded { settings, warnings } = load(&[
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
        let expected = Settings {
            caches: [("b", "b"), ("node-modules", "n")]
                .map(|(name, path)| (name.to_owned(), path.to_owned()))
                .into(),
            private_key: None,
            public_keys: vec!["a.pem".into(), "b.pem".into()],
            revocation_list: Some("r".into()),
            api_docs: false,
            max_body: 1 << 30,
            max_head: 9000,
            max_manifest: 1 << 20,
        };
        assert_eq!(settings, expected);
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
            ("BTDT_CACHES__A__TYPE", "filesystem", "is not 'Filesystem'"),
            ("BTDT_CACHES__A__TYPE", "Filesystem", "BTDT_CACHES__A__PATH is missing"),
            ("BTDT_CACHES__A__PATH", "/cache/a", "one in the other"),
            ("BTDT_CACHES__A__PATH", "/cache", "are the same"),
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
