//! What all requests share: the core, the caches, the limits, the metrics and the admission.

use crate::admission::{self, Admission, Permit, Saturated};
use crate::caches::Caches;
use crate::config::{Config, Limits};
use crate::metrics::Metrics;
use btdt_host_runtime::archive::ReadAhead;
use btdt_host_runtime::engine::server::Settings;
use btdt_host_runtime::engine::{self, Core, CoreError, HostServices, MemoryFault, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the clock of the core's deadlines ticks.
const TICK: Duration = Duration::from_millis(10);

/// Chunks that all outgoing archives together read ahead: in both forms up to 8 MiB, mostly 2.
/// One alone takes 5.
const READ_AHEAD: usize = 8;

/// The service as it runs.
pub(crate) struct Service {
    core: Core,
    services: HostServices,
    /// What the core has to know of the configuration.
    pub(crate) settings: Settings,
    pub(crate) caches: Arc<Caches>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) read_ahead: Arc<ReadAhead>,
    /// Notified of the first instance of the core after a rest.
    first_instance: Notify,
    stopping: AtomicBool,
}

/// Why the core did not decide.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Too much is going on.
    Saturated,
    /// The request takes more memory than any may have.
    TooLarge,
    /// The core trapped, or its thread panicked.
    Broken(String),
}

impl From<Saturated> for Unanswered {
    fn from(_: Saturated) -> Self {
        Unanswered::Saturated
    }
}

impl Service {
    /// A service for these caches, with the core that `load` gives for so many instances.
    pub(crate) fn new(
        config: &Config,
        caches: Arc<Caches>,
        services: HostServices,
        load: impl FnOnce(u32) -> Result<Core, CoreError>,
    ) -> Result<Self, CoreError> {
        Ok(Service {
            core: load(admission::instances(&config.limits))?,
            services,
            settings: Settings {
                api_docs: config.enable_api_docs,
                metrics: config.enable_metrics,
                max_manifest: config.limits.max_manifest_size,
            },
            caches,
            limits: config.limits.clone(),
            metrics: Arc::new(Metrics::new()),
            admission: Arc::new(Admission::new(&config.limits)),
            read_ahead: Arc::new(ReadAhead::new(READ_AHEAD)),
            first_instance: Notify::new(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Moves the core's deadlines on while any instance runs. Never ends; an idle server sleeps.
    pub(crate) async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.metrics.instances.get() == 0 {
                self.first_instance.notified().await;
            }
            interval.tick().await;
            self.core.tick();
        }
    }

    /// Tells clients from now on that the server is about to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// An identifier for a request.
    pub(crate) fn random(&self) -> u64 {
        self.services.environment.random()
    }

    /// Calls the core with the limits of a request. Blocks; the caller has a permit for it.
    pub(crate) fn call<T>(
        &self,
        call: impl FnOnce(Session) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let _running = RunningInstance::begin(self);
        let ticks = self.limits.core_deadline.as_millis() / TICK.as_millis();
        let limits = engine::Limits {
            memory: usize::try_from(self.limits.core_memory).unwrap_or(usize::MAX),
            ticks: u64::try_from(ticks).unwrap_or(u64::MAX).max(1),
        };
        self.core.limited_session(self.services.clone(), limits).and_then(call)
    }

    /// An instance for a cleanup, without limits. Blocks.
    pub(crate) fn cleanup_session(&self) -> Result<Session, CoreError> {
        let services = HostServices { memory: None, ..self.services.clone() };
        self.core.limited_session(services, engine::Limits::NONE)
    }

    /// Runs `work` on a thread that may block. `permit` is for a decision or a transfer, and `work`
    /// holds it as long as it needs the thread, even if the request is cancelled meanwhile.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        permit: Permit,
        work: impl FnOnce(&Self, Permit) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let service = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&service, permit));
        let broken = match done.await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(CoreError::Memory(MemoryFault::TooMuch))) => return Err(Unanswered::TooLarge),
            Ok(Err(CoreError::Memory(MemoryFault::Busy))) => return Err(Unanswered::Saturated),
            Ok(Err(trap)) => trap.to_string(),
            Err(panic) => panic.to_string(),
        };
        self.metrics.traps.inc();
        Err(Unanswered::Broken(broken))
    }
}

/// Counts an instance of the core, even if its thread panics.
struct RunningInstance<'service>(&'service Service);

impl<'service> RunningInstance<'service> {
    fn begin(service: &'service Service) -> Self {
        if service.metrics.instances.inc() == 0 {
            service.first_instance.notify_one();
        }
        RunningInstance(service)
    }
}

impl Drop for RunningInstance<'_> {
    fn drop(&mut self) {
        self.0.metrics.instances.dec();
    }
}
