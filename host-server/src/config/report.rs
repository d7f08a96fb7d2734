//! What was configured, in a few lines.

use super::{CacheConfig, CacheLocation, Loaded, TlsConfig};
use btdt_host_runtime::units::{show_duration, show_size};

/// What was loaded, for people: a line for each thing that matters. No secrets.
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
    let mut lines =
        vec![format!("Configuration: {file}"), format!("Address: {}", addresses.join(", "))];
    lines.push(match &config.tls {
        None => "TLS: off".to_owned(),
        Some(TlsConfig::Pem { certificate, .. }) => format!("TLS: {}", certificate.display()),
        Some(TlsConfig::Pkcs12 { keystore, .. }) => format!("TLS: {}", keystore.display()),
    });
    let auth = &config.auth;
    lines.extend(auth.private_key.iter().map(|path| format!("Private key: {}", path.display())));
    lines.extend(auth.public_keys.iter().map(|path| format!("Public key: {}", path.display())));
    lines.extend(
        auth.revocation_list.iter().map(|path| format!("Revocation list: {}", path.display())),
    );
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
