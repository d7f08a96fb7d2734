//! What the host of an [`HttpRemote`](super::HttpRemote) decides.

pub use crate::http_rules::{Pause, TokenSource};

use btdt_ports::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection, with the TLS handshake and a tunnel through a proxy.
    pub connect: Duration,
    /// For the next bytes, in either direction. There is no limit for a whole transfer.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(60) }
    }
}

/// Which proxies are used.
#[derive(Clone, Default)]
pub enum Proxies {
    /// Those that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name, in either case.
    #[default]
    Environment,
    /// Those that are given here.
    Fixed(FixedProxies),
}

/// Proxies with the meaning that the variables of these names have; empty where there is none.
#[derive(Clone, Default)]
pub struct FixedProxies {
    /// URL of the proxy for `http`.
    pub http: String,
    /// URL of the proxy for `https`.
    pub https: String,
    /// Hosts that are asked directly, separated by commas.
    pub no: String,
}

/// How an [`HttpRemote`](super::HttpRemote) is set up.
#[derive(Clone)]
pub struct Options {
    /// Bundles of certificates in PEM that are trusted in addition: all certificates of each.
    pub root_certificates: Vec<Vec<u8>>,
    /// The user's token, if there is one.
    pub token: Option<Arc<dyn TokenSource>>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// What the server is told about this program, for example `btdt/1.0.0`.
    pub user_agent: String,
    /// Which proxies are used.
    pub proxies: Proxies,
    /// Waits between attempts; `None` for really waiting.
    pub pause: Option<Arc<dyn Pause>>,
    /// Tells the time of day, for the age of a derived token and for `Retry-After`.
    pub clock: fn() -> Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            root_certificates: Vec::new(),
            token: None,
            timeouts: Timeouts::default(),
            user_agent: concat!("btdt/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxies: Proxies::default(),
            pause: None,
            clock: crate::clock::now,
        }
    }
}
