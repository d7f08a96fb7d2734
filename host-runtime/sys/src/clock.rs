//! The only place that reads the clock.

use btdt_ports::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time of day.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the only place that reads the clock")]
pub fn now() -> Timestamp {
    let (seconds, nanoseconds) = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        // A clock before 1970 is wrong by decades; the epoch will do.
        Err(_) => (0, 0),
    };
    Timestamp { seconds, nanoseconds }
}

/// The current instant, for measuring durations.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the only place that reads the clock")]
pub fn instant() -> Instant {
    Instant::now()
}
