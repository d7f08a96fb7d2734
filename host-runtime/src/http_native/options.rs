//! What the host of an [`HttpRemote`](super::HttpRemote) decides.

pub(super) use crate::http_client::{Pause, TokenSource};

use btdt_ports::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection, with the TLS handshake and a tunnel through a proxy.
    pub connect: Duration,
    /// For the next bytes, in either direction. There is no limit for a whole transfer, but after
    /// this time a body has to come at [`MINIMUM_RATE`](crate::http_client::MINIMUM_RATE).
    pub idle: Duration,
    /// For the whole message of a refusal: what has come by then is all of it.
    pub refusal: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            refusal: Duration::from_secs(5),
        }
    }
}

/// Proxies, with the meaning that the variables of these names have; empty where there is none.
#[derive(Clone, Default)]
pub struct Proxies {
    /// URL of the proxy for `http`.
    pub http: String,
    /// URL of the proxy for `https`.
    pub https: String,
    /// What is asked directly: names with all below them, addresses, networks such as
    /// `10.0.0.0/8`, each with `:PORT` if only that is meant, or `*`; separated by commas.
    pub no: String,
}

impl Proxies {
    /// Those that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name, in either case, in
    /// an environment of which `variable` gives the values.
    #[must_use]
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        // There whoever sends a request decides what `HTTP_PROXY` is.
        if variable("REQUEST_METHOD").is_some() {
            return Proxies::default();
        }
        let either = |name: &str| {
            variable(name).or_else(|| variable(&name.to_ascii_lowercase())).unwrap_or_default()
        };
        let or_all = |value: String| if value.is_empty() { either("ALL_PROXY") } else { value };
        Proxies {
            http: or_all(either("HTTP_PROXY")),
            https: or_all(either("HTTPS_PROXY")),
            no: either("NO_PROXY"),
        }
    }
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
    /// Which proxies are used: none, if nothing is said.
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
