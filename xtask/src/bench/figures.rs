//! Figures as people read them.

/// A number with a comma between groups of three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
pub(super) fn bytes(value: f64) -> String {
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
    fn digits_are_grouped() {
        let counts = [0, 999, 1_000, 38_567, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "38,567", "1,234,567"]);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(seconds(1.234), "1.23 s");
        assert_eq!(seconds(0.1234), "0.12 s");
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(seconds(0.00123), "1.23 ms");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(bytes(126.4e6), "126 MB");
        assert_eq!(bytes(5.1e6), "5.1 MB");
        assert_eq!(bytes(12.34e9), "12.3 GB");
    }
}
