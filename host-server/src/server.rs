//! The server proper: everything is loaded, listens, and ends in good order.

use crate::caches::Caches;
use crate::cleanup;
use crate::complaints::Complaints;
use crate::config::{AuthConfig, Config, Loaded};
use crate::environment::ServerEnvironment;
use crate::metrics::Metrics;
use crate::service::connection::Acceptor;
use crate::service::{self, Service};
use crate::tls::{Tls, TlsError};
use crate::watched::Change;
use btdt_host_runtime::auth::{self, KeyOrigin, KeyRing, RevocationList};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{Core, CoreError, HostServices, SharedMemory};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often certificates and revocations are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The server with the core that `load` gives for so many instances.
pub struct Server {
    load: fn(u32) -> Result<Core, CoreError>,
}

impl Default for Server {
    fn default() -> Self {
        Server { load: Core::embedded_pooled }
    }
}

impl Server {
    /// A server with another core, for tests.
    #[must_use]
    pub fn with_core(load: fn(u32) -> Result<Core, CoreError>) -> Self {
        Server { load }
    }
}

impl crate::Service for Server {
    fn check(&self, loaded: &Loaded) -> Result<(), String> {
        let keys = &loaded.config.auth;
        if let Some(path) = keys.private_key.as_ref().filter(|path| path.exists()) {
            auth::PrivateKey::read(path).map_err(|error| error.to_string())?;
        }
        public_keys(keys)?;
        revocations(keys)?;
        check_addresses(&loaded.config.bind_addrs)
    }

    fn start(&self, loaded: &Loaded, tls: Option<Tls>) -> Result<(), String> {
        let mut builder = Builder::new_multi_thread();
        builder.max_blocking_threads(service::blocking_threads(&loaded.config.limits));
        let runtime = builder.enable_all().thread_name("btdt-server").build();
        let runtime = runtime.map_err(|error| format!("Could not start threads: {error}"))?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        raise_file_limit();
        let ended = self.run(&runtime, loaded, tls);
        // Threads that still read from a disk that hangs shall not keep the process.
        runtime.shutdown_background();
        ended
    }
}

impl Server {
    fn run(&self, runtime: &Runtime, loaded: &Loaded, tls: Option<Tls>) -> Result<(), String> {
        let config = &loaded.config;
        // First of all: until then, the first process of a container ignores signals.
        let signals = runtime.block_on(async { Signals::new() });
        let mut signals =
            signals.map_err(|error| format!("Could not wait for signals: {error}"))?;
        let (authority, revoked) = authority(&config.auth)?;
        let caches = Arc::new(Caches::open(&config.caches).map_err(|error| error.to_string())?);
        let services = HostServices {
            environment: Arc::new(ServerEnvironment),
            caches: Some(Arc::clone(&caches) as _),
            authority: Some(authority),
            memory: Some(SharedMemory::for_instances_of(
                usize::try_from(config.limits.core_memory).unwrap_or(usize::MAX),
            )),
        };
        let metrics = Arc::new(Metrics::new());
        let service = Service::new(config, Arc::clone(&caches), services, metrics, self.load);
        let service = Arc::new(service.map_err(|error| error.to_string())?);
        let tls = tls.map(Arc::new);
        runtime.block_on(async {
            let listeners = listen(config, tls.is_some()).await?;
            let (stop, stopping) = watch::channel(false);
            let acceptor = Arc::new(Acceptor::new(Arc::clone(&service), tls.clone(), stopping));
            for listener in listeners {
                tokio::spawn(Arc::clone(&acceptor).run(listener));
            }
            tokio::spawn(Arc::clone(&service).tick());
            tokio::spawn(cleanup::run(Arc::clone(&service), caches, config.cleanup_interval));
            tokio::spawn(look(tls, revoked));
            let name = signals.wait().await;
            tracing::info!(signal = name, "Stopping");
            service.stop();
            stop.send_replace(true);
            let finished = tokio::time::timeout(config.shutdown_grace_period, acceptor.finished());
            let in_time = tokio::select! {
                finished = finished => finished.is_ok(),
                // Whoever asks a second time does not want to wait.
                _ = signals.wait() => false,
            };
            if in_time {
                tracing::info!("Stopped");
            } else {
                tracing::warn!("Stopped, and cut off requests that took too long");
            }
            Ok(())
        })
    }
}

/// Takes as many open files as this process may have: each connection is one, and the usual limit
/// of 1,024 is there for programs that use `select`, which this one does not.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "Could not raise the limit of open files");
    }
}

fn authority(config: &AuthConfig) -> Result<(Arc<KeyRing>, Arc<RevocationList>), String> {
    let mut keys = public_keys(config)?;
    if let Some(path) = &config.private_key {
        let (key, origin) = auth::load_or_create(path).map_err(|error| error.to_string())?;
        if origin == KeyOrigin::Created {
            let path = path.display();
            tracing::warn!("There was no private key, so a new one is in {path} now");
        }
        keys.push(key.public());
    }
    let revoked = Arc::new(revocations(config)?);
    let ring = KeyRing::new(keys, Arc::clone(&revoked), Box::new(clock::now));
    Ok((Arc::new(ring), revoked))
}

fn public_keys(config: &AuthConfig) -> Result<Vec<auth::PublicKey>, String> {
    let mut keys = Vec::new();
    for path in &config.public_keys {
        keys.extend(auth::read_public_keys(path).map_err(|error| error.to_string())?);
    }
    Ok(keys)
}

fn revocations(config: &AuthConfig) -> Result<RevocationList, String> {
    match &config.revocation_list {
        None => Ok(RevocationList::empty()),
        Some(path) => RevocationList::load(path).map_err(|error| error.to_string()),
    }
}

/// Whether the names of these addresses are known here. Whether they are free does not matter: the
/// server may be running.
fn check_addresses(addresses: &[String]) -> Result<(), String> {
    for address in addresses {
        let failed = |error: io::Error| format!("Could not listen on {address}: {error}");
        if address.to_socket_addrs().map_err(failed)?.next().is_none() {
            return Err(format!("Could not listen on {address}: it has no address"));
        }
    }
    Ok(())
}

async fn listen(config: &Config, encrypted: bool) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in &config.bind_addrs {
        let failed = |error: io::Error| format!("Could not listen on {address}: {error}");
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let scheme = if encrypted { "https" } else { "http" };
        let url = format!("{scheme}://{bound}");
        tracing::info!(url, "Listening");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Takes over certificates and revocations that have changed, for ever.
async fn look(tls: Option<Arc<Tls>>, revoked: Arc<RevocationList>) {
    let mut looks = Looks::default();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let (tls, revoked) = (tls.clone(), Arc::clone(&revoked));
        // Files may be on a volume that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            let now = clock::instant();
            if let Some(tls) = tls {
                looks.certificate(tls.check(), tls.is_current(), now);
            }
            looks.revocations(revoked.reload(), now);
            looks
        });
        looks = looked.await.unwrap_or_else(|_| {
            tracing::error!("Looking at certificate and revocations failed unexpectedly");
            Looks::default()
        });
    }
}

/// What was said about the files that are looked at.
#[derive(Default)]
struct Looks {
    certificate: Complaints,
    revocations: Complaints,
}

impl Looks {
    fn certificate(&mut self, checked: Result<Change, TlsError>, is_current: bool, now: Instant) {
        match checked {
            Ok(Change::Replaced) => {
                self.certificate.end();
                tracing::info!("Took over a new certificate");
            }
            Ok(Change::None) if is_current && self.certificate.end() => {
                tracing::info!("The certificate can be read again");
            }
            // Files that can be read and are of no use are told only once.
            Ok(Change::None) => {}
            Err(error) => {
                if self.certificate.is_due(&error.to_string(), now) {
                    tracing::error!(%error, "The old certificate stays in use");
                }
            }
        }
    }

    fn revocations<E: std::fmt::Display>(&mut self, loaded: Result<usize, E>, now: Instant) {
        match loaded {
            Ok(entries) if self.revocations.end() => {
                tracing::info!(entries, "The list of revocations can be read again");
            }
            Ok(_) => {}
            Err(error) => {
                if self.revocations.is_due(&error.to_string(), now) {
                    tracing::error!(%error, "The old revocations stay in use");
                }
            }
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal that ends the server; its name.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::logging;
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `log`, without times.
    fn logged(log: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = logging::subscriber(&LogConfig::default(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let message = |line: &str| line.split_once(' ').map(|(_, rest)| rest.to_owned());
        text.lines().filter_map(message).collect()
    }

    #[test]
    fn a_file_that_stays_broken_is_told_once_and_then_hourly() {
        let start = clock::instant();
        let look = |index: u64| start + LOOK_INTERVAL * u32::try_from(index).unwrap_or(u32::MAX);
        let said = logged(|| {
            let mut looks = Looks::default();
            looks.revocations(Ok::<_, io::Error>(2), look(0));
            // Two hours, and a little.
            for index in 1..=2 * 720 + 2 {
                looks.revocations(Err(io::Error::other("gone")), look(index));
            }
            for index in 2000..2010 {
                looks.revocations(Ok::<_, io::Error>(3), look(index));
            }
            looks.revocations(Err(io::Error::other("gone")), look(2010));
        });
        let gone = "ERROR The old revocations stay in use error=gone";
        let back = "INFO  The list of revocations can be read again entries=3";
        assert_eq!(said, [gone, gone, gone, back, gone]);
    }

    #[test]
    fn a_certificate_that_stays_away_is_told_once() {
        let missing = || {
            let error = io::ErrorKind::NotFound.into();
            Err(TlsError::Unreadable { path: "tls.crt".into(), error })
        };
        let now = clock::instant();
        let said = logged(|| {
            let mut looks = Looks::default();
            for _ in 0..3 {
                looks.certificate(missing(), true, now);
            }
            looks.certificate(Ok(Change::None), false, now);
            looks.certificate(Ok(Change::None), true, now);
            looks.certificate(Ok(Change::None), true, now);
            looks.certificate(missing(), true, now);
            looks.certificate(Ok(Change::Replaced), true, now);
        });
        let levels: Vec<&str> = said.iter().map(|line| &line[..5]).collect();
        assert_eq!(levels, ["ERROR", "INFO ", "ERROR", "INFO "], "{said:?}");
    }
}
