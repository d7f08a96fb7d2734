//! Waiting for the runtime, and for how long.

use std::time::Duration;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};

/// How long to wait for a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// How long to wait for the next bytes, in either direction. A whole transfer has no limit.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// How long to wait for the message of a refusal, whose status already says the most.
pub(super) const REFUSAL: Duration = Duration::from_secs(5);

/// Waits for a time.
pub(super) fn sleep(duration: Duration) {
    subscribe_duration(nanoseconds(duration)).block();
}

/// Waits until one of these is ready; false if none is within `limit`.
pub(super) fn wait(pollables: &[&Pollable], limit: Duration) -> bool {
    let timer = subscribe_duration(nanoseconds(limit));
    let mut all = pollables.to_vec();
    all.push(&timer);
    poll(&all).into_iter().any(|index| (index as usize) < pollables.len())
}

/// A duration of `wasi:clocks`.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
