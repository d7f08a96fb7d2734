//! Codecs for the calls that bring none of their own.

use crate::codec::Codec;
use crate::workers::suitable_count;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Codecs at rest, so that their contexts and buffers are used again.
#[derive(Default)]
pub(super) struct CodecPool(Mutex<Vec<Codec>>);

impl CodecPool {
    /// Runs `work` with a codec that nobody else is using.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Codec) -> T) -> T {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut codec = idle().pop().unwrap_or_default();
        let result = work(&mut codec);
        idle().push(codec);
        result
    }

    /// `work` for each of `items`, on all cores, each thread with a codec of its own.
    pub(super) fn map<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I, &mut Codec) -> T + Sync,
    ) -> Vec<T> {
        let threads = suitable_count().min(items.len());
        if threads <= 1 {
            return self.with(|codec| items.iter().map(|item| work(item, codec)).collect());
        }
        let next = AtomicUsize::new(0);
        let run = || {
            self.with(|codec| {
                let mut results = Vec::new();
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    results.push((index, work(item, codec)));
                }
                results
            })
        };
        let mut results = thread::scope(|scope| {
            // Where no thread can be started, this one does all the work.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, run).ok();
            let threads: Vec<_> = (1..threads).filter_map(spawn).collect();
            let mut results = run();
            for thread in threads {
                results.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            results
        });
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
