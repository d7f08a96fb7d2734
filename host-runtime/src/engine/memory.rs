//! The memory that the instances of a server have together.
//!
//! Each instance may grow to its own limit, but not all of them at once. Beyond a part that is free
//! there are two steps, each with a budget of its own, and the second is for one instance at a time:
//! it has all that it may need then, so that those who wait for it never wait for each other. Most
//! decisions take milliseconds; who waits for long is told to come again later.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Bytes that an instance has without asking: enough for a tree of 40,000 files.
const FREE: usize = 16 << 20;

/// What it takes at once beyond that: with both, enough for 200,000 files. Who needs still more
/// takes all that it may have.
const STEP: usize = 48 << 20;

/// How many can make the first step at the same time.
const STEPS: usize = 3;

/// How long an instance waits for memory that others have.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the instances of a server share.
#[derive(Clone)]
pub struct SharedMemory {
    /// For the first step of some of them.
    steps: Arc<Budget>,
    /// For one that may have all.
    rest: Arc<Budget>,
    /// What the host keeps for them: plans of archives, and objects on their way.
    pub(super) host: Arc<Budget>,
}

impl SharedMemory {
    /// Memory for instances of which each may have so many bytes.
    #[must_use]
    pub fn for_instances_of(bytes: usize) -> Self {
        SharedMemory {
            steps: Budget::new(STEPS * STEP),
            rest: Budget::new(bytes.saturating_sub(FREE + STEP)),
            host: Budget::new(bytes / 4 * 3),
        }
    }
}

/// Memory that many share.
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

    /// Takes so many bytes, which may mean to wait for them. Whether they were there.
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

/// A part of a budget, which is given back when this is dropped.
#[derive(Default)]
pub struct Share {
    budget: Option<Arc<Budget>>,
    taken: usize,
}

impl Share {
    /// Nothing yet, of a budget or of memory without bounds.
    pub(super) fn of(budget: Option<Arc<Budget>>) -> Self {
        Share { budget, taken: 0 }
    }

    /// Makes it at least so many bytes. Whether that was possible.
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
    /// It wanted more than any may have.
    TooMuch,
    /// Others have it.
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
    /// At most so many bytes, which are shared with others if there are any.
    pub(super) fn new(most: usize, shared: Option<&SharedMemory>) -> Self {
        let step = Share::of(shared.map(|shared| Arc::clone(&shared.steps)));
        let rest = Share::of(shared.map(|shared| Arc::clone(&shared.rest)));
        MemoryLimiter { most, step, rest, refused: None }
    }

    /// Takes what so many bytes need of what is shared. Whether it was there.
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
    fn what_is_free_is_not_counted_and_the_rest_comes_back() {
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
    fn who_wants_too_much_is_told_at_once() {
        let mut alone = MemoryLimiter::new(64 * MIB, None);
        assert!(alone.memory_growing(0, 64 * MIB, None).unwrap());
        assert!(!alone.memory_growing(64 * MIB, 65 * MIB, None).unwrap());
        assert_eq!(alone.refused, Some(MemoryFault::TooMuch));
    }

    #[test]
    fn memory_that_comes_back_is_waited_for() {
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
