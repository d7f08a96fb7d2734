//! The configuration of the servers: from a TOML file and environment variables to one checked
//! [`Config`].
//!
//! `btdt-server` ([`load`]) and the WASI server ([`load_on_wasi`]) share the keys and the messages.
//! Variables replace values of the file, and defaults fill in the rest. All mistakes are reported
//! at once, each with the line or the variable that it comes from.
//!
//! A key is a field in `config` or, if it is checked together with others, in `unchecked_keys`.
//! `values` parses the values, `known_keys` finds unknown keys, `checks` does the rest.

mod checks;
mod config;
mod field_names;
mod known_keys;
mod problem;
mod secret;
mod sources;
mod suggest;
mod summary;
mod unchecked_keys;
mod values;
mod variables;
mod wasi;

pub use checks::Files;
pub use config::{
    AuthConfig, CacheConfig, CacheLocation, CleanupConfig, Config, Limits, Loaded, LogConfig,
    LogFormat, LogLevel, TlsConfig,
};
pub use problem::ConfigError;
pub use secret::Secret;
pub use sources::{Sources, load};
pub use summary::summary;
pub use wasi::load_on_wasi;
