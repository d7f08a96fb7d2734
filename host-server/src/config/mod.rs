//! The configuration: from a file and the environment to one checked, plain [`Config`].
//!
//! A TOML file gives the values, variables of the environment replace some of them, and defaults
//! fill the rest ([`sources`] reads, [`settings`] knows the keys). Everything that is wrong is
//! reported at once, each with the file and line, or the variable, that it comes from.

mod checks;
mod error;
mod node;
mod report;
mod secret;
mod section;
mod settings;
mod sources;
mod values;

pub use checks::{Files, SystemFiles, create_cache_directories};
pub use error::{ConfigError, Problem};
pub use node::Origin;
pub use report::summary;
pub use secret::Secret;
pub use sources::Sources;

use btdt_host_runtime::server_common;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// All that the server can be told, checked. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to listen on, each `HOST:PORT`; at least one.
    pub bind_addrs: Vec<String>,
    /// Whether `/docs` and `/api/openapi.json` are served.
    pub enable_api_docs: bool,
    /// Whether `/metrics` is served.
    pub enable_metrics: bool,
    /// Certificate and key; without them, connections are not encrypted.
    pub tls: Option<TlsConfig>,
    /// What tokens are checked with.
    pub auth: AuthConfig,
    /// Time from one cleanup to the next.
    pub cleanup_interval: Duration,
    /// The caches, by their names in URLs.
    pub caches: BTreeMap<String, CacheConfig>,
    /// What clients may take up.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: LogConfig,
    /// How long a shutdown waits for requests that are running.
    pub shutdown_grace_period: Duration,
}

/// Where certificate and private key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// Two PEM files.
    Pem {
        /// The certificate of the server first, then those that lead to its root.
        certificate: PathBuf,
        /// PKCS#8, PKCS#1 or SEC1, not encrypted.
        private_key: PathBuf,
    },
    /// A PKCS#12 file with both.
    Pkcs12 {
        /// The file.
        keystore: PathBuf,
        /// What it is encrypted with.
        password: Secret,
    },
}

/// What tokens are checked with: a private key, public keys, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// File of the private key, whose public key accepts tokens; created if it is missing.
    pub private_key: Option<PathBuf>,
    /// Files of further public keys that accept tokens.
    pub public_keys: Vec<PathBuf>,
    /// File of the ids of revoked tokens.
    pub revocation_list: Option<PathBuf>,
}

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Where it is.
    pub location: CacheLocation,
    /// What a cleanup removes: its own values, else those of `[cleanup]`.
    pub cleanup: CleanupConfig,
    /// Stores that would make it larger than this are refused.
    pub quota: Option<u64>,
}

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheLocation {
    /// In memory; gone when the server stops.
    InMemory,
    /// In this directory.
    Filesystem(PathBuf),
}

/// What a cleanup removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupConfig {
    /// Entries that were not used for longer than this; `None` keeps them for ever.
    pub cache_expiration: Option<Duration>,
    /// Entries, least recently used first, until the cache is not larger than this; `None` is
    /// without limit.
    pub max_cache_size: Option<u64>,
    /// How long data that nothing refers to any more is kept before it is deleted for good.
    pub grace_period: Duration,
}

/// What clients may take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest body of a request that stores an archive.
    pub max_body_size: u64,
    /// Largest manifest.
    pub max_manifest_size: u64,
    /// Largest head of a request: its first line and all headers.
    pub max_header_size: u64,
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long a body, of a request or of an answer, may not move at all.
    pub body_timeout: Duration,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// Connections at the same time.
    pub max_connections: u32,
    /// Archives that are sent or received at the same time.
    pub max_transfers: u32,
    /// Memory of one instance of the core.
    pub core_memory: u64,
    /// How long the core may take to decide about a request.
    pub core_deadline: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important lines that are written.
    pub level: LogLevel,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object a line
    Json,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
            max_body_size: server_common::MAX_BODY_SIZE,
            max_manifest_size: server_common::MAX_MANIFEST_SIZE,
            max_header_size: server_common::MAX_HEADER_SIZE,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(6 * 60 * 60),
            idle_timeout: Duration::from_secs(75),
            max_connections: 4096,
            max_transfers: 64,
            core_memory: 256 << 20,
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
            tls: None,
            auth: AuthConfig::default(),
            cleanup_interval: Duration::from_secs(10 * 60),
            caches: BTreeMap::new(),
            limits: Limits::default(),
            log: LogConfig::default(),
            // Below the 30 s after which Kubernetes kills.
            shutdown_grace_period: Duration::from_secs(25),
        }
    }
}

/// A configuration, and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    /// What does not stop the server but deserves attention, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads and checks the configuration.
///
/// # Errors
/// Everything that is wrong with it, including files and directories that it names and that
/// cannot be used.
pub fn load(sources: &Sources, files: &dyn Files) -> Result<Loaded, ConfigError> {
    let read = sources.read()?;
    let problems = section::Problems::default();
    let config = settings::build(read.root, &problems, files);
    let mut warnings = read.warnings;
    warnings.extend(problems.finish()?);
    if config.caches.is_empty() {
        warnings.push("No caches are configured, so that there is nothing to serve".to_owned());
    }
    Ok(Loaded { config, file: read.file, warnings })
}
