//! The server proper: everything is loaded, listens, and ends in good order.

use crate::caches::Caches;
use crate::cleanup;
use crate::config::{AuthConfig, Config, Loaded};
use crate::environment::ServerEnvironment;
use crate::metrics::Metrics;
use crate::service::connection::Acceptor;
use crate::service::{self, Service};
use crate::tls::Tls;
use btdt_host_runtime::auth::{self, KeyOrigin, KeyRing, RevocationList};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{Core, CoreError, Surroundings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::sync::Arc;
use std::time::Duration;
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
        Ok(())
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
        let surroundings = Surroundings {
            environment: Arc::new(ServerEnvironment),
            caches: Some(Arc::clone(&caches) as _),
            authority: Some(authority),
        };
        let metrics = Arc::new(Metrics::new());
        let service = Service::new(config, Arc::clone(&caches), surroundings, metrics, self.load);
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
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let (tls, revoked) = (tls.clone(), Arc::clone(&revoked));
        // Files may be on a volume that hangs.
        let looked = tokio::task::spawn_blocking(move || {
            use crate::watched::Change;
            match tls.map(|tls| tls.check()) {
                Some(Ok(Change::Replaced)) => tracing::info!("Took over a new certificate"),
                Some(Err(error)) => tracing::error!(%error, "The old certificate stays in use"),
                Some(Ok(Change::None)) | None => {}
            }
            if let Err(error) = revoked.reload() {
                tracing::error!(%error, "The old revocations stay in use");
            }
        });
        if looked.await.is_err() {
            tracing::error!("Looking at certificate and revocations failed unexpectedly");
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
