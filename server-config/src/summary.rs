//! What was configured, in a few lines.

use crate::config::{CacheConfig, CacheLocation, Loaded, TlsConfig};
use btdt_host_runtime::units::{show_duration, show_size};

/// What was loaded, for people: one line for each thing that matters. No secrets.
#[must_use]
pub fn summary(loaded: &Loaded) -> Vec<String> {
    let config = &loaded.config;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let addresses: Vec<String> =
        config.bind_addrs.iter().map(|address| format!("{scheme}://{address}")).collect();
    let file = loaded.file.as_ref().map_or_else(
        || "none, only variables and defaults".to_owned(),
        |file| file.display().to_string(),
    );
    let tls = match &config.tls {
        None => "off".to_owned(),
        Some(
            TlsConfig::Pem { certificate: file, .. } | TlsConfig::Pkcs12 { keystore: file, .. },
        ) => file.display().to_string(),
    };
    let mut lines = vec![
        format!("Configuration: {file}"),
        format!("Address: {}", addresses.join(", ")),
        format!("TLS: {tls}"),
    ];
    let auth = &config.auth;
    let keys = [
        ("Private key", auth.private_key.as_slice()),
        ("Public key", &auth.public_keys),
        ("Revocation list", auth.revocation_list.as_slice()),
    ];
    for (what, paths) in keys {
        lines.extend(paths.iter().map(|path| format!("{what}: {}", path.display())));
    }
    lines.push(format!("Cleanup: every {}", show_duration(config.cleanup_interval)));
    lines.extend(config.caches.iter().map(|(name, cache)| cache_line(name, cache)));
    lines
}

fn cache_line(name: &str, cache: &CacheConfig) -> String {
    let place = match &cache.location {
        CacheLocation::InMemory => "in memory".to_owned(),
        CacheLocation::Filesystem(path) => path.display().to_string(),
    };
    let expiration = cache.cleanup.cache_expiration.map_or_else(
        || "entries do not expire".to_owned(),
        |age| format!("entries expire after {}", show_duration(age)),
    );
    let size = cache.cleanup.max_cache_size.map_or_else(
        || "unlimited size".to_owned(),
        |size| format!("cleaned down to {}", show_size(size)),
    );
    let quota =
        cache.quota.map_or(String::new(), |quota| format!(", never above {}", show_size(quota)));
    format!("Cache {name}: {place}, {expiration}, {size}{quota}")
}
