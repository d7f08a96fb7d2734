//! Which requests go through a proxy.

use super::dial::bare;
use super::failures::Failure;
use super::options::Proxies;
use btdt_ports::HttpErrorKind;
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderValue;
use reqwest::{ClientBuilder, Proxy, Url};
use std::net::IpAddr;
use std::sync::Arc;

/// The proxies of a client. The library is told what is decided here; it does not decide itself,
/// because it passes over what it does not understand.
pub(super) struct Chooser {
    rules: Arc<Rules>,
    /// Knows passwords.
    matcher: Matcher,
}

struct Rules {
    http: Setting,
    https: Setting,
    exceptions: Exceptions,
}

/// What a variable says.
enum Setting {
    Direct,
    Proxy(Url),
    /// Not the URL of a proxy. Going on without one might be what somebody wants to prevent.
    Unusable,
}

impl Setting {
    fn of(value: &str) -> Self {
        const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
        let value = value.trim();
        if value.is_empty() {
            return Setting::Direct;
        }
        let whole =
            if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        match Url::parse(&whole) {
            Ok(url) if url.has_host() && SCHEMES.contains(&url.scheme()) => Setting::Proxy(url),
            _ => Setting::Unusable,
        }
    }

    fn url(&self) -> &str {
        if let Setting::Proxy(url) = self { url.as_str() } else { "" }
    }
}

impl Rules {
    fn setting(&self, url: &Url) -> &Setting {
        if self.exceptions.contain(url) {
            return &Setting::Direct;
        }
        if url.scheme() == "https" { &self.https } else { &self.http }
    }
}

impl Chooser {
    pub(super) fn new(proxies: &Proxies) -> Self {
        let rules = Rules {
            http: Setting::of(&proxies.http),
            https: Setting::of(&proxies.https),
            exceptions: Exceptions::new(&proxies.no),
        };
        let matcher = Matcher::builder()
            .http(rules.http.url().to_owned())
            .https(rules.https.url().to_owned())
            .build();
        Chooser { rules: Arc::new(rules), matcher }
    }

    /// The proxy for a URL, without its password; `None` for a direct connection.
    pub(super) fn proxy_for(&self, url: &Url) -> Result<Option<ChosenProxy>, Failure> {
        if matches!(self.rules.setting(url), Setting::Direct) {
            return Ok(None);
        }
        let chosen = uri(url).and_then(|uri| self.matcher.intercept(&uri));
        let Some(chosen) = chosen else {
            let detail = format!(
                "the variable {}_PROXY or ALL_PROXY is set to something that is not the URL of a \
                 proxy, which would be http://HOST:PORT",
                url.scheme().to_ascii_uppercase()
            );
            return Err(Failure::lasting(HttpErrorKind::Proxy, detail));
        };
        let uri = chosen.uri();
        let scheme = uri.scheme_str().unwrap_or("http");
        let name = uri.authority().map(ToString::to_string).unwrap_or_default();
        if scheme.starts_with("socks") {
            let detail =
                format!("the proxy {name} is one of SOCKS, and only those of HTTP are supported");
            return Err(Failure::lasting(HttpErrorKind::Proxy, detail));
        }
        let tls = scheme == "https";
        let host = bare(uri.host().unwrap_or_default()).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Some(ChosenProxy { name, tls, host, port, authorization: chosen.basic_auth().cloned() }))
    }

    /// Makes a client use these proxies.
    pub(super) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        let rules = Arc::clone(&self.rules);
        builder.no_proxy().proxy(Proxy::custom(move |url| match rules.setting(url) {
            Setting::Proxy(proxy) => Some(proxy.clone()),
            // Where it is unusable, nothing is asked for in the first place.
            Setting::Direct | Setting::Unusable => None,
        }))
    }
}

fn uri(url: &Url) -> Option<Uri> {
    url.as_str().parse().ok()
}

/// What is asked directly: the entries of `NO_PROXY`.
#[derive(Default)]
struct Exceptions {
    all: bool,
    /// A port, if only that is meant, and what knows the hosts: it finds no proxy for them.
    some: Vec<(Option<u16>, Matcher)>,
}

impl Exceptions {
    fn new(list: &str) -> Self {
        let mut exceptions = Exceptions::default();
        let separator = |c: char| c == ',' || c.is_whitespace();
        for entry in list.split(separator).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                exceptions.all = true;
                continue;
            }
            let (host, port) = host_and_port(entry);
            // With or without a dot or an asterisk, a name stands for itself and all below it.
            let host = bare(host).trim_start_matches('*').trim_end_matches('.');
            let matcher = Matcher::builder().all("http://proxy.invalid").no(host.to_owned());
            exceptions.some.push((port, matcher.build()));
        }
        exceptions
    }

    fn contain(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let mut plain = url.clone();
        if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')) {
            // Fails only for URLs that have no host.
            let _ = plain.set_host(Some(host));
        }
        let Some(uri) = uri(&plain) else { return false };
        let meant = |(only, hosts): &(Option<u16>, Matcher)| {
            (only.is_none() || *only == port) && hosts.intercept(&uri).is_none()
        };
        self.all || self.some.iter().any(meant)
    }
}

/// An entry without its port, if it has one.
fn host_and_port(entry: &str) -> (&str, Option<u16>) {
    // An address of IPv6 has a port only behind brackets.
    if entry.parse::<IpAddr>().is_err()
        && let Some((host, port)) = entry.rsplit_once(':')
        && let Ok(port) = port.parse()
    {
        return (host, Some(port));
    }
    (entry, None)
}

/// The proxy that a request goes through.
pub(super) struct ChosenProxy {
    /// `HOST:PORT`.
    pub(super) name: String,
    /// Whether it is spoken to with TLS.
    pub(super) tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`, if it wants one.
    pub(super) authorization: Option<HeaderValue>,
}
