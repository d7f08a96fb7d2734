//! The memory that all instances of a server share. wasmtime limits each store on its own; a budget
//! across stores, with waiting, is not in it.
//!
//! Each instance may grow to its own limit, but not all of them at once. The first part is free.
//! Beyond it there are two steps, each with its own budget. The second step gives a single instance
//! everything that it may need, so instances that wait never wait for each other. Most requests
//! take milliseconds; one that waits for too long fails, and the client is told to retry.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Bytes that every instance gets without waiting: enough for a tree of 40,000 files.
const FREE: usize = 16 << 20;

/// Bytes of the first step: with it, an instance has enough for 200,000 files. One that needs more
/// takes everything up to its limit.
const STEP: usize = 48 << 20;

/// Instances that can hold the first step at the same time.
const STEPS: usize = 3;

/// How long an instance waits for memory that others hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// The budgets of a server.
#[derive(Clone)]
pub struct SharedMemory {
    /// For the first step.
    steps: Arc<Budget>,
    /// For the second step: enough for one instance.
    rest: Arc<Budget>,
    /// For what the host keeps for instances: plans of archives, and objects in transit.
    pub(super) host: Arc<Budget>,
}

impl SharedMemory {
    /// Budgets for instances that may have `bytes` each.
    #[must_use]
    pub fn for_instances_of(bytes: usize) -> Self {
        SharedMemory {
            steps: Budget::new(STEPS * STEP),
            rest: Budget::new(bytes.saturating_sub(FREE + STEP)),
            host: Budget::new(bytes / 4 * 3),
        }
    }
}

/// Bytes that several instances share.
pub(super) struct Budget {
    left: Mutex<usize>,
    returned: Condvar,
}

impl Budget {
    fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Budget { left: Mutex::new(bytes), returned: Condvar::new() })
    }

    fn left(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes`, waiting if necessary. False if they did not become available.
    fn take(&self, bytes: usize) -> bool {
        let waited = self.returned.wait_timeout_while(self.left(), PATIENCE, |left| *left < bytes);
        let (mut left, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let there = *left >= bytes;
        if there {
            *left -= bytes;
        }
        there
    }
}

/// A part of a budget, returned on drop.
#[derive(Default)]
pub struct Share {
    budget: Option<Arc<Budget>>,
    taken: usize,
}

impl Share {
    /// An empty share of a budget, or of unlimited memory.
    pub(super) fn of(budget: Option<Arc<Budget>>) -> Self {
        Share { budget, taken: 0 }
    }

    /// Grows it to at least `bytes`. False if that is not possible.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.taken);
        let there = more == 0 || self.budget.as_ref().is_none_or(|budget| budget.take(more));
        if there {
            self.taken += more;
        }
        there
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            *budget.left() += self.taken;
            budget.returned.notify_all();
        }
    }
}

/// Why an instance did not get memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFault {
    /// It needs more than its limit.
    TooMuch,
    /// Other instances hold it.
    Busy,
}

/// Bounds the memory of an instance.
pub(super) struct MemoryLimiter {
    most: usize,
    step: Share,
    rest: Share,
    /// Why it was not allowed to grow.
    pub(super) refused: Option<MemoryFault>,
}

impl MemoryLimiter {
    /// At most `most` bytes, taken from the shared budgets if there are any.
    pub(super) fn new(most: usize, shared: Option<&SharedMemory>) -> Self {
        let step = Share::of(shared.map(|shared| Arc::clone(&shared.steps)));
        let rest = Share::of(shared.map(|shared| Arc::clone(&shared.rest)));
        MemoryLimiter { most, step, rest, refused: None }
    }

    /// Takes from the budgets what a memory of `bytes` needs. False if it is not available.
    fn take_for(&mut self, bytes: usize) -> bool {
        match bytes.saturating_sub(FREE) {
            0 => true,
            1..=STEP => self.step.grow_to(STEP),
            _ => {
                self.step.grow_to(STEP) && self.rest.grow_to(self.most.saturating_sub(FREE + STEP))
            }
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let refused = if desired > self.most {
            Some(MemoryFault::TooMuch)
        } else if !self.take_for(desired) {
            Some(MemoryFault::Busy)
        } else {
            None
        };
        self.refused = self.refused.or(refused);
        Ok(refused.is_none())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_free_part_is_not_counted_and_the_rest_is_returned() {
        let shared = SharedMemory::for_instances_of(256 * MIB);
        let left = || (*shared.steps.left() / MIB, *shared.rest.left() / MIB);
        let mut one = MemoryLimiter::new(256 * MIB, Some(&shared));
        let mut grow = |from, to| one.memory_growing(from, to, None).unwrap();
        assert!(grow(0, FREE));
        assert_eq!(left(), (144, 192));
        assert!(grow(FREE, FREE + 1) && grow(FREE + 1, FREE + STEP));
        assert_eq!(left(), (96, 192));
        assert!(grow(FREE + STEP, FREE + STEP + 1) && grow(FREE + STEP + 1, 256 * MIB));
        assert_eq!(left(), (96, 0));
        assert_eq!(one.refused, None);
        let mut beside = MemoryLimiter::new(256 * MIB, Some(&shared));
        assert!(beside.memory_growing(0, FREE + STEP, None).unwrap());
        drop((one, beside));
        assert_eq!(left(), (144, 192));
    }

    #[test]
    fn exceeding_the_limit_fails_at_once() {
        let mut alone = MemoryLimiter::new(64 * MIB, None);
        assert!(alone.memory_growing(0, 64 * MIB, None).unwrap());
        assert!(!alone.memory_growing(64 * MIB, 65 * MIB, None).unwrap());
        assert_eq!(alone.refused, Some(MemoryFault::TooMuch));
    }

    #[test]
    fn a_share_waits_for_returned_memory() {
        let budget = Budget::new(4 * MIB);
        let mut first = Share::of(Some(Arc::clone(&budget)));
        assert!(first.grow_to(3 * MIB));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Share::of(Some(Arc::clone(&budget))).grow_to(2 * MIB));
            drop(first);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(*budget.left(), 4 * MIB);
    }
}
