//! Sizes and times as people write them: on command lines, in configuration files, in messages.

use std::time::Duration;

/// Parses a size in bytes: `500Mi`, `10GiB`, `1GB`, `1048576`, or a sum such as `1Gi 200Mi`.
///
/// # Errors
/// A message for the user.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Err("a size is needed, for example 500MiB or 10GB".to_owned());
    }
    let mut total: u64 = 0;
    let mut ended = false;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |character| character.is_ascii_digit());
        if digits.is_empty() {
            return Err(format!("a whole number was expected at {rest:?}"));
        }
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        let too_large = || format!("{text:?} is more than 16 EiB - 1");
        let number: u64 = digits.parse().map_err(|_| too_large())?;
        let bytes = unit_size(unit).ok_or_else(|| {
            format!("unknown unit {unit:?}; known are B, kB, MB, GB, TB, PB, EB and KiB, MiB, GiB, TiB, PiB, EiB")
        })?;
        // Only the last part may lack a unit: in `1 000 000`, the blanks group digits.
        if ended {
            return Err(format!(
                "each part of the sum {text:?} but the last needs a unit, for example 1GiB 200MiB"
            ));
        }
        ended = unit.is_empty();
        let part = number.checked_mul(bytes).ok_or_else(too_large)?;
        total = total.checked_add(part).ok_or_else(too_large)?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// The bytes that a unit stands for. There is no `e`: to most people, `1e3` is a thousand and not
/// an exabyte and three bytes.
fn unit_size(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    if matches!(&*unit, "" | "b") {
        return Some(1);
    }
    let prefix = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match prefix.strip_suffix('i') {
        Some(prefix) => (prefix, 1024_u64),
        None => (prefix, 1000),
    };
    let power = ["k", "m", "g", "t", "p", "e"].iter().position(|known| *known == prefix)?;
    (unit != "e").then(|| base.pow(power as u32 + 1))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|character| !belongs(character)).unwrap_or(text.len()))
}

/// Parses an age in seconds, rounded up: `7d`, `2weeks`, `1h 30min`.
///
/// # Errors
/// A message for the user.
pub fn parse_age(text: &str) -> Result<u64, String> {
    let age = parse_duration(text)?;
    Ok(age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0)))
}

/// Parses a duration: `30s`, `10min`, `7days`, `1h 30min`, `250ms`.
///
/// # Errors
/// A message for the user.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// A duration for people, in a form that [`parse_duration`] reads.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A size for people, in binary units.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).max(1) as usize;
    let mut unit = UNITS[(power - 1).min(UNITS.len() - 1)];
    let mut scaled = bytes as f64 / (1_u64 << (10 * power)) as f64;
    if scaled >= 1023.95 && power < UNITS.len() {
        (scaled, unit) = (1.0, UNITS[power]);
    }
    format!("{scaled:.1} {unit}")
}

/// A count with its noun.
#[must_use]
pub fn show_count(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_understood() {
        for (text, bytes) in [
            ("0", 0),
            ("500Mi", 500 << 20),
            ("10GiB", 10 << 30),
            ("1GB", 1_000_000_000),
            ("1Gi 200Mi", (1 << 30) + (200 << 20)),
            ("1gi200mi1", (1 << 30) + (200 << 20) + 1),
            ("2EB 1Pi", 2_000_000_000_000_000_000 + (1 << 50)),
            (" 7 kB ", 7000),
            ("15EiB 1023PiB", u64::MAX - ((1 << 50) - 1)),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_that_are_refused() {
        for text in ["", " ", "GiB", "-1", "1.5GiB", "1 parsec", "16EiB", "18446744073709551616"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        // Numbers as computers write them, and as people group them.
        for text in ["1e", "1E", "1e3", "1e30", "1e3B", "1 e", "1 000 000", "5 3GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages_are_rounded_up() {
        assert_eq!(parse_age("7d"), Ok(7 * 24 * 60 * 60));
        assert_eq!(parse_age("1ms"), Ok(1));
        assert_eq!(parse_age("0s"), Ok(0));
        assert!(parse_age("100000000000000y").is_err());
    }

    #[test]
    fn durations_are_read_as_they_are_shown() {
        for seconds in [0, 1, 59, 60, 3600, 86_400, 7 * 86_400, 123_456_789] {
            for nanoseconds in [0, 1, 250_000_000] {
                let duration = Duration::new(seconds, nanoseconds);
                assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
            }
        }
        for text in ["", "7", "ten minutes", "-1s", "1 parsec"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (568 << 20, "568.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(show_size(bytes), text);
        }
    }
}
