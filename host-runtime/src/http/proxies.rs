//! Which requests go through a proxy.

use super::dial::bare;
use super::failures::Failure;
use super::options::Proxies;
use btdt_ports::HttpErrorKind;
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderValue;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

/// The proxies of a client. reqwest decides by the same rules; here they are asked for what only
/// they know: which proxy it is that failed.
pub(super) struct Chooser {
    proxies: Proxies,
    matcher: Matcher,
}

impl Chooser {
    pub(super) fn new(proxies: Proxies) -> Self {
        let matcher = match &proxies {
            Proxies::Environment => Matcher::from_system(),
            Proxies::Fixed(fixed) => Matcher::builder()
                .http(fixed.http.clone())
                .https(fixed.https.clone())
                .no(fixed.no.clone())
                .build(),
        };
        Chooser { proxies, matcher }
    }

    /// The proxy for a URL, without its password; `None` for a direct connection.
    pub(super) fn proxy_for(&self, url: &Url) -> Result<Option<ChosenProxy>, Failure> {
        let chosen = url.as_str().parse::<Uri>().ok().and_then(|uri| self.matcher.intercept(&uri));
        let Some(chosen) = chosen else { return Ok(None) };
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
    pub(super) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
        let Proxies::Fixed(fixed) = &self.proxies else { return Ok(builder) };
        let mut builder = builder.no_proxy();
        let exceptions = || NoProxy::from_string(&fixed.no);
        type Make = fn(&str) -> reqwest::Result<Proxy>;
        let schemes: [(&String, Make); 2] =
            [(&fixed.http, |url| Proxy::http(url)), (&fixed.https, |url| Proxy::https(url))];
        for (url, make) in schemes.into_iter().filter(|(url, _)| !url.is_empty()) {
            let proxy = make(url).map_err(|_| {
                // The URL may contain a password.
                Failure::lasting(HttpErrorKind::Proxy, "the URL of the proxy is not valid")
            })?;
            builder = builder.proxy(proxy.no_proxy(exceptions()));
        }
        Ok(builder)
    }
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
