//! What all requests of a remote share.

use btdt_host_runtime::clock;
use btdt_host_runtime::http_rules::{Bearer, Pause, TokenSource};
use btdt_ports::TransferFailure;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};

/// How long to wait for a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// How long to wait for the next bytes, in either direction. There is no limit for a whole
/// transfer.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// How long to wait for the message of a refusal, whose status says the most already.
pub(super) const REFUSAL: Duration = Duration::from_secs(5);

/// What all requests of a remote share.
pub(super) struct Shared {
    pub(super) bearer: Bearer,
    failure: Mutex<Option<TransferFailure>>,
}

impl Shared {
    pub(super) fn new(token: Option<Arc<dyn TokenSource>>) -> Self {
        Shared { bearer: Bearer::new(token, clock::now), failure: Mutex::default() }
    }

    /// Remembers why a transfer failed.
    pub(super) fn remember(&self, failure: TransferFailure) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Why a transfer failed last.
    pub(super) fn failure(&self) -> Option<TransferFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Pause for Shared {
    fn pause(&self, duration: Duration) {
        subscribe_duration(nanoseconds(duration)).block();
    }
}

/// Waits until one of these is ready; false when none was for so long.
pub(super) fn wait(pollables: &[&Pollable], patience: Duration) -> bool {
    let timer = subscribe_duration(nanoseconds(patience));
    let mut all = pollables.to_vec();
    all.push(&timer);
    poll(&all).into_iter().any(|index| (index as usize) < pollables.len())
}

/// A duration of `wasi:clocks`.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
