//! Variables over files over defaults.

use super::{KEY, loaded, with_key};
use btdt_server::config::{CacheLocation, Config, LogFormat, TlsConfig};
use proptest::prelude::*;
use std::time::Duration;

/// What Kubernetes sets in every pod beside a service `btdt-server`.
const OF_KUBERNETES: [(&str, &str); 8] = [
    ("BTDT_SERVER_PORT", "tcp://10.0.0.1:8707"),
    ("BTDT_SERVER_PORT_8707_TCP", "tcp://10.0.0.1:8707"),
    ("BTDT_SERVER_PORT_8707_TCP_ADDR", "10.0.0.1"),
    ("BTDT_SERVER_PORT_8707_TCP_PORT", "8707"),
    ("BTDT_SERVER_PORT_8707_TCP_PROTO", "tcp"),
    ("BTDT_SERVER_SERVICE_HOST", "10.0.0.1"),
    ("BTDT_SERVER_SERVICE_PORT", "8707"),
    ("BTDT_SERVER_SERVICE_PORT_HTTP", "8707"),
];

#[test]
fn defaults_are_those_of_the_original() {
    let loaded = loaded(None, &[KEY]).unwrap();
    let config = &loaded.config;
    assert_eq!(config.bind_addrs, ["0.0.0.0:8707"]);
    assert!(config.enable_api_docs);
    assert_eq!(config.tls, None);
    assert_eq!(config.cleanup_interval, Duration::from_secs(600));
    assert!(config.caches.is_empty());
    assert_eq!(loaded.file, None);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(Config { auth: config.auth.clone(), ..Config::default() }, *config);
}

#[test]
fn variables_of_the_original_mean_what_they_meant() {
    let config = loaded(
        None,
        &[
            ("BTDT_BIND_ADDRS", "127.0.0.1:8707,[::1]:8707"),
            ("BTDT_ENABLE_API_DOCS", "false"),
            ("BTDT_TLS_KEYSTORE", "path/certificate.p12"),
            ("BTDT_TLS_KEYSTORE_PASSWORD", "0123"),
            ("BTDT_AUTH_PRIVATE_KEY", "path/private-key"),
            ("BTDT_CLEANUP__INTERVAL", "5min"),
            ("BTDT_CLEANUP__CACHE_EXPIRATION", "14days"),
            ("BTDT_CLEANUP__MAX_CACHE_SIZE", "100GiB"),
            ("BTDT_CACHES__DEFAULT__TYPE", "InMemory"),
        ],
    )
    .unwrap()
    .config;
    assert_eq!(config.bind_addrs, ["127.0.0.1:8707", "[::1]:8707"]);
    assert!(!config.enable_api_docs);
    let Some(TlsConfig::Pkcs12 { keystore, password }) = &config.tls else { panic!() };
    assert_eq!(keystore.to_str(), Some("path/certificate.p12"));
    assert_eq!(password.expose(), "0123", "a string stays a string");
    assert_eq!(config.auth.private_key.unwrap().to_str(), Some("path/private-key"));
    assert_eq!(config.cleanup_interval, Duration::from_secs(300));
    let cache = &config.caches["default"];
    assert_eq!(cache.location, CacheLocation::InMemory);
    assert_eq!(cache.cleanup.cache_expiration, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(cache.cleanup.max_cache_size, Some(100 << 30));
}

#[test]
fn services_of_kubernetes_do_not_matter() {
    let file = "[caches]\na = { type = 'InMemory' }\n";
    let without = with_key(file, &[]).unwrap();
    let with = with_key(file, &OF_KUBERNETES).unwrap();
    assert_eq!(with.config, without.config);
    assert_eq!(with.warnings, without.warnings);
    assert!(with.warnings.is_empty());
}

#[test]
fn variables_that_mean_nothing_are_worth_a_warning() {
    let file = "[caches]\na = { type = 'InMemory' }\n";
    let loaded = with_key(file, &[("BTDT_IMAGE_OF_CI", "1"), ("OTHER__THING", "1")]).unwrap();
    assert_eq!(loaded.warnings, ["The variable BTDT_IMAGE_OF_CI means nothing to the server"]);
    // This one is for the health check and the tool.
    let loaded = with_key(file, &[("BTDT_TRUSTED_ROOT_CERTS", "/ca.pem")]).unwrap();
    assert!(loaded.warnings.is_empty());
}

#[test]
fn variables_change_and_add_caches_of_the_file() {
    let file = "[caches]\nMain = { type = 'Filesystem', path = '/a', quota = '1GiB' }\n";
    let variables = [
        ("BTDT_CACHES__MAIN__PATH", "/b"),
        ("BTDT_CACHES__node-modules__TYPE", "InMemory"),
        ("BTDT_CACHES__node-modules__CLEANUP__MAX_CACHE_SIZE", "unlimited"),
    ];
    let config = with_key(file, &variables).unwrap().config;
    assert_eq!(config.caches.keys().collect::<Vec<_>>(), ["Main", "node-modules"]);
    assert_eq!(config.caches["Main"].location, CacheLocation::Filesystem("/b".into()));
    assert_eq!(config.caches["Main"].quota, Some(1 << 30));
    assert_eq!(config.caches["node-modules"].cleanup.max_cache_size, None);
}

#[test]
fn an_empty_variable_takes_a_path_away() {
    let file = "tls_keystore = '/k'\nauth_public_keys = ['/a', '/b']";
    let variables = [("BTDT_TLS_KEYSTORE", ""), ("BTDT_AUTH_PUBLIC_KEYS", "")];
    let config = with_key(file, &variables).unwrap().config;
    assert_eq!(config.tls, None);
    assert!(config.auth.public_keys.is_empty());
}

#[test]
fn values_of_caches_come_before_those_of_all() {
    let file = "[cleanup]\ncache_expiration = '1day'\ngrace_period = '2h'\n\
                [caches.a]\ntype = 'InMemory'\ncleanup = { cache_expiration = 'never' }\n\
                [caches.b]\ntype = 'InMemory'\n";
    let config = with_key(file, &[]).unwrap().config;
    assert_eq!(config.caches["a"].cleanup.cache_expiration, None);
    assert_eq!(config.caches["a"].cleanup.grace_period, Duration::from_secs(7200));
    assert_eq!(config.caches["a"].cleanup.max_cache_size, Some(50 << 30));
    assert_eq!(config.caches["b"].cleanup.cache_expiration, Some(Duration::from_secs(86_400)));
}

/// A setting in three layers: what it is in each, if anything.
#[derive(Clone, Debug)]
struct Layers<T> {
    file: Option<T>,
    variable: Option<T>,
}

impl<T: Clone> Layers<T> {
    fn result(&self, default: T) -> T {
        self.variable.clone().or(self.file.clone()).unwrap_or(default)
    }
}

fn layers<T: Clone + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Layers<T>> {
    (proptest::option::of(values.clone()), proptest::option::of(values))
        .prop_map(|(file, variable)| Layers { file, variable })
}

proptest! {
    #[test]
    fn every_setting_comes_from_the_highest_layer_that_has_it(
        docs in layers(any::<bool>()),
        interval in layers(1_u64..1_000_000),
        size in layers(1_u64..u64::MAX),
        connections in layers(1_u32..1_000_000),
        json in layers(any::<bool>()),
        password in layers("[ -&(-\\[\\]-~]{0,12}"),
        ports in layers(proptest::collection::btree_set(any::<u16>(), 1..4)),
    ) {
        let addresses = |ports: &std::collections::BTreeSet<u16>| -> Vec<String> {
            ports.iter().map(|port| format!("h:{port}")).collect()
        };
        let format = |json: bool| if json { "json" } else { "text" };
        let mut file = "tls_keystore = '/k'\ncaches.a.type = 'InMemory'\n".to_owned();
        let mut variables = vec![KEY.0.to_owned()];
        let mut values = vec![KEY.1.to_owned()];
        let mut add = |key: &str, in_file: Option<String>, variable: Option<String>| {
            if let Some(value) = in_file {
                file.push_str(&format!("{key} = {value}\n"));
            }
            if let Some(value) = variable {
                variables.push(format!("BTDT_{}", key.replace('.', "__").to_uppercase()));
                values.push(value);
            }
        };
        let quoted = |value: String| format!("'{value}'");
        let seconds = |value: u64| format!("{value} s");
        let text = |value: u64| value.to_string();
        let count = |value: u32| value.to_string();
        let boolean = |value: bool| value.to_string();
        let form = |value: bool| format(value).to_owned();
        add("enable_api_docs", docs.file.map(boolean), docs.variable.map(boolean));
        add("cleanup.interval", interval.file.map(seconds).map(quoted), interval.variable.map(seconds));
        add("limits.max_connections", connections.file.map(count), connections.variable.map(count));
        add("log.format", json.file.map(form).map(quoted), json.variable.map(form));
        add("caches.a.quota", size.file.map(text).map(quoted), size.variable.map(text));
        add("tls_keystore_password", password.file.clone().map(quoted), password.variable.clone());
        add("bind_addrs",
            ports.file.as_ref().map(|ports| format!("{:?}", addresses(ports))),
            ports.variable.as_ref().map(|ports| addresses(ports).join(" , ")));
        let pairs: Vec<(&str, &str)> =
            variables.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let config = loaded(Some(&file), &pairs).map_err(|error| TestCaseError::fail(error.to_string()))?.config;
        prop_assert_eq!(config.enable_api_docs, docs.result(true));
        prop_assert_eq!(config.cleanup_interval.as_secs(), interval.result(600));
        prop_assert_eq!(config.limits.max_connections, connections.result(4096));
        prop_assert_eq!(config.log.format == LogFormat::Json, json.result(false));
        let Some(TlsConfig::Pkcs12 { password: found, .. }) = &config.tls else { panic!() };
        prop_assert_eq!(found.expose(), password.result(String::new()));
        let expected = ports.variable.as_ref().or(ports.file.as_ref());
        let expected = expected.map_or_else(|| vec!["0.0.0.0:8707".to_owned()], addresses);
        prop_assert_eq!(config.bind_addrs, expected);
        prop_assert_eq!(config.caches["a"].quota, size.variable.or(size.file));
    }

    #[test]
    fn nothing_makes_it_panic(file in ".{0,200}", name in "BTDT_[A-Z_]{0,20}", value in "[^\0]{0,20}") {
        let _ = loaded(Some(&file), &[(&name, &value)]);
    }

    #[test]
    fn whole_names_of_services_do_not_matter(service in "(-[a-z0-9]{1,8}){0,3}", port in 1_u16.., named in "[a-z]{1,8}") {
        let service = format!("BTDT{}", service.replace('-', "_").to_uppercase());
        let named = named.to_uppercase();
        let names = [
            format!("{service}_SERVICE_HOST"),
            format!("{service}_SERVICE_PORT"),
            format!("{service}_SERVICE_PORT_{named}"),
            format!("{service}_PORT"),
            format!("{service}_PORT_{port}_TCP"),
            format!("{service}_PORT_{port}_TCP_PROTO"),
            format!("{service}_PORT_{port}_TCP_PORT"),
            format!("{service}_PORT_{port}_TCP_ADDR"),
        ];
        let mut variables = vec![KEY];
        variables.extend(names.iter().map(|name| (name.as_str(), "tcp://10.0.0.1:8707")));
        let loaded = loaded(None, &variables).unwrap();
        prop_assert_eq!(loaded.warnings.len(), 1, "only that there are no caches");
    }
}
