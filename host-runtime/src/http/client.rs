//! What all requests of a remote share: threads, connections, the token.

use super::failures::Failure;
use super::options::{Options, Pause, Timeouts};
use super::proxies::Chooser;
use super::tls;
use crate::clock;
use crate::http_rules::Bearer;
use btdt_ports::{HttpErrorKind, Timestamp, TransferFailure};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Connections only copy; verification and compression happen on the threads of the callers.
const NETWORK_THREADS: usize = 2;

/// Idle connections per host: as many as there are ever workers, with some to spare.
const IDLE_CONNECTIONS: usize = 64;

/// For how long an idle connection is kept: less than any usual server keeps it.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// What all requests of a remote share.
pub(super) struct Shared {
    pub(super) scoped: Bearer,
    pub(super) chooser: Chooser,
    pub(super) timeouts: Timeouts,
    pub(super) clock: fn() -> Timestamp,
    pause: Option<Arc<dyn Pause>>,
    certificates: Vec<CertificateDer<'static>>,
    pub(super) user_agent: String,
    failure: Mutex<Option<TransferFailure>>,
    runtime: OnceLock<Result<Runtime, Failure>>,
    tls: OnceLock<Result<Arc<ClientConfig>, Failure>>,
    /// Without and with TLS: reading the system's certificates takes longer than many requests.
    clients: [OnceLock<Result<Client, Failure>>; 2],
}

impl Shared {
    pub(super) fn new(options: Options) -> Result<Self, Failure> {
        let certificates = tls::certificates(&options.root_certificates)?;
        Ok(Shared {
            scoped: Bearer::new(options.token, options.clock),
            chooser: Chooser::new(&options.proxies),
            timeouts: options.timeouts,
            clock: options.clock,
            pause: options.pause,
            certificates,
            user_agent: options.user_agent,
            failure: Mutex::new(None),
            runtime: OnceLock::new(),
            tls: OnceLock::new(),
            clients: Default::default(),
        })
    }

    /// Runs a future to its end. Not for threads of a runtime, which must not block.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let runtime = self.runtime()?;
        // On the threads of the network, not on this one: then a transfer of many pieces wakes
        // this one only once.
        match runtime.block_on(runtime.spawn(future)) {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Failure::lasting(HttpErrorKind::Interrupted, "it was cancelled")),
            },
        }
    }

    /// The threads of the network, started when they are first needed.
    pub(super) fn runtime(&self) -> Result<&Runtime, Failure> {
        let start = || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(NETWORK_THREADS).thread_name("btdt-network");
            builder.enable_io().enable_time().build().map_err(|error| {
                let detail = format!("no threads for connections can be started: {error}");
                Failure::lasting(HttpErrorKind::Unreachable, detail)
            })
        };
        self.runtime.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    /// The client for a URL; `proxy_tls` where its proxy is spoken to with TLS.
    pub(super) fn client(&self, url: &Url, proxy_tls: bool) -> Result<Client, Failure> {
        let tls = proxy_tls || url.scheme() == "https";
        self.clients[usize::from(tls)].get_or_init(|| self.build(tls)).clone()
    }

    /// How TLS is spoken.
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        self.tls.get_or_init(|| tls::configuration(&self.certificates).map(Arc::new)).clone()
    }

    fn build(&self, tls: bool) -> Result<Client, Failure> {
        let configuration = if tls { ClientConfig::clone(&*self.tls()?) } else { tls::unused()? };
        let builder = Client::builder()
            .tls_backend_preconfigured(configuration)
            .http1_only()
            .user_agent(&self.user_agent)
            .redirect(Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS);
        self.chooser.apply(builder).build().map_err(|error| {
            let detail = format!("connections cannot be made: {error}");
            Failure::lasting(HttpErrorKind::Unreachable, detail)
        })
    }

    /// The value of `Authorization`; `None` where the user has no token.
    pub(super) fn bearer(&self) -> Result<Option<HeaderValue>, Failure> {
        let header = self.scoped.header().map_err(|error| Failure { error, passing: false })?;
        let Some(header) = header else { return Ok(None) };
        let mut header = HeaderValue::from_str(header.as_str())
            .map_err(|_| Failure::invalid_header("authorization"))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// Remembers why a transfer failed.
    pub(super) fn remember(&self, failure: TransferFailure) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Why a transfer failed last.
    pub(super) fn failure(&self) -> Option<TransferFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Pause for Shared {
    fn pause(&self, duration: Duration) {
        match &self.pause {
            Some(pause) => pause.pause(duration),
            // Without threads there is no request either, so that nothing is lost by not waiting.
            None => drop(self.run(async move { tokio::time::sleep(duration).await })),
        }
    }

    fn now(&self) -> Instant {
        self.pause.as_ref().map_or_else(clock::instant, |pause| pause.now())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(Ok(runtime)) = self.runtime.take() {
            // Does not wait for a name server or a peer that does not answer.
            runtime.shutdown_background();
        }
    }
}
