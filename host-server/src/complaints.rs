//! What is wrong again and again is said once, and then now and then.

use std::time::{Duration, Instant};

/// How long the same complaint is not repeated.
const SILENCE: Duration = Duration::from_secs(60 * 60);

/// What was last said about something that is looked at all the time.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: Option<(String, Instant)>,
}

impl Complaints {
    /// Whether this has to be said: it is another complaint than the last one, or that is long ago.
    pub(crate) fn is_due(&mut self, complaint: &str, now: Instant) -> bool {
        let same = |(said, when): &(String, Instant)| {
            said == complaint && now.saturating_duration_since(*when) < SILENCE
        };
        if self.last.as_ref().is_some_and(same) {
            return false;
        }
        self.last = Some((complaint.to_owned(), now));
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
        let mut complaints = Complaints::default();
        assert!(!complaints.end());
        let said = [0, 5, 10, 3599, 3600, 3605, 7199, 7200]
            .map(|seconds| complaints.is_due("missing", after(seconds)));
        assert_eq!(said, [true, false, false, false, true, false, false, true]);
        assert!(complaints.is_due("malformed", after(7205)));
        assert!(!complaints.is_due("malformed", after(7210)));
        assert!(complaints.is_due("missing", after(7215)));
        assert!(complaints.end() && !complaints.end());
        assert!(complaints.is_due("missing", after(7220)), "it had been well in between");
    }
}
