//! How slowly a body may arrive.

use std::time::Duration;

/// Bytes a second that a body has to reach on average, once it has had the idle timeout to begin.
/// A server that sends one byte a minute is never silent, and never done.
pub const MINIMUM_RATE: u64 = 1024;

/// How fast a body arrives. Only the time spent waiting for it counts: a slow reader says nothing
/// about the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArrivalRate {
    received: u64,
    waited: Duration,
}

impl ArrivalRate {
    /// Notes that so many bytes arrived after so long.
    pub const fn note(&mut self, bytes: u64, waited: Duration) {
        self.received = self.received.saturating_add(bytes);
        self.waited = self.waited.saturating_add(waited);
    }

    /// Whether it is below [`MINIMUM_RATE`], not counting the first `allowance`.
    #[must_use]
    pub fn is_too_slow(&self, allowance: Duration) -> bool {
        let measured = self.waited.saturating_sub(allowance).as_millis();
        u128::from(self.received) * 1000 < measured.saturating_mul(MINIMUM_RATE.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_after_an_allowance() {
        let minute = Duration::from_secs(60);
        let mut trickle = ArrivalRate::default();
        for _ in 0..60 {
            trickle.note(1, Duration::from_secs(1));
            assert!(!trickle.is_too_slow(minute), "{trickle:?}");
        }
        trickle.note(1, Duration::from_secs(1));
        assert!(trickle.is_too_slow(minute), "{trickle:?}");
        // What came fast in the beginning is credit for later.
        let mut steady = ArrivalRate::default();
        steady.note(MINIMUM_RATE * 3600, Duration::ZERO);
        steady.note(0, minute + Duration::from_secs(3600));
        assert!(!steady.is_too_slow(minute), "{steady:?}");
        steady.note(0, Duration::from_millis(1));
        assert!(steady.is_too_slow(minute), "{steady:?}");
        steady.note(u64::MAX, Duration::MAX);
        assert!(steady.is_too_slow(minute), "{steady:?}");
    }
}
