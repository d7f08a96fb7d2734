//! The room in a cache: how much of its quota is taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much a cache holds, and how much it may.
///
/// The size is what a count of all its objects found, what has been stored since that count, and
/// what is about to be stored. It is rather too large than too small: of what is stored while a
/// count goes on nobody knows whether it was found. It is never larger than before the count,
/// though, unless the count shows that others store there as well.
pub(crate) struct Room {
    /// Largest size in bytes.
    quota: Option<u64>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// What there was after the last count, in bytes; `None` before the first one.
    counted: Option<u64>,
    /// All that has been stored, in bytes.
    stored: u64,
    /// What of it is in `counted`.
    stored_before: u64,
    /// What is about to be stored, in bytes.
    reserved: u64,
}

impl Taken {
    /// What is there, at most.
    fn there(&self) -> u64 {
        let since = self.stored - self.stored_before;
        self.counted.unwrap_or(u64::MAX).saturating_add(since)
    }

    fn size(&self) -> u64 {
        self.there().saturating_add(self.reserved)
    }
}

/// A count of all objects that is going on.
#[must_use]
pub(crate) struct Count {
    stored_before: u64,
}

/// Room that is kept for something that is about to be stored. It is free again when this is
/// dropped: whoever wanted it may be gone, or be refused for another reason.
#[must_use]
pub(crate) struct Reservation {
    room: Arc<Room>,
    bytes: u64,
}

impl Reservation {
    /// Gives up the care for it; how much it is, in bytes, for [`Room::use_room`].
    pub(crate) fn release(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.use_room(self.bytes, 0);
    }
}

impl Room {
    /// Room for so many bytes. Nothing is taken until it is known what is there.
    pub(crate) fn new(quota: Option<u64>) -> Self {
        Room { quota, taken: Mutex::default() }
    }

    /// Whether it is limited at all.
    pub(crate) fn is_limited(&self) -> bool {
        self.quota.is_some()
    }

    /// Whether there is none left.
    pub(crate) fn is_full(&self) -> bool {
        self.quota.is_some_and(|quota| self.taken().size() >= quota)
    }

    /// Whether there is room for so many bytes more, which is then reserved.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        let mut taken = self.taken();
        let size = taken.size().saturating_add(bytes);
        let fits = self.quota.is_none_or(|quota| size <= quota);
        if fits {
            taken.reserved = taken.reserved.saturating_add(bytes);
        }
        fits
    }

    /// The same for as long as what it gives is kept.
    pub(crate) fn hold(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.reserve(bytes).then(|| Reservation { room: Arc::clone(self), bytes })
    }

    /// Notes that of room that was reserved so much has been used.
    pub(crate) fn use_room(&self, reserved: u64, used: u64) {
        let mut taken = self.taken();
        taken.reserved = taken.reserved.saturating_sub(reserved);
        taken.stored = taken.stored.saturating_add(used);
    }

    /// Begins a count of all objects. All that was noted before is there to be found.
    pub(crate) fn begin_count(&self) -> Count {
        Count { stored_before: self.taken().stored }
    }

    /// Notes what a count found, in bytes.
    pub(crate) fn counted(&self, count: Count, found: u64) {
        let mut taken = self.taken();
        let most = found.saturating_add(taken.stored - count.stored_before);
        // What is reserved may be there already, and is noted later.
        let is_ours = found <= taken.size();
        taken.counted = Some(if is_ours { most.min(taken.there()) } else { most });
        taken.stored_before = taken.stored;
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn room(quota: u64, found: u64) -> Room {
        let room = Room::new(Some(quota));
        let count = room.begin_count();
        room.counted(count, found);
        room
    }

    #[test]
    fn a_quota_is_used_up_to_the_last_byte() {
        let room = room(10, 4);
        assert!(!room.reserve(7));
        assert!(room.reserve(6));
        assert!(room.is_full() && !room.reserve(1));
        room.use_room(6, 5);
        assert!(!room.is_full() && room.reserve(1));
    }

    #[test]
    fn nothing_is_taken_until_it_is_known_what_is_there() {
        let room = Room::new(Some(u64::MAX - 1));
        assert!(room.is_full() && !room.reserve(0));
        let count = room.begin_count();
        room.counted(count, 0);
        assert!(!room.is_full() && room.reserve(1));
        assert!(!Room::new(None).is_full() && Room::new(None).reserve(u64::MAX));
    }

    #[test]
    fn what_is_on_its_way_during_a_count_is_not_lost() {
        // Reserved before the count, and kept during it, after the count has looked there.
        let room = room(10, 0);
        assert!(room.reserve(6));
        let count = room.begin_count();
        room.use_room(6, 5);
        room.counted(count, 0);
        assert!(!room.reserve(6));
        // Kept only after it.
        assert!(room.reserve(3));
        let count = room.begin_count();
        room.counted(count, 5);
        assert!(!room.reserve(3));
        room.use_room(3, 2);
        assert!(!room.reserve(4) && room.reserve(3));
    }

    #[test]
    fn what_is_stored_during_a_count_is_not_taken_twice() {
        let room = room(10, 4);
        let count = room.begin_count();
        assert!(room.reserve(3));
        room.use_room(3, 3);
        room.counted(count, 7);
        assert!(!room.reserve(4) && room.reserve(3));
        room.use_room(3, 0);
        // It is found before it is noted.
        assert!(room.reserve(2));
        let count = room.begin_count();
        room.counted(count, 9);
        room.use_room(2, 2);
        assert!(!room.reserve(2) && room.reserve(1));
        room.use_room(1, 0);
        let count = room.begin_count();
        room.counted(count, 7);
        // Something was deleted meanwhile, and nobody knows whether the rest was found.
        let count = room.begin_count();
        assert!(room.reserve(2));
        room.use_room(2, 2);
        room.counted(count, 5);
        assert!(!room.reserve(4) && room.reserve(3));
        room.use_room(3, 0);
        // More than can be: others store there as well, and go on meanwhile.
        let count = room.begin_count();
        assert!(room.reserve(1));
        room.use_room(1, 1);
        room.counted(count, 9);
        assert!(room.is_full() && !room.reserve(1));
    }

    #[test]
    fn room_that_nobody_uses_is_free_again() {
        let room = Arc::new(room(10, 0));
        let held = room.hold(8);
        assert!(held.is_some() && room.hold(3).is_none());
        drop(held);
        let bytes = room.hold(8).unwrap().release();
        assert!(bytes == 8 && room.hold(3).is_none());
        room.use_room(bytes, 7);
        assert!(room.hold(4).is_none() && room.hold(3).is_some() && room.hold(3).is_some());
    }

    #[test]
    fn a_count_that_finds_less_makes_room() {
        let room = room(10, 10);
        assert!(room.is_full());
        let count = room.begin_count();
        room.counted(count, 3);
        assert!(room.reserve(7) && !room.reserve(1));
    }
}
