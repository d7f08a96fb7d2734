//! Numbers as people read them.

/// Formats a number with commas between groups of three digits.
pub(crate) fn count(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let counts = [0, 999, 1_000, 38_567, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "38,567", "1,234,567"]);
    }
}
