//! Times in the format of RFC 3339, in UTC.
//!
//! The calendar is computed here because the component needs little of it: the `jiff` crate would
//! add 220 KB to its 2.4 MB, and its parser accepts more than this format.

use crate::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;

/// The years 0000 to 9999, the range of RFC 3339, in seconds since 1970.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// `time` in UTC with milliseconds, clamped to the years 0 to 9999.
#[must_use]
pub fn rfc_3339(time: Timestamp) -> String {
    let seconds = time.seconds.clamp(FIRST, LAST);
    let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milliseconds = time.nanoseconds.min(999_999_999) / 1_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// Parses what [`rfc_3339`] writes, with 1 to 9 digits after the point or no fraction; `None` for
/// anything else, such as an offset.
#[must_use]
pub fn parse_rfc_3339(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let shape = text.len() == 19
        && text.bytes().zip(*b"0000-00-00T00:00:00").all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            separator => byte == separator,
        });
    let digits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    if !shape || !digits {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let number = day_number(year, month, day);
    // A day beyond the end of the month would be one of the next month.
    if day < 1 || date(number) != (year, month, day) {
        return None;
    }
    let seconds = number * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some(Timestamp { seconds, nanoseconds })
}

/// The inverse of [`date`].
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day counted from 1970-01-01. Years start in March here, so that the
/// leap day comes last, and the calendar repeats every 400 years.
fn date(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let text = |seconds, nanoseconds| rfc_3339(Timestamp { seconds, nanoseconds });
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(-1, 999_999_999), "1969-12-31T23:59:59.999Z");
        assert_eq!(text(951_782_400, 5_000_000), "2000-02-29T00:00:00.005Z");
        assert_eq!(text(1_790_000_000, 123_456_789), "2026-09-21T14:13:20.123Z");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
        assert_eq!(text(i64::MIN, 0), "0000-01-01T00:00:00.000Z");
        assert_eq!(text(i64::MAX, 0), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut seconds = FIRST;
        while seconds <= LAST {
            let time = Timestamp { seconds, nanoseconds: 7_000_000 };
            assert_eq!(parse_rfc_3339(&rfc_3339(time)), Some(time));
            // About 40 hours, so that all days of leap years and others come up.
            seconds += 143_999;
        }
        let time = |seconds, nanoseconds| Some(Timestamp { seconds, nanoseconds });
        assert_eq!(parse_rfc_3339("1970-01-01T00:00:01Z"), time(1, 0));
        assert_eq!(parse_rfc_3339("1970-01-01T00:00:01.000000009Z"), time(1, 9));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+00:00",
            "1970-01-01 00:00:00Z",
            "1970-1-01T00:00:000Z",
            "1970-00-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-00T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.0000000000Z",
            "1970-01-01T00:00:00.+1Z",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:0\u{e9}Z",
        ] {
            assert_eq!(parse_rfc_3339(text), None, "{text}");
        }
    }
}
