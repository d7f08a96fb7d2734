//! The checked configuration, its keys and their defaults.

use crate::secret::Secret;
use crate::values;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Everything that can be configured. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Addresses to listen on, each `HOST:PORT`; at least one.
    #[serde(deserialize_with = "values::addresses")]
    pub bind_addrs: Vec<String>,
    /// Whether `/docs` and `/api/openapi.json` are served.
    #[serde(deserialize_with = "values::switch")]
    pub enable_api_docs: bool,
    /// Whether `/metrics` is served.
    #[serde(deserialize_with = "values::switch")]
    pub enable_metrics: bool,
    /// How long a shutdown waits for running requests.
    #[serde(deserialize_with = "values::duration")]
    pub shutdown_grace_period: Duration,
    /// What clients may use.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Certificate and key; without them, connections are not encrypted.
    #[serde(skip)]
    pub tls: Option<TlsConfig>,
    /// What tokens are verified with.
    #[serde(skip)]
    pub auth: AuthConfig,
    /// Time from one cleanup to the next.
    #[serde(skip)]
    pub cleanup_interval: Duration,
    /// The caches, by their names in URLs.
    #[serde(skip)]
    pub caches: BTreeMap<String, CacheConfig>,
}

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What deserves attention but does not stop the server, one sentence each.
    pub warnings: Vec<String>,
}

/// Where certificate and private key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// Two PEM files.
    Pem {
        /// The server's certificate, followed by its chain.
        certificate: PathBuf,
        /// PKCS#8, PKCS#1 or SEC1, not encrypted.
        private_key: PathBuf,
    },
    /// A PKCS#12 file with both.
    Pkcs12 {
        /// The file.
        keystore: PathBuf,
        /// The password that it is encrypted with.
        password: Secret,
    },
}

/// What tokens are verified with: a private key, public keys, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// File of the private key, whose public key accepts tokens; created if it is missing.
    pub private_key: Option<PathBuf>,
    /// Files of further public keys that accept tokens.
    pub public_keys: Vec<PathBuf>,
    /// File with the ids of revoked tokens.
    pub revocation_list: Option<PathBuf>,
}

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Where it is.
    pub location: CacheLocation,
    /// What a cleanup removes: the cache's own values, or else those of `[cleanup]`.
    pub cleanup: CleanupConfig,
    /// Stores that would make the cache larger than this are refused.
    pub quota: Option<u64>,
}

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheLocation {
    /// In memory; lost when the server stops.
    InMemory,
    /// In this directory.
    Filesystem(PathBuf),
}

/// What a cleanup removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupConfig {
    /// Entries that were not used for longer than this; `None` keeps them forever.
    pub cache_expiration: Option<Duration>,
    /// Entries, least recently used first, until the cache is no larger than this; `None` is
    /// unlimited.
    pub max_cache_size: Option<u64>,
    /// How long unreferenced data is kept before it is deleted for good.
    pub grace_period: Duration,
}

/// What clients may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest body of a request that stores an archive.
    #[serde(deserialize_with = "values::nonzero_size")]
    pub max_body_size: u64,
    /// Largest manifest.
    #[serde(deserialize_with = "values::nonzero_size")]
    pub max_manifest_size: u64,
    /// Largest head of a request: its first line and all headers.
    #[serde(deserialize_with = "values::header_size")]
    pub max_header_size: u64,
    /// How long the head of a request may take to arrive.
    #[serde(deserialize_with = "values::timeout")]
    pub header_timeout: Duration,
    /// How long the body of a request or a response may make no progress.
    #[serde(deserialize_with = "values::timeout")]
    pub body_timeout: Duration,
    /// How long a whole request may take.
    #[serde(deserialize_with = "values::timeout")]
    pub request_timeout: Duration,
    /// How long a connection may be open without a request.
    #[serde(deserialize_with = "values::timeout")]
    pub idle_timeout: Duration,
    /// Concurrent connections.
    #[serde(deserialize_with = "values::connections")]
    pub max_connections: u32,
    /// Archives that are sent or received concurrently.
    #[serde(deserialize_with = "values::transfers")]
    pub max_transfers: u32,
    /// Memory of one instance of the core.
    #[serde(deserialize_with = "values::core_memory")]
    pub core_memory: u64,
    /// How long the core may take to decide about a request.
    #[serde(deserialize_with = "values::timeout")]
    pub core_deadline: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// The form of a line.
    #[serde(deserialize_with = "values::word")]
    pub format: LogFormat,
    /// The least important lines that are written.
    #[serde(deserialize_with = "values::word")]
    pub level: LogLevel,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object a line
    Json,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed that should not.
    Error,
    /// Something needs attention.
    Warn,
    /// What the server does.
    #[default]
    Info,
    /// Details for finding a fault.
    Debug,
    /// Everything.
    Trace,
}

impl Default for CleanupConfig {
    fn default() -> Self {
        CleanupConfig {
            cache_expiration: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            max_cache_size: Some(50 << 30),
            grace_period: Duration::from_secs(60 * 60),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_body_size: 64 << 30,
            max_manifest_size: 64 * MIB,
            max_header_size: 32 << 10,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(6 * 60 * 60),
            idle_timeout: Duration::from_secs(75),
            max_connections: 4096,
            max_transfers: 64,
            core_memory: 256 * MIB,
            core_deadline: Duration::from_secs(30),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bind_addrs: vec!["0.0.0.0:8707".to_owned()],
            enable_api_docs: true,
            enable_metrics: true,
            // Kubernetes kills after 30 s.
            shutdown_grace_period: Duration::from_secs(25),
            limits: Limits::default(),
            log: LogConfig::default(),
            tls: None,
            auth: AuthConfig::default(),
            cleanup_interval: Duration::from_secs(10 * 60),
            caches: BTreeMap::new(),
        }
    }
}
