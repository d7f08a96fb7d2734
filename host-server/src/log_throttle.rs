//! Repeats the same message in the log only once in a while.

use std::time::{Duration, Instant};

/// How long the same message is not repeated.
const SILENCE: Duration = Duration::from_secs(60 * 60);

/// The last message about something that is checked all the time.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last: Option<(String, Instant)>,
}

impl LogThrottle {
    /// Whether to log this message: it is not the last one, or that was long ago.
    pub(crate) fn is_due(&mut self, message: &str, now: Instant) -> bool {
        let same = |(last, when): &(String, Instant)| {
            last == message && now.saturating_duration_since(*when) < SILENCE
        };
        if self.last.as_ref().is_some_and(same) {
            return false;
        }
        self.last = Some((message.to_owned(), now));
        true
    }

    /// Notes that all is well. Whether it was not before.
    pub(crate) fn end(&mut self) -> bool {
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_an_hour_and_something_else_at_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut throttle = LogThrottle::default();
        assert!(!throttle.end());
        let said = [0, 5, 10, 3599, 3600, 3605, 7199, 7200]
            .map(|seconds| throttle.is_due("missing", after(seconds)));
        assert_eq!(said, [true, false, false, false, true, false, false, true]);
        assert!(throttle.is_due("malformed", after(7205)));
        assert!(!throttle.is_due("malformed", after(7210)));
        assert!(throttle.is_due("missing", after(7215)));
        assert!(throttle.end() && !throttle.end());
        assert!(throttle.is_due("missing", after(7220)), "it had been well in between");
    }
}
