//! The life of the server: loads everything, listens, and shuts down in an orderly way.

use crate::admission;
use crate::caches::Caches;
use crate::cleanup;
use crate::config::{AuthConfig, Config, Loaded};
use crate::environment::ServerEnvironment;
use crate::http_server::connection::Acceptor;
use crate::reload;
use crate::service::Service;
use crate::tls::Tls;
use btdt_host_runtime::auth::{self, KeyOrigin, KeyRing, RevocationList};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{Core, CoreError, HostServices, SharedMemory};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The server, with the core that `load` gives for a number of instances.
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

    /// Loads what [`start`](Server::start) would beyond configuration and TLS, such as keys, and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// Why the server would not start.
    pub(crate) fn check(&self, loaded: &Loaded) -> Result<(), String> {
        let keys = &loaded.config.auth;
        if let Some(path) = keys.private_key.as_ref().filter(|path| path.exists()) {
            auth::PrivateKey::read(path).map_err(|error| error.to_string())?;
        }
        public_keys(keys)?;
        revocations(keys)?;
        check_addresses(&loaded.config.bind_addrs)
    }

    /// Runs until a signal ends it. The log has to be set up.
    ///
    /// # Errors
    /// Why the server did not start, or had to stop.
    pub(crate) fn start(&self, loaded: &Loaded, tls: Option<Tls>) -> Result<(), String> {
        let mut builder = Builder::new_multi_thread();
        builder.max_blocking_threads(admission::blocking_threads(&loaded.config.limits));
        let runtime = builder.enable_all().thread_name("btdt-server").build();
        let runtime = runtime.map_err(|error| format!("Could not start threads: {error}"))?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        raise_file_limit();
        let ended = self.run(&runtime, loaded, tls);
        // Threads that still read from a disk that hangs must not keep the process alive.
        runtime.shutdown_background();
        ended
    }

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
        let service = Service::new(config, caches, services, self.load);
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
            tokio::spawn(cleanup::run(Arc::clone(&service), config.cleanup_interval));
            tokio::spawn(reload::run(tls, revoked));
            let name = signals.wait().await;
            tracing::info!(signal = name, "Stopping");
            service.stop();
            stop.send_replace(true);
            let closed = service.admission.connections_closed();
            let closed = tokio::time::timeout(config.shutdown_grace_period, closed);
            let in_time = tokio::select! {
                closed = closed => closed.is_ok(),
                // A second signal ends the wait.
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

/// Raises the limit of open files as far as allowed: each connection is one, and the usual limit of
/// 1,024 is there for programs that use `select`, which this one does not.
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

/// Checks that these addresses resolve. They need not be free: the server may be running.
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
