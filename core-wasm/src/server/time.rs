//! Times as RFC 3339 writes them.

use btdt_ports::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;

/// The years 0000 to 9999, which are all that RFC 3339 has, in seconds since 1970.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// `time` in UTC with milliseconds. Times outside of the years 0 to 9999 become their bounds.
pub(super) fn rfc_3339(time: Timestamp) -> String {
    let seconds = time.seconds.clamp(FIRST, LAST);
    let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milliseconds = time.nanoseconds.min(999_999_999) / 1_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01. Years begin in March here, so that the
/// leap day comes last, and repeat every 400.
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
}
