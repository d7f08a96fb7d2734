//! Medians, and figures as people read them.

use std::time::Duration;

/// Median, smallest and largest of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` for an empty list.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            (values[middle - 1] + values[middle]) / 2.0
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    /// The spread of times, in seconds.
    pub(super) fn of_times(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        Self::of(times.into_iter().map(|time| time.as_secs_f64()))
    }
}

/// Seconds as `12.3 s`, `1.23 s`, `0.12 s`, below a tenth as `12.3 ms`.
pub(super) fn seconds(value: f64) -> String {
    if value < 0.0995 {
        format!("{} ms", three_digits(value * 1e3))
    } else {
        format!("{} s", three_digits(value))
    }
}

/// Bytes in decimal megabytes or gigabytes, as disks and networks count.
pub(super) fn bytes(value: u64) -> String {
    let value = value as f64;
    if value < 9_950_000.0 {
        format!("{:.1} MB", value / 1e6)
    } else if value < 9_999_500_000.0 {
        format!("{:.0} MB", value / 1e6)
    } else {
        format!("{:.1} GB", value / 1e9)
    }
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of([7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(seconds(1.234), "1.23 s");
        assert_eq!(seconds(0.1234), "0.12 s");
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(seconds(0.00123), "1.23 ms");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(bytes(126_400_000), "126 MB");
        assert_eq!(bytes(5_100_000), "5.1 MB");
        assert_eq!(bytes(12_340_000_000), "12.3 GB");
    }
}
