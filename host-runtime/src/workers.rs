//! A bounded pool of worker threads that end together.
//!
//! Each worker owns the state that its closure captures (buffers, a codec, open directories), so
//! the number of workers bounds the memory. Jobs are plans, never content, and the queue is short.

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// More workers have never helped: the disk or directory locks become the limit, and each worker
/// holds some megabytes.
const MAX_WORKERS: usize = 16;

/// Queued jobs per worker: enough to keep it busy while the next batch is prepared.
const QUEUED_PER_WORKER: usize = 4;

/// A worker panicked and did not finish its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// The workers have stopped, because one of them asked for it or panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// How many workers suit this machine.
#[must_use]
pub fn suitable_count() -> usize {
    /// Determined once: with control groups it takes a dozen system calls, a fifth of the time of a
    /// small request to a server.
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS)
    })
}

/// Maps all items in parallel, keeping their order. A thread gets at least `at_once` items and its
/// own state from `make`; if there are no more, or if no thread can be started, the calling thread
/// maps them all.
pub fn map_all<T, S, R, C>(
    items: &[T],
    at_once: usize,
    make: impl Fn() -> S + Sync + Send,
    map: impl Fn(&mut S, &T) -> R + Sync + Send,
) -> C
where
    T: Sync,
    R: Send,
    C: FromIterator<R> + FromParallelIterator<R> + Send,
{
    // The pool is started only when needed: not for the hash of one small file, for example.
    let pool = if items.len() > at_once { pool() } else { None };
    match pool {
        Some(pool) => pool
            .install(|| items.par_iter().with_min_len(at_once).map_init(make, map).collect::<C>()),
        None => {
            let mut state = make();
            items.iter().map(|item| map(&mut state, item)).collect()
        }
    }
}

/// The threads of [`map_all`]; `None` if the limit of processes is reached. The global pool of
/// rayon would panic then.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || {
        let builder = ThreadPoolBuilder::new().num_threads(suitable_count());
        builder.thread_name(|_| "btdt-worker".to_owned()).build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

/// Limits how many threads compute at once, when there are more because they mostly wait: their
/// tables would evict each other from the CPU caches.
pub struct ComputePermits {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Default for ComputePermits {
    /// A permit for each worker that suits this machine.
    fn default() -> Self {
        ComputePermits { free: Mutex::new(suitable_count()), freed: Condvar::new() }
    }
}

impl ComputePermits {
    /// Runs `work` when a permit is free. `work` must not ask for another one.
    pub fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let _permit = ComputePermit(self);
        work()
    }
}

/// Gives the permit back, even if the work panics.
struct ComputePermit<'permits>(&'permits ComputePermits);

impl Drop for ComputePermit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[derive(Default)]
struct Flags {
    stopped: AtomicBool,
    panicked: AtomicBool,
}

impl Flags {
    /// Runs one job; returns false if the worker must end.
    fn run<J>(&self, worker: &mut impl FnMut(J) -> ControlFlow<()>, job: J) -> bool {
        if self.stopped.load(Ordering::Acquire) {
            return false;
        }
        // A worker that panicked gets no further job, so its broken state is not used again.
        let flow = catch_unwind(AssertUnwindSafe(|| worker(job)));
        if flow.is_err() {
            self.panicked.store(true, Ordering::Release);
        }
        let goes_on = matches!(flow, Ok(ControlFlow::Continue(())));
        if !goes_on {
            self.stopped.store(true, Ordering::Release);
        }
        goes_on
    }
}

type Inline<J> = Box<dyn FnMut(J) -> ControlFlow<()> + Send>;

/// Threads that run jobs of one type in parallel, starting them in order.
///
/// Dropping it discards queued jobs and waits for running ones.
pub struct Workers<J> {
    flags: Arc<Flags>,
    queue: Option<Sender<J>>,
    threads: Vec<JoinHandle<()>>,
    /// Runs the jobs on the calling thread when there are no others.
    inline: Option<Inline<J>>,
}

impl<J: Send + 'static> Workers<J> {
    /// Starts `count` workers made by `make`. A worker that returns [`ControlFlow::Break`] stops
    /// them all.
    pub fn start<W>(count: usize, make: impl Fn() -> W) -> Self
    where
        W: FnMut(J) -> ControlFlow<()> + Send + 'static,
    {
        let flags = Arc::new(Flags::default());
        let mut threads = Vec::new();
        let (sender, receiver) = bounded(count.max(1) * QUEUED_PER_WORKER);
        if cfg!(not(target_family = "wasm")) {
            for _ in 0..count {
                match spawn(make(), receiver.clone(), Arc::clone(&flags)) {
                    Ok(thread) => threads.push(thread),
                    // The limit of processes is reached: fewer workers will do.
                    Err(_) => break,
                }
            }
        }
        let inline: Option<Inline<J>> = threads.is_empty().then(|| Box::new(make()) as Inline<J>);
        Workers { flags, queue: inline.is_none().then_some(sender), threads, inline }
    }

    /// Submits a job; waits while the queue is full.
    ///
    /// # Errors
    /// When the workers have stopped; the job is then dropped.
    pub fn submit(&mut self, job: J) -> Result<(), Stopped> {
        if self.flags.stopped.load(Ordering::Acquire) {
            return Err(Stopped);
        }
        if let Some(worker) = &mut self.inline {
            return if self.flags.run(worker, job) { Ok(()) } else { Err(Stopped) };
        }
        match &self.queue {
            Some(queue) => queue.send(job).map_err(|_| Stopped),
            None => Err(Stopped),
        }
    }

    /// Waits until all jobs are done or the workers have stopped.
    pub fn finish(&mut self) -> Result<(), Panicked> {
        self.queue = None;
        let mut panicked = false;
        for thread in self.threads.drain(..) {
            panicked |= thread.join().is_err();
        }
        // Drops what the worker holds: sinks, sources, open directories.
        self.inline = None;
        self.flags.stopped.store(true, Ordering::Release);
        if panicked || self.flags.panicked.load(Ordering::Acquire) { Err(Panicked) } else { Ok(()) }
    }

    /// Discards queued jobs and waits for running ones.
    pub fn cancel(&mut self) {
        self.flags.stopped.store(true, Ordering::Release);
        // A panic has been reported or no longer matters.
        let _ = self.finish();
    }
}

impl<J> Drop for Workers<J> {
    fn drop(&mut self) {
        self.flags.stopped.store(true, Ordering::Release);
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn<J: Send + 'static>(
    mut worker: impl FnMut(J) -> ControlFlow<()> + Send + 'static,
    jobs: Receiver<J>,
    flags: Arc<Flags>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("btdt-worker".to_owned()).spawn(move || {
        // Ends when the queue is closed and empty. After a stop, a worker ends at its next job; the
        // last one drops the receiver, which wakes a waiting sender.
        while let Ok(job) = jobs.recv() {
            if !flags.run(&mut worker, job) {
                break;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn adding(sum: &Arc<AtomicU64>) -> impl Fn() -> Box<dyn FnMut(u64) -> ControlFlow<()> + Send> {
        let sum = Arc::clone(sum);
        move || {
            let sum = Arc::clone(&sum);
            Box::new(move |job| {
                sum.fetch_add(job, Ordering::Relaxed);
                ControlFlow::Continue(())
            })
        }
    }

    #[test]
    fn every_job_is_done_once() {
        for count in [0, 1, 2, 16] {
            let sum = Arc::new(AtomicU64::new(0));
            let mut workers = Workers::start(count, adding(&sum));
            for job in 1..=1000 {
                assert_eq!(workers.submit(job), Ok(()));
            }
            assert_eq!(workers.finish(), Ok(()));
            assert_eq!(sum.load(Ordering::Relaxed), 500_500, "{count} workers");
        }
    }

    #[test]
    fn all_are_mapped_in_order() {
        for count in [0, 1, 3, 4, 1000] {
            let items: Vec<u64> = (0..count).collect();
            let doubled: Vec<u64> = map_all(&items, 3, || (), |(), item| item * 2);
            assert_eq!(doubled, (0..count).map(|item| item * 2).collect::<Vec<_>>());
            let checked: Result<(), u64> = map_all(
                &items,
                3,
                || (),
                |(), item| if *item == 500 { Err(*item) } else { Ok(()) },
            );
            assert_eq!(checked, if count > 500 { Err(500) } else { Ok(()) });
        }
    }

    #[test]
    fn a_panic_is_an_error_and_never_a_hang() {
        for count in [0, 1, 4] {
            let mut workers = Workers::start(count, || {
                |job: u64| {
                    assert!(job != 10, "a panic on purpose");
                    ControlFlow::Continue(())
                }
            });
            let refused = (0..10_000).any(|job| workers.submit(job).is_err());
            assert!(refused, "{count} workers");
            assert_eq!(workers.finish(), Err(Panicked), "{count} workers");
        }
    }

    #[test]
    fn a_break_stops_all_and_the_rest_is_dropped() {
        for count in [0, 1, 4] {
            let done = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&done);
            let mut workers = Workers::start(count, move || {
                let seen = Arc::clone(&seen);
                move |job: u64| {
                    seen.lock().unwrap().push(job);
                    if job == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }
            });
            assert!((0..10_000).any(|job| workers.submit(job).is_err()));
            assert_eq!(workers.finish(), Ok(()));
            assert!(done.lock().unwrap().len() < 10_000);
        }
    }

    #[test]
    fn no_more_compute_at_once_than_there_are_permits() {
        let permits = ComputePermits::default();
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for number in 0..64 {
                let (permits, now, most) = (&permits, &now, &most);
                scope.spawn(move || {
                    let work = || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        assert!(number % 8 != 0, "a panic on purpose");
                    };
                    let _ = catch_unwind(AssertUnwindSafe(|| permits.with(work)));
                });
            }
        });
        let most = most.into_inner() as usize;
        assert!((1..=suitable_count()).contains(&most), "{most}");
        assert_eq!(permits.with(|| 7), 7, "permits of those who panicked are free again");
    }

    #[test]
    fn dropping_waits_for_what_has_begun() {
        let sum = Arc::new(AtomicU64::new(0));
        let mut workers = Workers::start(4, adding(&sum));
        for job in 0..20 {
            assert_eq!(workers.submit(job), Ok(()));
        }
        drop(workers);
        let after = sum.load(Ordering::Relaxed);
        assert_eq!(Arc::strong_count(&sum), 1);
        assert_eq!(sum.load(Ordering::Relaxed), after);
    }
}
