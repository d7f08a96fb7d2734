//! When a request is sent again, and after how long.

use super::Failure;
use btdt_ports::{HttpError, RetryPolicy, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Nothing is waited for longer than this, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Waits between two attempts.
pub trait Pause: Send + Sync {
    /// Returns after `duration`.
    fn pause(&self, duration: Duration);
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

/// Makes attempts until one succeeds or `policy` allows no more; `used` counts them all.
///
/// # Errors
/// That of the last attempt.
pub fn persist<T>(
    policy: &RetryPolicy,
    used: &mut u32,
    pause: &dyn Pause,
    mut attempt: impl FnMut() -> Result<Attempt<T>, Failure>,
) -> Result<T, HttpError> {
    loop {
        *used += 1;
        let last = *used >= policy.attempts;
        let asked = match attempt() {
            Ok(Attempt::Answer(answer)) => return Ok(answer),
            Ok(Attempt::Busy(answer, _)) if last => return Ok(answer),
            Err(failure) if last || !failure.passing => return Err(failure.error),
            Ok(Attempt::Busy(_, asked)) => asked,
            Err(_) => None,
        };
        pause.pause(delay(policy, *used, asked));
    }
}

/// How long to wait after so many attempts.
#[must_use]
pub fn delay(policy: &RetryPolicy, used: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_PAUSE);
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
        assert_eq!(delay(&policy, 1, Some(Duration::from_secs(3600))), LONGEST_PAUSE);
    }
}
