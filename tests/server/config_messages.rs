//! What is said about configurations that are wrong.

use super::{KEY, message, with_key};

/// The message about a file in a configuration that is right otherwise.
fn about(file: &str) -> String {
    message(Some(file), &[KEY])
}

/// The message about variables alone.
fn about_variables(variables: &[(&str, &str)]) -> String {
    let mut all = vec![KEY];
    all.extend_from_slice(variables);
    message(None, &all)
}

#[test]
fn unknown_keys_say_where_and_what_is_allowed() {
    for (file, expected) in [
        (
            "\n[cleanup]\nintervall = '1h'\n",
            "config.toml:3: cleanup.intervall: unknown key; did you mean `interval`? \
             Allowed here: `interval`, `cache_expiration`, `max_cache_size`, `grace_period`",
        ),
        (
            "[cleanup]\n\n# comment\nauth_private_key = '/key'\n",
            "config.toml:4: cleanup.auth_private_key: unknown key; it belongs above the first \
             [section] of the file. Allowed here: `interval`, `cache_expiration`, \
             `max_cache_size`, `grace_period`",
        ),
        (
            "[log]\nmax_connections = 5\n",
            "config.toml:2: log.max_connections: unknown key; it belongs in [limits]. Allowed \
             here: `format`, `level`",
        ),
        (
            "[caches.a]\ntype = 'InMemory'\nquotas = '1GiB'\n",
            "config.toml:3: caches.a.quotas: unknown key; did you mean `quota`? Allowed here: \
             `type`, `path`, `quota`, `cleanup`",
        ),
        (
            "[caches]\na = { type = 'InMemory', cleanup = { interval = '1h' } }\n",
            "config.toml:2: caches.a.cleanup.interval: unknown key; it belongs in [cleanup]. \
             Allowed here: `cache_expiration`, `max_cache_size`, `grace_period`",
        ),
    ] {
        assert_eq!(about(file), expected);
    }
    let text = about("[cleanup]\nmax_size = '1GiB'\n");
    let start = "config.toml:2: cleanup.max_size: unknown key; did you mean `max_cache_size`? ";
    assert!(text.starts_with(start), "{text}");
    let text = about("[cleanup]\nzzz = 1\n");
    assert!(text.starts_with("config.toml:2: cleanup.zzz: unknown key. Allowed here: "), "{text}");
    let top = about("bind_addr = ['0.0.0.0:1']\n");
    assert!(top.starts_with("config.toml:1: bind_addr: unknown key; did you mean `bind_addrs`? "));
    assert!(top.contains("`limits`"), "{top}");
}

#[test]
fn wrong_values_say_what_would_be_right() {
    for (file, expected) in [
        ("bind_addrs = 'x'", "1: bind_addrs: a list was expected: put it in [ ]"),
        (
            "bind_addrs = []",
            "1: bind_addrs: at least one address is needed, for example '0.0.0.0:8707'",
        ),
        (
            "bind_addrs = ['::1:8707']\n",
            "1: bind_addrs: \"::1:8707\" is no address: an address is 'HOST:PORT', for example \
             '0.0.0.0:8707' or '[::]:8707'",
        ),
        (
            "enable_api_docs = 'false'",
            "1: enable_api_docs: true or false, without quotes, was expected",
        ),
        ("enable_metrics = 1", "1: enable_metrics: true or false was expected, this is a number"),
        ("cleanup = 5", "1: cleanup: a table was expected, this is a number"),
        (
            "[cleanup]\ninterval = '10 minuts'",
            "2: cleanup.interval: \"10 minuts\" is no time such as '10min' or '1h 30min': unknown \
             time unit \"minuts\", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, \
             months, years (and few variations)",
        ),
        (
            "[cleanup]\ninterval = 600",
            "2: cleanup.interval: the unit is missing, for example '600s'",
        ),
        (
            "[cleanup]\ninterval = '0s'",
            "2: cleanup.interval: \"0s\" is too short; at least 1s is needed",
        ),
        (
            "[cleanup]\nmax_cache_size = '10 parsec'",
            "2: cleanup.max_cache_size: unknown unit \"parsec\"; known are B, kB, MB, GB, TB, PB, \
             EB and KiB, MiB, GiB, TiB, PiB, EiB",
        ),
        (
            "[cleanup]\nmax_cache_size = '16EiB'",
            "2: cleanup.max_cache_size: \"16EiB\" is more than 16 EiB - 1",
        ),
        (
            "[cleanup]\nmax_cache_size = 0",
            "2: cleanup.max_cache_size: 0 would keep nothing; without a limit it is 'unlimited'",
        ),
        (
            "[cleanup]\ncache_expiration = '200years'",
            "2: cleanup.cache_expiration: \"200years\" is longer than 100 years",
        ),
        (
            "[cleanup]\ncache_expiration = 2026-01-01",
            "2: cleanup.cache_expiration: a time such as '10min' was expected, this is a date",
        ),
        (
            "[limits]\nmax_header_size = '1KiB'",
            "2: limits.max_header_size: \"1KiB\" is not between 8KiB and 16MiB",
        ),
        (
            "[limits]\nmax_connections = 0",
            "2: limits.max_connections: a whole number from 1 to 1000000 was expected, this is 0",
        ),
        (
            "[limits]\nmax_transfers = '5'",
            "2: limits.max_transfers: a whole number from 1 to 4096 was expected, this is \"5\"",
        ),
        (
            "[log]\nformat = 'JSON'",
            "2: log.format: \"JSON\" is not one of 'text', 'json'; did you mean 'json'?",
        ),
        (
            "[caches]\na = { type = 'FileSystem', path = '/x' }",
            "2: caches.a.type: \"FileSystem\" is not one of 'Filesystem', 'InMemory'; did you \
             mean 'Filesystem'?",
        ),
        (
            "[caches]\na = { path = '/x' }",
            "2: caches.a: the type is missing: type = 'Filesystem' or type = 'InMemory'",
        ),
        (
            "[caches]\na = { type = 'Filesystem' }",
            "2: caches.a: the path is missing, the directory of the cache",
        ),
        (
            "[caches]\na = { type = 'InMemory', path = '/x' }",
            "2: caches.a.path: a cache in memory has no path",
        ),
        (
            "[caches]\n'a/b' = { type = 'InMemory' }",
            "2: caches.\"a/b\": this cannot be the name of a cache; a name has 1 to 100 letters \
             a-z and A-Z, digits, and - _ . ~, and does not begin with a dot",
        ),
        (
            "tls_certificate = '/c'",
            "1: tls_certificate: tls_private_key is missing, the file with \
             the key of this certificate",
        ),
        (
            "tls_private_key = '/c'",
            "1: tls_private_key: tls_certificate is missing, the file with \
             the certificate of this key",
        ),
        (
            "tls_certificate = '/c'\ntls_keystore = '/k'\n",
            "2: tls_keystore: there is also tls_certificate or tls_private_key; use either the \
             keystore or the two PEM files",
        ),
    ] {
        assert_eq!(about(file), format!("config.toml:{expected}"));
    }
}

#[test]
fn caches_must_not_lie_in_each_other() {
    for (one, other, expected) in [
        ("/c", "/c", "this is the directory of the cache \"a\" as well"),
        ("/c", "/c/d", "this and /c of the cache \"a\" are one in the other"),
        ("/c/d", "/c", "this and /c/d of the cache \"a\" are one in the other"),
    ] {
        let file = format!(
            "[caches]\na = {{ type = 'Filesystem', path = '{one}' }}\n\
             b = {{ type = 'Filesystem', path = '{other}' }}\n"
        );
        let expected = format!(
            "config.toml:3: caches.b.path: {expected}; each cache needs a directory of its own"
        );
        assert_eq!(about(&file), expected);
    }
    let apart = "[caches]\na = { type = 'Filesystem', path = '/c' }\n\
                 b = { type = 'Filesystem', path = '/cd' }\n";
    with_key(apart, &[]).unwrap();
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let file = "enable_api_docs = 1\n[cleanup]\ninterval = 'x'\nfoo = 1\n[log]\nlevel = 'loud'\n";
    let text = about(file);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (line, number) in lines.iter().zip([1, 3, 4, 6]) {
        assert!(line.starts_with(&format!("config.toml:{number}: ")), "{text}");
    }
}

#[test]
fn what_is_not_toml_is_shown_by_line_alone() {
    for (file, line) in [
        ("a = 1\ntls_keystore_password = hunter2\n", 2),
        ("tls_keystore_password = 'hunter2\n", 1),
        ("\n\ntls_keystore_password = 'a'\ntls_keystore_password = 'hunter2'\n", 4),
        ("[cleanup\ntls_keystore_password = 'hunter2'\n", 1),
    ] {
        let text = about(file);
        assert!(text.starts_with(&format!("config.toml:{line}: this is not TOML: ")), "{text}");
        assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
    }
}

#[test]
fn passwords_are_in_no_message() {
    let files =
        ["tls_keystore_password = ['hunter2']", "tls_keystore_password = { a = 'hunter2' }"];
    for file in files {
        let text = about(file);
        assert!(text.contains("tls_keystore_password: a string in quotes was expected"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let loaded = with_key("tls_keystore = '/k'\ntls_keystore_password = 'hunter2'", &[]).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!btdt_server::config::summary(&loaded).join("\n").contains("hunter2"));
}

#[test]
fn variables_are_named() {
    for (name, value, expected) in [
        ("BTDT_CLEANUP__INTERVAL", "x", "expected number at 0"),
        ("BTDT_CLEANUP__INTERVALL", "1h", "unknown variable; did you mean BTDT_CLEANUP__INTERVAL?"),
        ("BTDT_CLEANUP_INTERVAL", "1h", "unknown variable; did you mean BTDT_CLEANUP__INTERVAL?"),
        ("BTDT_INTERVAL", "1h", "unknown variable; did you mean BTDT_CLEANUP__INTERVAL?"),
        ("BTDT_AUTH_PRIVAT_KEY", "/k", "unknown variable; did you mean BTDT_AUTH_PRIVATE_KEY?"),
        ("BTDT_WHATEVER__ELSE", "1", "unknown variable"),
        ("BTDT_ENABLE_API_DOCS", "maybe", "true or false was expected, this is \"maybe\""),
        ("BTDT_BIND_ADDRS", "", "at least one address is needed, for example '0.0.0.0:8707'"),
        ("BTDT_CACHES", "x", "this is a table: set BTDT_CACHES__KEY for each of its keys"),
        ("BTDT_LIMITS__MAX_TRANSFERS", "many", "a whole number from 1 to 4096 was expected"),
    ] {
        let text = about_variables(&[(name, value)]);
        assert!(text.starts_with(&format!("{name}: ")), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn without_a_key_nothing_starts() {
    let text = message(Some(""), &[]);
    assert!(
        text.starts_with("there is no key to check tokens with: set auth_private_key"),
        "{text}"
    );
    let text = message(Some("auth_public_keys = []\nauth_private_key = ''"), &[]);
    assert!(text.starts_with("there is no key to check tokens with"), "{text}");
}
