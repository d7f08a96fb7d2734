//! When a request is sent again, and after how long.

use super::Failure;
use crate::clock;
use btdt_ports::{HttpError, RetryPolicy, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// No pause of our own choice is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// So long after its first attempt a request is not begun again: attempts, pauses and what a
/// server asks to wait all count.
pub const BUDGET: Duration = Duration::from_secs(120);

/// Waits between two attempts.
pub trait Pause: Send + Sync {
    /// Returns after `duration`.
    fn pause(&self, duration: Duration);

    /// The moment, by the clock that the pauses are measured with.
    fn now(&self) -> Instant {
        clock::instant()
    }
}

/// What became of one attempt.
pub enum Attempt<T> {
    /// An answer that is no reason for another attempt.
    Answer(T),
    /// An answer that may be, and how long its sender asks to wait.
    Busy(T, Option<Duration>),
}

impl<T> Attempt<T> {
    /// The same with another answer.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Attempt::Answer(answer) => Attempt::Answer(map(answer)),
            Attempt::Busy(answer, asked) => Attempt::Busy(map(answer), asked),
        }
    }
}

/// What an answer of this status means for further attempts; `asked` is its `Retry-After`.
pub fn judge<T>(
    policy: &RetryPolicy,
    status: u16,
    asked: Option<&str>,
    now: Timestamp,
    value: T,
) -> Attempt<T> {
    if !policy.statuses.contains(&status) {
        return Attempt::Answer(value);
    }
    Attempt::Busy(value, asked.and_then(|asked| retry_after(asked, now)))
}

/// Makes attempts until one succeeds or `policy` or [`BUDGET`] allow no more; `used` counts them
/// all.
///
/// # Errors
/// That of the last attempt.
pub fn persist<T>(
    policy: &RetryPolicy,
    used: &mut u32,
    pause: &dyn Pause,
    attempt: impl FnMut() -> Result<Attempt<T>, Failure>,
) -> Result<T, HttpError> {
    persist_since(policy, used, pause.now(), pause, attempt)
}

/// [`persist`] for a request that was first sent at `since`.
///
/// # Errors
/// That of the last attempt.
pub fn persist_since<T>(
    policy: &RetryPolicy,
    used: &mut u32,
    since: Instant,
    pause: &dyn Pause,
    mut attempt: impl FnMut() -> Result<Attempt<T>, Failure>,
) -> Result<T, HttpError> {
    loop {
        *used += 1;
        let outcome = attempt();
        let asked = match &outcome {
            Ok(Attempt::Answer(_)) => None,
            Ok(Attempt::Busy(_, asked)) => Some(*asked),
            Err(failure) => failure.passing.then_some(None),
        };
        let spent = pause.now().saturating_duration_since(since);
        let next = asked.and_then(|asked| next_pause(policy, *used, asked, spent));
        let Some(next) = next else {
            return match outcome {
                Ok(Attempt::Answer(answer) | Attempt::Busy(answer, _)) => Ok(answer),
                Err(failure) => Err(failure.error),
            };
        };
        // Closes its connection, so that nothing is held while waiting.
        drop(outcome);
        pause.pause(next);
    }
}

/// How long to wait before the next attempt after so many, the first of which was begun `spent`
/// ago; `None` where there is to be none.
#[must_use]
pub fn next_pause(
    policy: &RetryPolicy,
    used: u32,
    asked: Option<Duration>,
    spent: Duration,
) -> Option<Duration> {
    let pause = delay(policy, used, asked);
    (used < policy.attempts && spent.saturating_add(pause) < BUDGET).then_some(pause)
}

/// How long to wait after so many attempts.
#[must_use]
pub fn delay(policy: &RetryPolicy, used: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked;
    }
    let factor = 1_u64.checked_shl(used.saturating_sub(1)).unwrap_or(u64::MAX);
    let longest = LONGEST_PAUSE.as_millis() as u64;
    let delay = u64::from(policy.delay).saturating_mul(factor).min(longest);
    // Anywhere between half and one and a half of it, so that clients that failed together do
    // not come back together. The standard library's random keys are random enough for that.
    let random = RandomState::new().hash_one(used);
    Duration::from_millis((delay / 2 + random % (delay + 1)).min(longest))
}

/// The value of `Retry-After`: seconds or a date.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = parse_date(value)?.saturating_sub(now.seconds);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let mut number = |limit: i64| -> Option<i64> {
        words.next()?.parse().ok().filter(|number| (0..=limit).contains(number))
    };
    let day = number(31)?;
    let month = words.next().filter(|name| name.len() == 3)?;
    let month = i64::try_from(MONTHS.find(month)?).ok()? / 3 + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    if !valid || words.next()? != "GMT" {
        return None;
    }
    // Years begin in March here, so that the day that may be missing is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
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
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
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

    fn busy(asked: u64) -> Result<Attempt<&'static str>, Failure> {
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
            Err::<Attempt<()>, _>(Failure::passing(HttpErrorKind::TimedOut, "silence"))
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
