//! The keys: what each is called, what it may be, and where its value goes.

use super::checks::Files;
use super::node::{Node, Origin, Table};
use super::section::{Problems, Section};
use super::values::{
    addresses, boolean, count, duration, expiration, one_of, path, secret, size, size_limit, texts,
};
use super::{
    AuthConfig, CacheConfig, CacheLocation, CleanupConfig, Config, Limits, LogConfig, LogFormat,
    LogLevel, TlsConfig,
};
use btdt_host_runtime::server_common::check_cache_name;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Builds the configuration. Where something is wrong, the default takes its place and the
/// problem is recorded.
pub(super) fn build(root: Table, problems: &Problems, files: &dyn Files) -> Config {
    let mut root = Section::root(root, problems);
    let default = Config::default();
    let mut cleanup_section = root.section("cleanup");
    let cleanup_interval =
        cleanup_section.read("interval", duration(SECOND)).unwrap_or(default.cleanup_interval);
    let cleanup = cleanup(&mut cleanup_section, &CleanupConfig::default());
    Config {
        bind_addrs: root.read("bind_addrs", addresses).unwrap_or(default.bind_addrs),
        enable_api_docs: root.read("enable_api_docs", boolean).unwrap_or(default.enable_api_docs),
        enable_metrics: root.read("enable_metrics", boolean).unwrap_or(default.enable_metrics),
        tls: tls(&mut root, files),
        auth: auth(&mut root, files),
        cleanup_interval,
        caches: caches(root.section("caches"), &cleanup, files),
        limits: limits(root.section("limits")),
        log: log(root.section("log")),
        shutdown_grace_period: root
            .read("shutdown_grace_period", duration(Duration::ZERO))
            .unwrap_or(default.shutdown_grace_period),
    }
}

/// A path of a file that can be read.
fn readable(files: &dyn Files) -> impl Fn(&Node) -> Result<Option<PathBuf>, String> {
    move |node| {
        let path = path(node)?;
        path.as_deref().map_or(Ok(()), |path| files.check_readable(path))?;
        Ok(path)
    }
}

fn tls(root: &mut Section<'_>, files: &dyn Files) -> Option<TlsConfig> {
    let given = |read: Option<(Option<PathBuf>, Origin)>| {
        read.and_then(|(path, origin)| path.map(|path| (path, origin)))
    };
    let keystore = given(root.read_with_origin("tls_keystore", readable(files)));
    let password = root.read("tls_keystore_password", secret).unwrap_or_default();
    let certificate = given(root.read_with_origin("tls_certificate", readable(files)));
    let private_key = given(root.read_with_origin("tls_private_key", readable(files)));
    match (keystore, certificate, private_key) {
        (None, None, None) => None,
        (Some((keystore, _)), None, None) => Some(TlsConfig::Pkcs12 { keystore, password }),
        (None, Some((certificate, _)), Some((private_key, _))) => {
            Some(TlsConfig::Pem { certificate, private_key })
        }
        (None, Some((_, origin)), None) => {
            let message = "tls_private_key is missing, the file with the key of this certificate";
            root.problem(Some(origin), "tls_certificate", message);
            None
        }
        (None, None, Some((_, origin))) => {
            let message = "tls_certificate is missing, the file with the certificate of this key";
            root.problem(Some(origin), "tls_private_key", message);
            None
        }
        (Some((_, origin)), _, _) => {
            let message = "there is also tls_certificate or tls_private_key; use either the \
                           keystore or the two PEM files";
            root.problem(Some(origin), "tls_keystore", message);
            None
        }
    }
}

fn auth(root: &mut Section<'_>, files: &dyn Files) -> AuthConfig {
    let mut wrong = false;
    let mut note = |ok: bool| wrong |= !ok;
    let private_key = root.read("auth_private_key", |node| {
        let checked = path(node).and_then(|path| {
            path.as_deref().map_or(Ok(()), |path| files.check_private_key(path))?;
            Ok(path)
        });
        note(checked.is_ok());
        checked
    });
    let public_keys = root.read("auth_public_keys", |node| {
        let checked = texts(node).and_then(|paths| {
            let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
            paths.iter().try_for_each(|path| files.check_readable(path))?;
            Ok(paths)
        });
        note(checked.is_ok());
        checked
    });
    let revocation_list = root.read("auth_revocation_list", readable(files)).flatten();
    let auth = AuthConfig {
        private_key: private_key.flatten(),
        public_keys: public_keys.unwrap_or_default(),
        revocation_list,
    };
    if !wrong && auth.private_key.is_none() && auth.public_keys.is_empty() {
        let message = "there is no key to check tokens with: set auth_private_key \
                       (or BTDT_AUTH_PRIVATE_KEY) to a file, which is created if it is missing, \
                       or list files of public keys in auth_public_keys";
        root.problem(None, "", message);
    }
    auth
}

fn cleanup(section: &mut Section<'_>, default: &CleanupConfig) -> CleanupConfig {
    CleanupConfig {
        cache_expiration: section
            .read("cache_expiration", expiration)
            .unwrap_or(default.cache_expiration),
        max_cache_size: section
            .read("max_cache_size", size_limit)
            .unwrap_or(default.max_cache_size),
        grace_period: section
            .read("grace_period", duration(Duration::ZERO))
            .unwrap_or(default.grace_period),
    }
}

fn caches(
    section: Section<'_>,
    cleanup: &CleanupConfig,
    files: &dyn Files,
) -> BTreeMap<String, CacheConfig> {
    let mut caches = BTreeMap::new();
    let mut places: Vec<(String, PathBuf)> = Vec::new();
    for (name, mut section) in section.into_sections() {
        if let Err(message) = check_cache_name(&name) {
            section.problem(section.origin.clone(), "", message);
        }
        let Some(cache) = cache(&mut section, cleanup, files) else { continue };
        if let CacheLocation::Filesystem(path) = &cache.location {
            let path = files.canonical(path);
            let other = places
                .iter()
                .find(|(_, other)| path.starts_with(other) || other.starts_with(&path));
            if let Some((other, other_path)) = other {
                let how = if path == *other_path {
                    format!("this is the directory of the cache {other:?} as well")
                } else {
                    let other_path = other_path.display();
                    format!("this and {other_path} of the cache {other:?} are one in the other")
                };
                let message = format!("{how}; each cache needs a directory of its own");
                section.problem(section.origin.clone(), "path", message);
            }
            places.push((name.clone(), path));
        }
        caches.insert(name, cache);
    }
    caches
}

fn cache(
    section: &mut Section<'_>,
    cleanup_default: &CleanupConfig,
    files: &dyn Files,
) -> Option<CacheConfig> {
    let kinds = one_of(&[("Filesystem", true), ("InMemory", false)]);
    let mut had_type = false;
    let kind = section.read("type", |node| {
        had_type = true;
        kinds(node)
    });
    if !had_type {
        let message = "the type is missing: type = 'Filesystem' or type = 'InMemory'";
        section.problem(section.origin.clone(), "", message);
    }
    let mut had_path = false;
    let path = section.read_with_origin("path", |node| {
        had_path = true;
        let path = path(node)?.ok_or_else(|| "a path is needed".to_owned())?;
        if kind == Some(true) {
            files.check_cache_directory(&path)?;
        }
        Ok(path)
    });
    let quota = section.read("quota", size_limit).flatten();
    let cleanup = cleanup(&mut section.section("cleanup"), cleanup_default);
    let location = match (kind?, path) {
        (true, Some((path, _))) => CacheLocation::Filesystem(path),
        (true, None) => {
            if !had_path {
                let message = "the path is missing, the directory of the cache";
                section.problem(section.origin.clone(), "", message);
            }
            return None;
        }
        (false, None) => CacheLocation::InMemory,
        (false, Some((_, origin))) => {
            section.problem(Some(origin), "path", "a cache in memory has no path");
            return None;
        }
    };
    Some(CacheConfig { location, cleanup, quota })
}

fn limits(mut section: Section<'_>) -> Limits {
    let default = Limits::default();
    let mut time = |key, default| section.read(key, duration(SECOND)).unwrap_or(default);
    let header_timeout = time("header_timeout", default.header_timeout);
    let body_timeout = time("body_timeout", default.body_timeout);
    let request_timeout = time("request_timeout", default.request_timeout);
    let idle_timeout = time("idle_timeout", default.idle_timeout);
    let core_deadline = time("core_deadline", default.core_deadline);
    let mut bytes = |key, allowed, default| section.read(key, size(allowed)).unwrap_or(default);
    let max_body_size = bytes("max_body_size", 1..=u64::MAX, default.max_body_size);
    let max_manifest_size = bytes("max_manifest_size", 1..=u64::MAX, default.max_manifest_size);
    // The HTTP library needs 8 KiB at least.
    let max_header_size = bytes("max_header_size", 8 << 10..=16 << 20, default.max_header_size);
    // Less does not hold the core; it cannot address more.
    let core_memory = bytes("core_memory", 16 << 20..=4 << 30, default.core_memory);
    let mut number = |key, most, default| section.read(key, count(1..=most)).unwrap_or(default);
    Limits {
        max_body_size,
        max_manifest_size,
        max_header_size,
        header_timeout,
        body_timeout,
        request_timeout,
        idle_timeout,
        max_connections: number("max_connections", 1_000_000, default.max_connections),
        // Each has an instance of the core, whose addresses are reserved at the start, and a thread.
        max_transfers: number("max_transfers", 4096, default.max_transfers),
        core_memory,
        core_deadline,
    }
}

fn log(mut section: Section<'_>) -> LogConfig {
    let formats = one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let levels = one_of(&[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ]);
    LogConfig {
        format: section.read("format", formats).unwrap_or_default(),
        level: section.read("level", levels).unwrap_or_default(),
    }
}
