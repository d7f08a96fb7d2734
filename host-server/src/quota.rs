//! The quota of a cache: how much of it is used, reserved and left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much a cache holds, and how much it may hold.
///
/// The size is what the last count of all objects found, plus what has been stored since that count,
/// plus what is about to be stored. An upper bound: what is stored during a count may be counted
/// twice. But a count never makes the size larger than it was before, unless it shows that others
/// store there as well.
pub(crate) struct Quota {
    /// Largest size in bytes.
    limit: Option<u64>,
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    /// What there was after the last count, in bytes; `None` before the first one.
    counted: Option<u64>,
    /// All that has been stored, in bytes.
    stored: u64,
    /// The part of it that is in `counted`.
    stored_before: u64,
    /// What is about to be stored, in bytes.
    reserved: u64,
}

impl Usage {
    /// An upper bound of what is there.
    fn there(&self) -> u64 {
        let since = self.stored - self.stored_before;
        self.counted.unwrap_or(u64::MAX).saturating_add(since)
    }

    fn size(&self) -> u64 {
        self.there().saturating_add(self.reserved)
    }
}

/// A count of all objects in progress.
#[must_use]
pub(crate) struct Count {
    stored_before: u64,
}

/// Room for something that is about to be stored. It is free again when this is dropped.
#[must_use]
pub(crate) struct Reservation {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Reservation {
    /// Notes that so many bytes were stored of it; the rest is free again.
    pub(crate) fn used(mut self, bytes: u64) {
        self.quota.settle(std::mem::take(&mut self.bytes), bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.settle(self.bytes, 0);
    }
}

impl Quota {
    /// A quota of so many bytes. Nothing can be reserved before the first count.
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Quota { limit, usage: Mutex::default() }
    }

    /// Whether there is a limit at all.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether nothing is left.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.usage().size() >= limit)
    }

    /// Reserves so many bytes if they are left. Never waits.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation { quota: Arc::clone(self), bytes })
    }

    /// Notes that so many bytes were stored without a reservation.
    pub(crate) fn used_unreserved(&self, bytes: u64) {
        self.settle(0, bytes);
    }

    /// Begins a count of all objects. All that was noted before can be found by it.
    pub(crate) fn begin_count(&self) -> Count {
        Count { stored_before: self.usage().stored }
    }

    /// Notes what a count found, in bytes.
    pub(crate) fn counted(&self, count: Count, found: u64) {
        let mut usage = self.usage();
        let most = found.saturating_add(usage.stored - count.stored_before);
        // What is reserved may be there already, and is noted later.
        let is_ours = found <= usage.size();
        usage.counted = Some(if is_ours { most.min(usage.there()) } else { most });
        usage.stored_before = usage.stored;
    }

    /// Reserves so many bytes. Whether they were left.
    fn take(&self, bytes: u64) -> bool {
        let mut usage = self.usage();
        let size = usage.size().saturating_add(bytes);
        let fits = self.limit.is_none_or(|limit| size <= limit);
        if fits {
            usage.reserved = usage.reserved.saturating_add(bytes);
        }
        fits
    }

    /// Notes that of so many reserved bytes some were used.
    fn settle(&self, reserved: u64, used: u64) {
        let mut usage = self.usage();
        usage.reserved = usage.reserved.saturating_sub(reserved);
        usage.stored = usage.stored.saturating_add(used);
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn quota(limit: u64, found: u64) -> Quota {
        let quota = Quota::new(Some(limit));
        let count = quota.begin_count();
        quota.counted(count, found);
        quota
    }

    #[test]
    fn a_quota_is_used_up_to_the_last_byte() {
        let quota = quota(10, 4);
        assert!(!quota.take(7));
        assert!(quota.take(6));
        assert!(quota.is_full() && !quota.take(1));
        quota.settle(6, 5);
        assert!(!quota.is_full() && quota.take(1));
    }

    #[test]
    fn nothing_is_taken_until_it_is_known_what_is_there() {
        let quota = Quota::new(Some(u64::MAX - 1));
        assert!(quota.is_full() && !quota.take(0));
        let count = quota.begin_count();
        quota.counted(count, 0);
        assert!(!quota.is_full() && quota.take(1));
        assert!(!Quota::new(None).is_full() && Quota::new(None).take(u64::MAX));
    }

    #[test]
    fn what_is_on_its_way_during_a_count_is_not_lost() {
        // Reserved before the count, and kept during it, after the count has looked there.
        let quota = quota(10, 0);
        assert!(quota.take(6));
        let count = quota.begin_count();
        quota.settle(6, 5);
        quota.counted(count, 0);
        assert!(!quota.take(6));
        // Kept only after it.
        assert!(quota.take(3));
        let count = quota.begin_count();
        quota.counted(count, 5);
        assert!(!quota.take(3));
        quota.settle(3, 2);
        assert!(!quota.take(4) && quota.take(3));
    }

    #[test]
    fn what_is_stored_during_a_count_is_not_taken_twice() {
        let quota = quota(10, 4);
        let count = quota.begin_count();
        assert!(quota.take(3));
        quota.settle(3, 3);
        quota.counted(count, 7);
        assert!(!quota.take(4) && quota.take(3));
        quota.settle(3, 0);
        // It is found before it is noted.
        assert!(quota.take(2));
        let count = quota.begin_count();
        quota.counted(count, 9);
        quota.settle(2, 2);
        assert!(!quota.take(2) && quota.take(1));
        quota.settle(1, 0);
        let count = quota.begin_count();
        quota.counted(count, 7);
        // Something was deleted meanwhile, and nobody knows whether the rest was found.
        let count = quota.begin_count();
        assert!(quota.take(2));
        quota.settle(2, 2);
        quota.counted(count, 5);
        assert!(!quota.take(4) && quota.take(3));
        quota.settle(3, 0);
        // More than can be: others store there as well, and go on meanwhile.
        let count = quota.begin_count();
        assert!(quota.take(1));
        quota.settle(1, 1);
        quota.counted(count, 9);
        assert!(quota.is_full() && !quota.take(1));
    }

    #[test]
    fn room_that_nobody_uses_is_free_again() {
        let quota = Arc::new(quota(10, 0));
        let held = quota.reserve(8);
        assert!(held.is_some() && quota.reserve(3).is_none());
        drop(held);
        let held = quota.reserve(8).unwrap();
        assert!(quota.reserve(3).is_none());
        held.used(7);
        assert!(
            quota.reserve(4).is_none() && quota.reserve(3).is_some() && quota.reserve(3).is_some()
        );
    }

    #[test]
    fn a_count_that_finds_less_makes_room() {
        let quota = quota(10, 10);
        assert!(quota.is_full());
        let count = quota.begin_count();
        quota.counted(count, 3);
        assert!(quota.take(7) && !quota.take(1));
    }
}
