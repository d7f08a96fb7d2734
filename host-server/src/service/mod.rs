//! Answers requests: the core decides each of them, this moves the bytes.
//!
//! [`connection`] accepts, [`exchange`] takes one request through the core, [`receive`] reads
//! bodies, [`sink`] takes the chunks of archives, [`send`] writes bodies, [`timed`] gives up peers
//! that neither send nor read, [`problem`] is what is said when the core could not be asked.

pub(crate) mod connection;
mod exchange;
mod problem;
mod receive;
mod send;
mod sink;
mod timed;

use crate::caches::Caches;
use crate::config::{Config, Limits};
use crate::metrics::Metrics;
use btdt_host_runtime::archive::ReadAhead;
use btdt_host_runtime::engine::server::Settings;
use btdt_host_runtime::engine::{
    self, Core, CoreError, HostServices, MemoryFault, Session, SharedObjects,
};
use btdt_ports::PutOutcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How often the clock of the core's deadlines ticks.
const TICK: Duration = Duration::from_millis(10);

/// Requests that the core decides at once. More would only compete for the cores and the disk; the
/// others wait, which costs them no memory.
const DECISIONS_PER_CORE: usize = 4;

/// Bytes a second that a peer has to send or take while it holds what others wait for.
const LEAST_RATE_IN_THE_WAY: u64 = 64 << 10;

/// How long it may be slower.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked at whether others wait.
const LOOK: Duration = Duration::from_secs(1);

/// How long a request waits for its turn before it is told to come again later.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Memory for bodies that are received whole (chunks and manifests), in KiB. Requests wait for
/// their share, so that any number of senders fits in a small container.
const BODY_MEMORY: u32 = 64 << 10;

/// Memory for answers that the core has made, in KiB: who reads slowly holds a share of it.
const ANSWER_MEMORY: u32 = 32 << 10;

/// Answers of at most so many bytes need no share of it.
const FREE_ANSWER: usize = 16 << 10;

/// Questions about the server itself that are answered at once, whatever else goes on: who watches
/// over it would take it for dead.
const PROBES: usize = 2;

/// What they are.
const PROBE_PATHS: [&str; 3] = ["/api/health", "/api/ready", "/metrics"];

/// Archives that are received at once, at least. The others wait: each takes 14 MiB for the chunk
/// that is put together and the one that is compressed, the window of a large file, and the core.
const LEAST_INCOMING: usize = 5;

/// The same for each core that there is.
const INCOMING_PER_CORE: usize = 2;

/// Shares of the memory for transfers that an archive takes on its way in, or out: there it holds
/// its plan, a chunk in both forms and what waits for the connection.
const INCOMING_SHARE: u32 = 14;
const OUTGOING_SHARE: u32 = 7;

/// How long an archive waits for its turn: longer than other requests, since it takes longer, and
/// since many clients that send or receive archives do not try again.
const LONGEST_ARCHIVE_WAIT: Duration = Duration::from_secs(5 * 60);

/// Chunks that all outgoing archives together read ahead: in both forms up to 8 MiB, mostly 2.
/// One alone takes 5.
const READ_AHEAD: usize = 8;

/// The service as it runs.
pub(crate) struct Service {
    core: Core,
    services: HostServices,
    settings: Settings,
    caches: Arc<Caches>,
    limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    decisions: Arc<Semaphore>,
    archives: Arc<Semaphore>,
    archive_memory: Arc<Semaphore>,
    body_memory: Arc<Semaphore>,
    answer_memory: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Told of the first instance of the core after a rest.
    first_instance: Notify,
    read_ahead: Arc<ReadAhead>,
    stopping: AtomicBool,
}

/// Why the core did not decide.
#[derive(Debug)]
enum Unanswered {
    /// Too much is going on.
    Saturated,
    /// The request takes more memory than any may have.
    TooLarge,
    /// It trapped, or the thread it ran on panicked.
    Broken(String),
}

impl Service {
    /// A service for these caches.
    ///
    /// # Errors
    /// [`CoreError::Load`].
    pub(crate) fn new(
        config: &Config,
        caches: Arc<Caches>,
        services: HostServices,
        metrics: Arc<Metrics>,
        load: impl FnOnce(u32) -> Result<Core, CoreError>,
    ) -> Result<Self, CoreError> {
        let decisions = decisions_at_once();
        let archives = config.limits.max_transfers as usize;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let incoming = (cores * INCOMING_PER_CORE).max(LEAST_INCOMING);
        // One more for the cleanup.
        let instances = u32::try_from(decisions + archives + PROBES + 1).unwrap_or(u32::MAX);
        Ok(Service {
            core: load(instances)?,
            services,
            settings: Settings {
                api_docs: config.enable_api_docs,
                metrics: config.enable_metrics,
                max_manifest: config.limits.max_manifest_size,
            },
            caches,
            limits: config.limits.clone(),
            metrics,
            decisions: Arc::new(Semaphore::new(decisions)),
            archives: Arc::new(Semaphore::new(archives)),
            body_memory: Arc::new(Semaphore::new(BODY_MEMORY as usize)),
            answer_memory: Arc::new(Semaphore::new(ANSWER_MEMORY as usize)),
            probes: Arc::new(Semaphore::new(PROBES)),
            archive_memory: Arc::new(Semaphore::new(incoming * INCOMING_SHARE as usize)),
            waiting: AtomicUsize::new(0),
            first_instance: Notify::new(),
            read_ahead: Arc::new(ReadAhead::new(READ_AHEAD)),
            stopping: AtomicBool::new(false),
        })
    }

    /// Moves the core's deadlines on while there are any, for ever. A server at rest sleeps.
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

    /// Says from now on that the server is about to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// An instance of the core with the limits of a request. Blocks.
    fn session(&self) -> Result<Session, CoreError> {
        let ticks = self.limits.core_deadline.as_millis() / TICK.as_millis();
        let limits = engine::Limits {
            memory: usize::try_from(self.limits.core_memory).unwrap_or(usize::MAX),
            ticks: u64::try_from(ticks).unwrap_or(u64::MAX).max(1),
        };
        self.core.limited_session(self.services.clone(), limits)
    }

    /// An instance for a cleanup, which may take what it needs. Blocks.
    ///
    /// # Errors
    /// [`CoreError::Trap`].
    pub(crate) fn cleanup_session(&self) -> Result<Session, CoreError> {
        let services = HostServices { memory: None, ..self.services.clone() };
        self.core.limited_session(services, engine::Limits::NONE)
    }

    /// Counts a chunk that is there now, for which so much room was reserved.
    fn kept(&self, objects: &SharedObjects, outcome: &PutOutcome, room: u64) {
        let Some((name, cache)) = self.caches.owner(objects) else { return };
        self.metrics.kept(name, outcome.stored_size, outcome.new);
        cache.use_room(room, if outcome.new { outcome.stored_size } else { 0 });
    }

    /// Has an instance of the core do something on a thread that may block.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Session) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let turn = wait_for(&self.decisions, 1, LONGEST_WAIT).await?;
        self.run(turn, work).await
    }

    /// The same for a request at a path, which may be a probe.
    async fn ask_at<T: Send + 'static>(
        self: &Arc<Self>,
        path: &str,
        work: impl FnOnce(Session) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Unanswered> {
        if !PROBE_PATHS.contains(&path) {
            return self.ask(work).await;
        }
        let turn = wait_for(&self.probes, 1, LONGEST_WAIT).await?;
        self.run(turn, work).await
    }

    /// Waits for memory for an answer of so many bytes, which whoever sends it holds. Blocks.
    ///
    /// The core's turn is held meanwhile: answers that wait are in memory already.
    fn answer_memory(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Unanswered> {
        if bytes <= FREE_ANSWER {
            return Ok(None);
        }
        let share = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(ANSWER_MEMORY);
        let _waiting = Waiting::begin(&self.waiting);
        let memory = wait_for(&self.answer_memory, share, LONGEST_WAIT);
        Handle::current().block_on(memory).map(Some)
    }

    /// Waits for the turn of an archive that takes so much memory.
    async fn turn(&self, share: u32) -> Result<Turn, Unanswered> {
        let _waiting = Waiting::begin(&self.waiting);
        let place = wait_for(&self.archives, 1, LONGEST_ARCHIVE_WAIT).await?;
        let memory = wait_for(&self.archive_memory, share, LONGEST_ARCHIVE_WAIT).await?;
        Ok(Turn { _place: place, _memory: memory })
    }

    /// The same where it does not have to wait, and nobody waits before it.
    fn turn_at_once(&self, share: u32) -> Option<Turn> {
        let place = Arc::clone(&self.archives).try_acquire_owned().ok()?;
        let memory = Arc::clone(&self.archive_memory).try_acquire_many_owned(share).ok()?;
        Some(Turn { _place: place, _memory: memory })
    }

    /// Waits for memory for a body, in KiB.
    async fn memory(&self, share: u32) -> Result<OwnedSemaphorePermit, Unanswered> {
        let _waiting = Waiting::begin(&self.waiting);
        wait_for(&self.body_memory, share, LONGEST_WAIT).await
    }

    /// Whether a peer that has held its turn or memory since then, and has moved so many bytes,
    /// is so slow that it should make room for those who wait.
    fn is_in_the_way(&self, since: Instant, moved: u64) -> bool {
        let held = since.elapsed();
        held > PATIENCE
            && moved < LEAST_RATE_IN_THE_WAY.saturating_mul(held.as_secs())
            && self.waiting.load(Ordering::Relaxed) > 0
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        turn: impl Send + 'static,
        work: impl FnOnce(Session) -> Result<T, CoreError> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let service = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let _instance = Instance::begin(&service);
            service.session().and_then(work)
        });
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

/// Requests that the core decides at once.
fn decisions_at_once() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores * DECISIONS_PER_CORE).max(8)
}

/// Threads that may block: one for each decision and for each archive that passes in either
/// direction, and some for reading ahead, cleaning and looking at files.
pub(crate) fn blocking_threads(limits: &Limits) -> usize {
    decisions_at_once() + limits.max_transfers as usize + PROBES + 32
}

/// What an archive holds while it is on its way.
struct Turn {
    _place: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

/// Counts who waits.
struct Waiting<'count>(&'count AtomicUsize);

impl<'count> Waiting<'count> {
    fn begin(count: &'count AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts an instance, even if what it does panics.
struct Instance<'service>(&'service Service);

impl<'service> Instance<'service> {
    fn begin(service: &'service Service) -> Self {
        if service.metrics.instances.inc() == 0 {
            service.first_instance.notify_one();
        }
        Instance(service)
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        self.0.metrics.instances.dec();
    }
}

/// Waits for a share of something, but not for ever.
async fn wait_for(
    semaphore: &Arc<Semaphore>,
    share: u32,
    longest: Duration,
) -> Result<OwnedSemaphorePermit, Unanswered> {
    let turn = Arc::clone(semaphore).acquire_many_owned(share);
    match tokio::time::timeout(longest, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        // Nobody closes the semaphores.
        Ok(Err(_)) | Err(_) => Err(Unanswered::Saturated),
    }
}
