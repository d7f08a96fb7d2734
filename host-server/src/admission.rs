//! Admission: the budgets that requests share, and the order in which a request takes them.
//!
//! | step | budget | bounds | if there is none left |
//! |---|---|---|---|
//! | 1 | connection | open sockets | refused at once |
//! | 2 | transfer | archives in transit: their number and their memory | waits up to 5 minutes |
//! | 2 | body memory | bodies received whole: chunks, manifests, lists of digests | waits up to 30 s |
//! | 2 | answer memory | answers that the core made and that are larger than [`FREE_ANSWER`] | waits up to 30 s |
//! | 3 | decision, probe | instances of the core at work, and threads for them | waits up to 30 s |
//! | 4 | quota room, read-ahead | what a cache may still store; chunks read in advance | never waits |
//!
//! A budget of step 2 is held until a peer has sent or read something, so nothing may depend on
//! when it is returned: **a request waits for it only while it holds nothing of steps 2 and 3.** A
//! request that needs one and finds out while the core decides gives up its decision, drops what
//! the core made, waits, and has the core decide again.
//!
//! A decision ends without any peer. So a request may wait for it while it holds one budget of
//! step 2 (a body that has arrived takes its memory anyway), and **a request that holds a decision
//! waits for no other budget.** A transfer includes an instance and a thread, and needs no decision.
//!
//! Every wait is for a later step than all that the request holds, so there is no cycle of requests
//! that wait for each other. Debug builds, and so all tests, check this at each wait.
//!
//! The engine has one more budget, the memory of instances beyond what each of them has for free.
//! It is behind step 3 in the order: see `host-runtime/src/engine/memory_budget.rs`.

use crate::config::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Decisions at once for each CPU core. More would only compete for the CPU and the disk; the
/// others wait, which costs them no memory.
const DECISIONS_PER_CORE: usize = 4;

/// Probes are answered at once, however busy the server is: an orchestrator would take it for dead.
const PROBES: usize = 2;

/// What they ask for.
const PROBE_PATHS: [&str; 3] = ["/api/health", "/api/ready", "/metrics"];

/// Memory for bodies that are received whole, in KiB, so that any number of senders fits in a small
/// container.
const BODY_MEMORY: u32 = 64 << 10;

/// Memory for answers that the core has made, in KiB.
const ANSWER_MEMORY: u32 = 32 << 10;

/// Answers of at most so many bytes need no share of it.
pub(crate) const FREE_ANSWER: usize = 16 << 10;

/// Memory of an archive on its way in, in KiB: the chunk that is put together and the one that is
/// compressed, the window of a large file, and the core.
const INCOMING_MEMORY: u32 = 14 << 10;

/// Memory of an archive on its way out, in KiB: its plan, a chunk in both forms, and what waits for
/// the connection.
const OUTGOING_MEMORY: u32 = 7 << 10;

/// The memory of all archives is enough for so many incoming ones, or for
/// [`INCOMING_PER_CORE`] for each CPU core.
const LEAST_INCOMING: usize = 5;
const INCOMING_PER_CORE: usize = 2;

/// How long a request waits before it is told to come back later.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The same for an archive: transfers take longer, and many clients do not retry.
const LONGEST_TRANSFER_WAIT: Duration = Duration::from_secs(5 * 60);

/// Bytes per second that a peer has to send or read while it holds a budget that others wait for.
const LEAST_RATE_IN_THE_WAY: u64 = 64 << 10;

/// How long it may be slower.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to check whether others wait.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Threads for reading ahead, cleaning and looking at files.
const OTHER_THREADS: usize = 32;

/// Nothing was left within the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saturated;

/// A budget of steps 2 and 3. The values are bits of [`Claims::held`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Budget {
    Transfer = 1,
    BodyMemory = 2,
    AnswerMemory = 4,
    Decision = 8,
}

impl Budget {
    /// Whether a request that holds `held` may wait for this one.
    fn may_be_awaited(self, held: u8) -> bool {
        match self {
            Budget::Decision => held & Budget::Decision as u8 == 0,
            Budget::Transfer | Budget::BodyMemory | Budget::AnswerMemory => held == 0,
        }
    }
}

/// The direction of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    Incoming,
    Outgoing,
}

/// The budgets of a server.
pub(crate) struct Admission {
    max_connections: u32,
    connections: Arc<Semaphore>,
    /// In KiB. A transfer takes its memory or its part of the whole, whichever is larger, so that
    /// this also bounds their number.
    transfers: Arc<Semaphore>,
    /// What a transfer takes at least, in KiB.
    least_transfer: u32,
    body_memory: Arc<Semaphore>,
    answer_memory: Arc<Semaphore>,
    decisions: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    /// Requests that wait for a budget of step 2.
    waiting: AtomicUsize,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        let incoming = (cpu_cores() * INCOMING_PER_CORE).max(LEAST_INCOMING);
        let memory = u32::try_from(incoming).unwrap_or(u32::MAX).saturating_mul(INCOMING_MEMORY);
        Admission {
            max_connections: limits.max_connections,
            connections: semaphore(limits.max_connections),
            transfers: semaphore(memory),
            least_transfer: memory / limits.max_transfers.max(1),
            body_memory: semaphore(BODY_MEMORY),
            answer_memory: semaphore(ANSWER_MEMORY),
            decisions: Arc::new(Semaphore::new(decisions_at_once())),
            probes: Arc::new(Semaphore::new(PROBES)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A place for one more connection, if there is any.
    pub(crate) fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Waits until no connection is open.
    pub(crate) async fn connections_closed(&self) {
        // The semaphore is never closed.
        let _ = self.connections.acquire_many(self.max_connections).await;
    }

    /// The claims of a request that has just begun, or of work of the server's own.
    pub(crate) fn claims(self: &Arc<Self>) -> Claims {
        Claims { admission: Arc::clone(self), held: Arc::default() }
    }

    /// Whether a peer that has held a budget of step 2 since then, and has moved so many bytes, is
    /// so slow that it has to make room for those who wait.
    pub(crate) fn is_in_the_way(&self, since: Instant, moved: u64) -> bool {
        let held = since.elapsed();
        held > PATIENCE
            && moved < LEAST_RATE_IN_THE_WAY.saturating_mul(held.as_secs())
            && self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Instances of the core that run at the same time at most: those of decisions, probes and
/// transfers, and one for the cleanup.
pub(crate) fn instances(limits: &Limits) -> u32 {
    let instances = decisions_at_once() + limits.max_transfers as usize + PROBES + 1;
    u32::try_from(instances).unwrap_or(u32::MAX)
}

/// Threads that may block: one for each decision, probe and transfer, and some for other work.
pub(crate) fn blocking_threads(limits: &Limits) -> usize {
    decisions_at_once() + limits.max_transfers as usize + PROBES + OTHER_THREADS
}

fn decisions_at_once() -> usize {
    (cpu_cores() * DECISIONS_PER_CORE).max(8)
}

fn cpu_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits as usize))
}

/// What one request takes of the budgets, in the order that the module describes.
#[derive(Clone)]
pub(crate) struct Claims {
    admission: Arc<Admission>,
    /// Bits of what the request holds: each [`Budget`] at most once.
    held: Arc<AtomicU8>,
}

/// A part of a budget, returned when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
    budget: Budget,
    bytes: usize,
    held: Arc<AtomicU8>,
}

impl Permit {
    /// Whether it is for at least so many bytes.
    pub(crate) fn covers(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.held.fetch_and(!(self.budget as u8), Ordering::Relaxed);
    }
}

impl Claims {
    /// Waits for a decision.
    pub(crate) async fn decision(&self) -> Result<Permit, Saturated> {
        self.wait(Budget::Decision, &self.admission.decisions, 1, LONGEST_WAIT).await
    }

    /// The same for a request at this path, which may be a probe.
    pub(crate) async fn decision_about(&self, path: &str) -> Result<Permit, Saturated> {
        if PROBE_PATHS.contains(&path) {
            return self.wait(Budget::Decision, &self.admission.probes, 1, LONGEST_WAIT).await;
        }
        self.decision().await
    }

    /// Waits for the turn of an archive.
    pub(crate) async fn transfer(&self, transfer: Transfer) -> Result<Permit, Saturated> {
        let share = self.transfer_share(transfer);
        let from = &self.admission.transfers;
        self.wait(Budget::Transfer, from, share, LONGEST_TRANSFER_WAIT).await
    }

    /// The same if no other archive waits and there is room for it.
    pub(crate) fn transfer_at_once(&self, transfer: Transfer) -> Option<Permit> {
        let share = self.transfer_share(transfer);
        self.take_at_once(Budget::Transfer, &self.admission.transfers, share)
    }

    /// Waits for memory for a body. A body that needs more than there is gets all of it.
    pub(crate) async fn body_memory(&self, bytes: u64) -> Result<Permit, Saturated> {
        let share = kibibytes(bytes).min(BODY_MEMORY);
        self.wait(Budget::BodyMemory, &self.admission.body_memory, share, LONGEST_WAIT).await
    }

    /// Waits for memory for an answer. An answer that needs more than there is gets all of it.
    pub(crate) async fn answer_memory(&self, bytes: usize) -> Result<Permit, Saturated> {
        let share = kibibytes(bytes as u64).min(ANSWER_MEMORY);
        self.wait(Budget::AnswerMemory, &self.admission.answer_memory, share, LONGEST_WAIT).await
    }

    /// The same if it is there and no other answer waits for it.
    pub(crate) fn answer_memory_at_once(&self, bytes: usize) -> Option<Permit> {
        let share = kibibytes(bytes as u64).min(ANSWER_MEMORY);
        self.take_at_once(Budget::AnswerMemory, &self.admission.answer_memory, share)
    }

    fn transfer_share(&self, transfer: Transfer) -> u32 {
        let memory = match transfer {
            Transfer::Incoming => INCOMING_MEMORY,
            Transfer::Outgoing => OUTGOING_MEMORY,
        };
        memory.max(self.admission.least_transfer)
    }

    /// Waits for a share of a budget, but not forever.
    async fn wait(
        &self,
        budget: Budget,
        from: &Arc<Semaphore>,
        share: u32,
        longest: Duration,
    ) -> Result<Permit, Saturated> {
        let held = self.held.load(Ordering::Relaxed);
        debug_assert!(budget.may_be_awaited(held), "waits for {budget:?} while it holds {held:b}");
        let _waiting = (budget != Budget::Decision).then(|| Waiting::begin(&self.admission));
        let acquired = Arc::clone(from).acquire_many_owned(share);
        match tokio::time::timeout(longest, acquired).await {
            Ok(Ok(permit)) => Ok(self.permit(budget, share, permit)),
            // The semaphores are never closed.
            Ok(Err(_)) | Err(_) => Err(Saturated),
        }
    }

    fn take_at_once(&self, budget: Budget, from: &Arc<Semaphore>, share: u32) -> Option<Permit> {
        let permit = Arc::clone(from).try_acquire_many_owned(share).ok()?;
        Some(self.permit(budget, share, permit))
    }

    fn permit(&self, budget: Budget, share: u32, permit: OwnedSemaphorePermit) -> Permit {
        let held = self.held.fetch_or(budget as u8, Ordering::Relaxed);
        debug_assert!(held & budget as u8 == 0, "takes {budget:?} twice");
        let bytes = match (budget, share) {
            (Budget::Decision, _) => 0,
            // All of it is enough for anything.
            (Budget::BodyMemory, BODY_MEMORY) | (Budget::AnswerMemory, ANSWER_MEMORY) => usize::MAX,
            (_, share) => share as usize * 1024,
        };
        let held = Arc::clone(&self.held);
        Permit { _permit: permit, budget, bytes, held }
    }
}

/// A size in KiB, rounded up, and at least one.
fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}

/// Counts a request that waits.
struct Waiting<'admission>(&'admission Admission);

impl<'admission> Waiting<'admission> {
    fn begin(admission: &'admission Admission) -> Self {
        admission.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(admission)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_time().build().unwrap().block_on(future)
    }

    fn limited(max_transfers: u32) -> Arc<Admission> {
        Arc::new(Admission::new(&Limits { max_transfers, ..Limits::default() }))
    }

    #[test]
    fn only_a_decision_is_awaited_with_something_in_hand() {
        let slow = [Budget::Transfer, Budget::BodyMemory, Budget::AnswerMemory];
        for wanted in slow {
            assert!(wanted.may_be_awaited(0));
            for held in slow.into_iter().chain([Budget::Decision]) {
                assert!(!wanted.may_be_awaited(held as u8), "{wanted:?} with {held:?}");
            }
            assert!(Budget::Decision.may_be_awaited(wanted as u8));
        }
        assert!(Budget::Decision.may_be_awaited(0));
        assert!(!Budget::Decision.may_be_awaited(Budget::Decision as u8));
    }

    #[test]
    #[should_panic(expected = "waits for BodyMemory")]
    fn waiting_for_memory_with_a_decision_in_hand_is_noticed() {
        run(async {
            let claims = limited(1).claims();
            let _decision = claims.decision().await.unwrap();
            let _ = claims.body_memory(1).await;
        });
    }

    #[test]
    #[should_panic(expected = "waits for Transfer")]
    fn waiting_for_a_transfer_with_memory_in_hand_is_noticed() {
        run(async {
            let claims = limited(1).claims();
            let memory = claims.answer_memory_at_once(1 << 20).unwrap();
            drop(claims.decision().await.unwrap());
            let _ = claims.transfer(Transfer::Outgoing).await;
            drop(memory);
        });
    }

    #[test]
    fn what_is_returned_no_longer_counts() {
        run(async {
            let claims = limited(1).claims();
            drop(claims.decision().await.unwrap());
            drop(claims.transfer(Transfer::Incoming).await.unwrap());
            let memory = claims.body_memory(u64::MAX).await.unwrap();
            assert!(memory.covers(usize::MAX), "it is all that there is");
            drop(claims.decision().await.unwrap());
            drop(memory);
            let memory = claims.answer_memory(1025).await.unwrap();
            assert!(memory.covers(2048) && !memory.covers(2049));
        });
    }

    #[test]
    fn both_the_number_and_the_memory_of_transfers_are_bounded() {
        let fit = |max_transfers, transfer| {
            let admission = limited(max_transfers);
            let all = std::iter::from_fn(|| admission.claims().transfer_at_once(transfer));
            all.collect::<Vec<_>>().len()
        };
        let incoming = (cpu_cores() * INCOMING_PER_CORE).max(LEAST_INCOMING);
        for few in [1, 2, 3, LEAST_INCOMING] {
            assert_eq!(fit(few as u32, Transfer::Incoming), few);
            assert_eq!(fit(few as u32, Transfer::Outgoing), few);
        }
        assert_eq!(fit(4096, Transfer::Incoming), incoming);
        assert_eq!(fit(4096, Transfer::Outgoing), incoming * 2);
    }

    /// Takes budgets in one of the orders in which requests do.
    async fn request(admission: Arc<Admission>, kind: usize) -> Result<(), Saturated> {
        let claims = admission.claims();
        let _slow = match kind % 4 {
            0 => {
                let decision = claims.decision().await?;
                match claims.answer_memory_at_once(3 << 10) {
                    Some(memory) => memory,
                    None => {
                        drop(decision);
                        let memory = claims.answer_memory(3 << 10).await?;
                        drop(claims.decision().await?);
                        memory
                    }
                }
            }
            1 => {
                let memory = claims.body_memory(3 << 10).await?;
                tokio::task::yield_now().await;
                drop(claims.decision().await?);
                memory
            }
            2 => claims.transfer(Transfer::Incoming).await?,
            _ => {
                drop(claims.decision().await?);
                match claims.transfer_at_once(Transfer::Outgoing) {
                    Some(permit) => permit,
                    None => claims.transfer(Transfer::Outgoing).await?,
                }
            }
        };
        // A peer sends or reads.
        tokio::task::yield_now().await;
        Ok(())
    }

    #[test]
    fn requests_of_all_kinds_get_through_where_each_budget_is_enough_for_one() {
        let admission = Arc::new(Admission {
            transfers: semaphore(INCOMING_MEMORY),
            body_memory: semaphore(4),
            answer_memory: semaphore(4),
            decisions: semaphore(1),
            ..Admission::new(&Limits::default())
        });
        run(async {
            let requests: Vec<_> =
                (0..4000).map(|kind| tokio::spawn(request(Arc::clone(&admission), kind))).collect();
            for request in requests {
                request.await.unwrap().unwrap();
            }
        });
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }
}
