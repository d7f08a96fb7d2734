//! Makes connections: TCP, through a proxy where one is set, and TLS.

use super::hyper_errors::{is_time_out, not_connected, proxy_failed};
use super::proxy_settings::{ChosenProxy, ProxySettings};
use super::server_stream::ServerStream;
use super::tls_config::LazyTls;
use crate::http_client::{RequestError, Url};
use btdt_ports::HttpErrorKind;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_rustls::TlsConnector;
use tower_service::Service;

/// After so long without traffic, the system asks whether the server is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// So many probes without an answer mean that the server is gone.
const KEEP_ALIVE_RETRIES: u32 = 3;

/// What is sent has to be acknowledged within this time, or the server is gone: sooner than any time
/// without data would tell.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;
type Connecting<E> = Pin<Box<dyn Future<Output = Result<TokioIo<ServerStream>, E>> + Send>>;

/// Connects to servers, directly or through a proxy.
#[derive(Clone)]
pub(super) struct Connector {
    direct: DirectConnector,
    proxies: Arc<ProxySettings>,
    /// For everything up to the end of the last TLS handshake.
    limit: Duration,
}

impl Connector {
    pub(super) fn new(proxies: Arc<ProxySettings>, tls: LazyTls, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE));
        tcp.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let direct = DirectConnector { tcp, tls: Arc::new(tls) };
        Connector { direct, proxies, limit }
    }

    async fn connect(self, target: Uri) -> Result<TokioIo<ServerStream>, RequestError> {
        let url: Url = target.to_string().parse().map_err(|_| {
            RequestError::permanent(HttpErrorKind::Url, "the URL of a request is not valid")
        })?;
        let proxy = self.proxies.proxy_for(&url)?;
        let connecting = async {
            match &proxy {
                None => {
                    self.direct.connect(target).await.map_err(|error| match is_time_out(&*error) {
                        true => RequestError::slow_connection(&url, self.limit),
                        false => not_connected(&*error, &url, None),
                    })
                }
                Some(proxy) => self.through(proxy, target, &url).await,
            }
        };
        match (tokio::time::timeout(self.limit, connecting).await, &proxy) {
            (Ok(connected), _) => connected,
            (Err(_), Some(proxy)) => Err(proxy_failed(&url, &proxy.name, "operation timed out")),
            (Err(_), None) => Err(RequestError::slow_connection(&url, self.limit)),
        }
    }

    async fn through(
        &self,
        proxy: &ChosenProxy,
        target: Uri,
        url: &Url,
    ) -> Result<TokioIo<ServerStream>, RequestError> {
        let failed = |error: &(dyn Error + 'static)| not_connected(error, url, Some(proxy));
        if url.scheme() == "http" {
            let connected = self.direct.connect(proxy.uri.clone()).await;
            let mut stream = connected.map_err(|error| failed(&*error))?;
            stream.inner_mut().is_proxied = true;
            return Ok(stream);
        }
        let mut tunnel = Tunnel::new(proxy.uri.clone(), self.direct.clone());
        if let Some(authorization) = &proxy.authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let stream = tunnel.call(target.clone()).await.map_err(|error| failed(&error))?;
        // The proxy is not to blame for what fails from here on.
        let secured = self.direct.secure(stream.into_inner(), &target).await;
        secured.map_err(|error| not_connected(&*error, url, None))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ServerStream>;
    type Error = RequestError;
    type Future = Connecting<RequestError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RequestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        Box::pin(self.clone().connect(target))
    }
}

/// Connects to the host of a URL itself, with TLS for `https`.
#[derive(Clone)]
struct DirectConnector {
    tcp: HttpConnector,
    tls: Arc<LazyTls>,
}

impl DirectConnector {
    async fn connect(&self, uri: Uri) -> Result<TokioIo<ServerStream>, BoxError> {
        let stream = self.tcp.clone().call(uri.clone()).await?;
        let stream = ServerStream::new(stream.into_inner());
        match uri.scheme_str() {
            Some("https") => self.secure(stream, &uri).await,
            _ => Ok(TokioIo::new(stream)),
        }
    }

    /// TLS with the host of `uri` over a connection.
    async fn secure(
        &self,
        stream: ServerStream,
        uri: &Uri,
    ) -> Result<TokioIo<ServerStream>, BoxError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let detail = format!("{host} is not a valid host name");
            RequestError::permanent(HttpErrorKind::Url, detail)
        })?;
        let stream = TlsConnector::from(self.tls.config()?).connect(name, stream).await?;
        Ok(TokioIo::new(ServerStream::new(stream)))
    }
}

impl Service<Uri> for DirectConnector {
    type Response = TokioIo<ServerStream>;
    type Error = BoxError;
    type Future = Connecting<BoxError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await })
    }
}
