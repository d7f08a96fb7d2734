//! When a request is sent again, and after how long.

use super::request_error::RequestError;
use crate::clock;
use btdt_ports::{HttpError, RetryPolicy, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

/// The longest pause that is not asked for by the server.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// No attempt begins later than this after the first one. Attempts, pauses and what a server asks
/// to wait all count.
pub(super) const BUDGET: Duration = Duration::from_secs(120);

/// Waits between two attempts.
pub trait Pause: Send + Sync {
    /// Returns after `duration`.
    fn pause(&self, duration: Duration);

    /// The current time, by the clock that the pauses are measured with.
    fn now(&self) -> Instant {
        clock::instant()
    }
}

/// The outcome of one attempt.
pub(super) enum Attempt<T> {
    /// A response that is no reason for another attempt.
    Answer(T),
    /// A response that may be, and how long the server asks to wait.
    Busy(T, Option<Duration>),
}

impl<T> Attempt<T> {
    /// The same with another response.
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Attempt::Answer(answer) => Attempt::Answer(map(answer)),
            Attempt::Busy(answer, asked) => Attempt::Busy(map(answer), asked),
        }
    }
}

/// Makes attempts until one succeeds or `policy` or [`BUDGET`] allow no more. `used` counts them.
///
/// # Errors
/// The error of the last attempt.
pub(super) fn persist<T>(
    policy: &RetryPolicy,
    used: &mut u32,
    pause: &dyn Pause,
    attempt: impl FnMut() -> Result<Attempt<T>, RequestError>,
) -> Result<T, HttpError> {
    persist_since(policy, used, pause.now(), pause, attempt)
}

/// [`persist`] for a request that was first sent at `since`.
///
/// # Errors
/// The error of the last attempt.
pub(super) fn persist_since<T>(
    policy: &RetryPolicy,
    used: &mut u32,
    since: Instant,
    pause: &dyn Pause,
    mut attempt: impl FnMut() -> Result<Attempt<T>, RequestError>,
) -> Result<T, HttpError> {
    loop {
        *used += 1;
        let outcome = attempt();
        let asked = match &outcome {
            Ok(Attempt::Answer(_)) => None,
            Ok(Attempt::Busy(_, asked)) => Some(*asked),
            Err(failure) => failure.transient.then_some(None),
        };
        let spent = pause.now().saturating_duration_since(since);
        let next = asked.and_then(|asked| next_pause(policy, *used, asked, spent));
        let Some(next) = next else {
            return match outcome {
                Ok(Attempt::Answer(answer) | Attempt::Busy(answer, _)) => Ok(answer),
                Err(failure) => Err(failure.error),
            };
        };
        // Closes the connection: nothing is held while waiting.
        drop(outcome);
        pause.pause(next);
    }
}

/// How long to wait before the next attempt; `None` where there must be none. `used` attempts were
/// made, the first of which began `spent` ago.
#[must_use]
pub(super) fn next_pause(
    policy: &RetryPolicy,
    used: u32,
    asked: Option<Duration>,
    spent: Duration,
) -> Option<Duration> {
    let pause = delay(policy, used, asked);
    (used < policy.attempts && spent.saturating_add(pause) < BUDGET).then_some(pause)
}

/// How long to wait after so many attempts.
fn delay(policy: &RetryPolicy, used: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked;
    }
    let factor = 1_u64.checked_shl(used.saturating_sub(1)).unwrap_or(u64::MAX);
    let longest = LONGEST_PAUSE.as_millis() as u64;
    let delay = u64::from(policy.delay).saturating_mul(factor).min(longest);
    // Between half and one and a half times as long, so that clients that failed together do not
    // come back together. The standard library's random keys are random enough for that.
    let random = RandomState::new().hash_one(used);
    Duration::from_millis((delay / 2 + random % (delay + 1)).min(longest))
}

/// The value of `Retry-After`: seconds or a date.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date =
        httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let now = Duration::from_secs(u64::try_from(now.seconds).unwrap_or(0));
    Some(date.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use btdt_ports::HttpErrorKind;
    use std::sync::Mutex;

    #[test]
    fn dates_and_seconds() {
        let now = Timestamp { seconds: 784_111_777, nanoseconds: 0 };
        let seconds = |text| retry_after(text, now).map(|duration| duration.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "in the past");
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        let leap_day = seconds("Thu, 29 Feb 2024 12:00:00 GMT");
        assert_eq!(leap_day, Some(1_709_208_000 - 784_111_777));
        for wrong in ["", "-1", "soon", "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn delays_double_within_bounds() {
        let policy = RetryPolicy { attempts: 9, delay: 100, statuses: Vec::new() };
        for (used, nominal) in [(1, 100), (2, 200), (3, 400), (6, 3200)] {
            let milliseconds = delay(&policy, used, None).as_millis();
            assert!((nominal / 2..=nominal * 3 / 2).contains(&milliseconds), "{milliseconds}");
        }
        for used in [30, 64, 65, u32::MAX] {
            assert!(delay(&policy, used, None) <= LONGEST_PAUSE);
        }
    }

    /// A clock on which only pauses and attempts take time.
    struct Fake {
        start: Instant,
        passed: Mutex<Duration>,
    }

    impl Fake {
        fn new() -> Self {
            Fake { start: clock::instant(), passed: Mutex::default() }
        }

        fn passed(&self) -> u64 {
            self.passed.lock().unwrap().as_secs()
        }
    }

    impl Pause for Fake {
        fn pause(&self, duration: Duration) {
            *self.passed.lock().unwrap() += duration;
        }

        fn now(&self) -> Instant {
            self.start + *self.passed.lock().unwrap()
        }
    }

    const MANY: RetryPolicy = RetryPolicy { attempts: 9, delay: 100, statuses: Vec::new() };

    fn busy(asked: u64) -> Result<Attempt<&'static str>, RequestError> {
        Ok(Attempt::Busy("full", Some(Duration::from_secs(asked))))
    }

    #[test]
    fn a_server_that_asks_to_wait_for_too_long_has_the_last_word() {
        for (asked, attempts, waited) in [(121, 1, 0), (3600, 1, 0), (u64::MAX, 1, 0), (50, 3, 100)]
        {
            let fake = Fake::new();
            let mut used = 0;
            assert_eq!(persist(&MANY, &mut used, &fake, || busy(asked)).unwrap(), "full");
            assert_eq!((used, fake.passed()), (attempts, waited), "{asked}");
        }
    }

    #[test]
    fn attempts_that_take_long_are_not_repeated_for_ever() {
        let fake = Fake::new();
        let slow = || {
            fake.pause(Duration::from_secs(60));
            Err::<Attempt<()>, _>(RequestError::transient(HttpErrorKind::TimedOut, "silence"))
        };
        let mut used = 0;
        assert_eq!(persist(&MANY, &mut used, &fake, slow).unwrap_err().detail, "silence");
        assert_eq!(used, 2);
        assert!((120..=121).contains(&fake.passed()), "{}", fake.passed());
        // What was spent on an earlier answer counts as well.
        let since = fake.now();
        fake.pause(BUDGET);
        let mut used = 1;
        persist_since(&MANY, &mut used, since, &fake, || busy(0)).unwrap();
        assert_eq!(used, 2);
        persist_since(&MANY, &mut used, since, &fake, || busy(1)).unwrap();
        assert_eq!(used, 3);
    }
}
