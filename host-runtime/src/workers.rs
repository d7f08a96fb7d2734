//! A bounded pool of worker threads that end together.
//!
//! Every worker owns the state that its closure captures (buffers, a codec, open directories), so
//! memory is bounded by the number of workers. Jobs are plans, never content: what waits in the
//! queue is small, and the queue is short.

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// More workers than this have never helped: the disk or the directory locks are the limit, and
/// each worker keeps some megabytes.
const MAX_WORKERS: usize = 16;

/// Jobs that wait for each worker: enough to keep it busy while the next batch is prepared.
const QUEUED_PER_WORKER: usize = 4;

/// A worker panicked: its job was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// The workers have stopped, because one of them asked for it or panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// How many workers suit this machine.
#[must_use]
pub fn suitable_count() -> usize {
    /// Asked for once: the answer takes a dozen system calls where there are control groups, which
    /// was a fifth of the time of a small request to a server.
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS)
    })
}

/// What `map` makes of each item, in order and side by side. A thread gets at least `at_once` items
/// and a state of its own from `make`; where there are no more than that, or where no thread can
/// be started, the calling thread does them all.
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
    // A pool is started only where it is needed: not for the hash of one small file, for example.
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

/// The threads of [`map_all`]; none where the limit of processes is reached. The library's own
/// pool is not used, because that panics then.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || {
        let builder = ThreadPoolBuilder::new().num_threads(suitable_count());
        builder.thread_name(|_| "btdt-worker".to_owned()).build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

/// Lets only so many threads compute at once, where there are more of them because they mostly wait
/// for something else: their tables would push each other out of the caches.
pub struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Default for Turns {
    /// A turn for each worker that suits this machine.
    fn default() -> Self {
        Turns { free: Mutex::new(suitable_count()), freed: Condvar::new() }
    }
}

impl Turns {
    /// Runs `work` when it is its turn. `work` must not ask for another one.
    pub fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let _turn = Turn(self);
        work()
    }
}

/// Ends a turn, even if the work panics.
struct Turn<'turns>(&'turns Turns);

impl Drop for Turn<'_> {
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
    /// Runs one job; false where the worker has to end.
    fn run<J>(&self, worker: &mut impl FnMut(J) -> ControlFlow<()>, job: J) -> bool {
        if self.stopped.load(Ordering::Acquire) {
            return false;
        }
        // A worker that panicked never gets another job: its broken state is not seen again.
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

/// Threads that carry out jobs of one type, in the order in which they come but side by side.
///
/// Dropping it discards what has not begun and waits for the rest.
pub struct Workers<J> {
    flags: Arc<Flags>,
    queue: Option<Sender<J>>,
    threads: Vec<JoinHandle<()>>,
    /// Does the jobs on the calling thread, where there can be no other.
    inline: Option<Inline<J>>,
}

impl<J: Send + 'static> Workers<J> {
    /// Starts `count` workers, each with what `make` gives. A worker that answers a job with
    /// [`ControlFlow::Break`] stops them all.
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
                    // The limit of processes is reached: fewer workers do it too.
                    Err(_) => break,
                }
            }
        }
        let inline: Option<Inline<J>> = threads.is_empty().then(|| Box::new(make()) as Inline<J>);
        Workers { flags, queue: inline.is_none().then_some(sender), threads, inline }
    }

    /// Hands over a job; waits while the queue is full.
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

    /// Waits until all jobs are done, or the workers have stopped.
    ///
    /// # Errors
    /// When a worker panicked.
    pub fn finish(&mut self) -> Result<(), Panicked> {
        self.queue = None;
        let mut panicked = false;
        for thread in self.threads.drain(..) {
            panicked |= thread.join().is_err();
        }
        // Whatever the worker holds (sinks, sources, open directories) ends here as well.
        self.inline = None;
        self.flags.stopped.store(true, Ordering::Release);
        if panicked || self.flags.panicked.load(Ordering::Acquire) { Err(Panicked) } else { Ok(()) }
    }

    /// Discards what has not begun and waits for what has.
    pub fn cancel(&mut self) {
        self.flags.stopped.store(true, Ordering::Release);
        // The panic, if there was one, has been reported or is of no interest any more.
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
        // Ends when the queue is closed and empty. After a stop the worker leaves at its next
        // job; the last one takes the receiver with it, which wakes a sender that waits.
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
    fn no_more_compute_at_once_than_there_are_turns() {
        let turns = Turns::default();
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for number in 0..64 {
                let (turns, now, most) = (&turns, &now, &most);
                scope.spawn(move || {
                    let work = || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        assert!(number % 8 != 0, "a panic on purpose");
                    };
                    let _ = catch_unwind(AssertUnwindSafe(|| turns.with(work)));
                });
            }
        });
        let most = most.into_inner() as usize;
        assert!((1..=suitable_count()).contains(&most), "{most}");
        assert_eq!(turns.with(|| 7), 7, "turns of those who panicked are free again");
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
