//! Which requests go through which proxy.

use super::options::Proxies;
use crate::http_client::{RequestError, Url};
use btdt_ports::HttpErrorKind;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use std::net::IpAddr;

/// The proxies of a client.
pub(super) struct ProxySettings {
    http: Setting,
    https: Setting,
    exceptions: Exceptions,
}

/// The meaning of a variable.
enum Setting {
    Direct,
    Proxy(ChosenProxy),
    /// One of SOCKS, which is not supported: its `HOST:PORT`.
    Socks(String),
    /// Not the URL of a proxy. To connect directly might be what the user wants to prevent.
    Unusable,
}

/// The proxy that a request goes through.
#[derive(Clone)]
pub(super) struct ChosenProxy {
    /// `HOST:PORT`.
    pub(super) name: String,
    /// Without name and password.
    pub(super) uri: Uri,
    /// The value of `Proxy-Authorization`, if there is a password.
    pub(super) authorization: Option<HeaderValue>,
}

impl Setting {
    fn parse(value: &str) -> Self {
        let value = value.trim();
        if value.is_empty() {
            return Setting::Direct;
        }
        let whole =
            if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        // The library accepts more than is the URL of a proxy.
        let url = Url::parse(&whole).ok().filter(Url::has_host);
        let matcher = url.map(|url| Matcher::builder().all(String::from(url)).build());
        let any = Uri::from_static("http://any.invalid");
        let Some(chosen) = matcher.and_then(|matcher| matcher.intercept(&any)) else {
            return Setting::Unusable;
        };
        let uri = chosen.uri().clone();
        let name = uri.authority().map(ToString::to_string).unwrap_or_default();
        if uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks")) {
            return Setting::Socks(name);
        }
        Setting::Proxy(ChosenProxy { name, uri, authorization: chosen.basic_auth().cloned() })
    }
}

impl ProxySettings {
    pub(super) fn new(proxies: &Proxies) -> Self {
        ProxySettings {
            http: Setting::parse(&proxies.http),
            https: Setting::parse(&proxies.https),
            exceptions: Exceptions::parse(&proxies.no),
        }
    }

    /// The proxy for a URL; `None` for a direct connection.
    pub(super) fn proxy_for(&self, url: &Url) -> Result<Option<ChosenProxy>, RequestError> {
        let setting = if url.scheme() == "https" { &self.https } else { &self.http };
        let detail = match setting {
            Setting::Direct => return Ok(None),
            _ if self.exceptions.contain(url) => return Ok(None),
            Setting::Proxy(proxy) => return Ok(Some(proxy.clone())),
            Setting::Socks(name) => {
                format!("the proxy {name} is one of SOCKS, and only those of HTTP are supported")
            }
            Setting::Unusable => format!(
                "the variable {}_PROXY or ALL_PROXY is set to something that is not the URL of a \
                 proxy, which would be http://HOST:PORT",
                url.scheme().to_ascii_uppercase()
            ),
        };
        Err(RequestError::permanent(HttpErrorKind::Proxy, detail))
    }
}

/// The entries of `NO_PROXY`.
struct Exceptions {
    all: bool,
    /// The port that an entry is for, if it names one, and a matcher that finds no proxy for the
    /// hosts of the entry.
    some: Vec<(Option<u16>, Matcher)>,
}

impl Exceptions {
    fn parse(list: &str) -> Self {
        let mut exceptions = Exceptions { all: false, some: Vec::new() };
        let separator = |c: char| c == ',' || c.is_whitespace();
        for entry in list.split(separator).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                exceptions.all = true;
                continue;
            }
            let (host, port) = split_port(entry);
            // With or without a dot or an asterisk, a name stands for itself and its subdomains.
            let host =
                host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let host = host.trim_start_matches('*').trim_end_matches('.');
            let matcher = Matcher::builder().all("http://proxy.invalid").no(host.to_owned());
            exceptions.some.push((port, matcher.build()));
        }
        exceptions
    }

    fn contain(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let Ok(uri) = format!("http://{host}/").parse::<Uri>() else { return self.all };
        let matches = |(only, hosts): &(Option<u16>, Matcher)| {
            (only.is_none() || *only == port) && hosts.intercept(&uri).is_none()
        };
        self.all || self.some.iter().any(matches)
    }
}

/// An entry without its port, if it has one.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    // An address of IPv6 has a port only behind brackets.
    if entry.parse::<IpAddr>().is_err()
        && let Some((host, port)) = entry.rsplit_once(':')
        && let Ok(port) = port.parse()
    {
        return (host, Some(port));
    }
    (entry, None)
}
