//! Sends requests over connections of hyper.

use super::connector::Connector;
use super::hyper_errors::{password_required, unanswered};
use super::hyper_response::HyperResponse;
use super::network_threads::NetworkThreads;
use super::options::{Options, Timeouts};
use super::proxy_settings::ProxySettings;
use super::request_body::RequestBody;
use super::response_stream::ResponseStream;
use super::tls_config::LazyTls;
use crate::clock;
use crate::http_client::{ClientState, Pause, Request, RequestError, Transport, Url};
use btdt_ports::HttpErrorKind;
use hyper::Method;
use hyper::header::{
    AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Idle connections per host: as many as there are ever workers, with some to spare.
const IDLE_CONNECTIONS: usize = 64;

/// For how long an idle connection is kept: less than any usual server keeps it.
const IDLE_TIME: Duration = Duration::from_secs(30);

type HyperClient = Client<Connector, RequestBody>;

/// Threads and connections of the native client.
pub struct HyperTransport {
    state: ClientState,
    proxies: Arc<ProxySettings>,
    timeouts: Timeouts,
    pause: Option<Arc<dyn Pause>>,
    user_agent: String,
    pub(super) network: Arc<NetworkThreads>,
    client: HyperClient,
    /// Makes a connection for each request: a stream cannot be sent again when an idle connection
    /// turns out to have just been closed.
    stream_client: HyperClient,
}

impl HyperTransport {
    pub(super) fn new(options: Options) -> Result<Self, RequestError> {
        let tls = LazyTls::new(&options.root_certificates)?;
        let proxies = Arc::new(ProxySettings::new(&options.proxies));
        let connector = Connector::new(Arc::clone(&proxies), tls, options.timeouts.connect);
        let client = |idle: usize| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIME)
                .pool_max_idle_per_host(idle)
                .build(connector.clone())
        };
        Ok(HyperTransport {
            state: ClientState::new(options.token, options.clock),
            proxies,
            timeouts: options.timeouts,
            pause: options.pause,
            user_agent: options.user_agent,
            network: Arc::default(),
            client: client(IDLE_CONNECTIONS),
            stream_client: client(0),
        })
    }

    /// Sends a request, up to the headers of the response.
    fn send(
        &self,
        client: &HyperClient,
        request: &Request,
        url: &Url,
        body: RequestBody,
    ) -> Result<HyperResponse, RequestError> {
        let proxy = self.proxies.proxy_for(url)?.filter(|_| url.scheme() == "http");
        let progress = body.progress();
        let mut outgoing = hyper::Request::new(body);
        *outgoing.method_mut() = method(request);
        *outgoing.uri_mut() = url.as_str().parse().map_err(|_| {
            RequestError::permanent(HttpErrorKind::Url, "the URL of a request is not valid")
        })?;
        let headers = outgoing.headers_mut();
        self.add_headers(headers, request)?;
        if let Some(authorization) = proxy.as_ref().and_then(|proxy| proxy.authorization.clone()) {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let sent = client.request(outgoing);
        let (url, timeouts) = (url.clone(), self.timeouts);
        let stream = self.network.run(async move {
            match progress.watch(sent, timeouts.idle).await {
                None => Err(RequestError::silence(&url, timeouts.idle)),
                Some(Err(error)) => Err(unanswered(&error, &url)),
                Some(Ok(response)) => Ok(ResponseStream::new(response, url, timeouts)),
            }
        })??;
        match proxy {
            // Requests in plain HTTP are answered by the proxy.
            Some(proxy) if stream.head.status() == 407 => Err(password_required(&proxy.name)),
            _ => Ok(HyperResponse::new(Arc::clone(&self.network), stream)),
        }
    }

    fn add_headers(&self, headers: &mut HeaderMap, request: &Request) -> Result<(), RequestError> {
        let mut add = |name: &str, value: &str, sensitive| {
            let invalid = || RequestError::invalid_header(name);
            let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            value.set_sensitive(sensitive);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            headers.append(name, value);
            Ok(())
        };
        for (name, value) in &request.headers {
            add(name, value, false)?;
        }
        add(USER_AGENT.as_str(), &self.user_agent, false)?;
        match self.state.bearer()? {
            Some(bearer) => add(AUTHORIZATION.as_str(), bearer.as_str(), true),
            None => Ok(()),
        }
    }
}

fn method(request: &Request) -> Method {
    use btdt_ports::Method as Asked;
    match request.method {
        Asked::Get => Method::GET,
        Asked::Head => Method::HEAD,
        Asked::Put => Method::PUT,
        Asked::Post => Method::POST,
        Asked::Delete => Method::DELETE,
    }
}

impl Transport for HyperTransport {
    type Response = HyperResponse;

    fn state(&self) -> &ClientState {
        &self.state
    }

    fn send_once(
        self: &Arc<Self>,
        request: &Request,
        url: &Url,
    ) -> Result<HyperResponse, RequestError> {
        self.send(&self.client, request, url, RequestBody::of_bytes(request.body.clone()))
    }

    fn send_stream(
        self: &Arc<Self>,
        request: &Request,
        body: impl Read + Send + 'static,
    ) -> Result<HyperResponse, RequestError> {
        let (body, control) = RequestBody::of_stream(body)?;
        let response = self.send(&self.stream_client, request, &request.url, body);
        match (response, control.fault.get()) {
            (Ok(response), _) => Ok(response.stopping(control.stop)),
            (Err(_), Some(fault)) => Err(RequestError::unreadable_upload(&request.url, fault)),
            (Err(failure), None) => Err(failure),
        }
    }
}

impl Pause for HyperTransport {
    fn pause(&self, duration: Duration) {
        match &self.pause {
            Some(pause) => pause.pause(duration),
            // Without threads no request is possible either, so a missing pause does no harm.
            None => drop(self.network.run(async move { tokio::time::sleep(duration).await })),
        }
    }

    fn now(&self) -> Instant {
        self.pause.as_ref().map_or_else(clock::instant, |pause| pause.now())
    }
}
