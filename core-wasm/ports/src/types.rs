//! Values that every interface uses.

use std::fmt;

/// A SHA-256 (or, where a caller asked for it, BLAKE3) digest: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; Digest::LENGTH]);

impl Digest {
    /// Length of a digest in bytes.
    pub const LENGTH: usize = 32;

    /// Wraps the bytes of a digest.
    #[must_use]
    pub const fn new(bytes: [u8; Digest::LENGTH]) -> Self {
        Digest(bytes)
    }

    /// The bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Digest::LENGTH] {
        &self.0
    }

    /// The digest in lower-case hexadecimal, as `sha256sum` prints it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
    }

    /// Reads what [`Digest::to_hex`] writes; anything else, upper case included, is `None`.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let hex = hex.as_bytes();
        if hex.len() != 2 * Digest::LENGTH {
            return None;
        }
        let mut bytes = [0; Digest::LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Digest(bytes))
    }

    /// Digests in hexadecimal, each followed by a line feed.
    #[must_use]
    pub fn to_lines(digests: &[Digest]) -> String {
        let mut lines = String::with_capacity(digests.len() * (2 * Digest::LENGTH + 1));
        for digest in digests {
            lines.push_str(&digest.to_hex());
            lines.push('\n');
        }
        lines
    }

    /// The digest as four big-endian words, the form in which it crosses the WIT boundary.
    #[must_use]
    pub fn to_words(&self) -> [u64; 4] {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.0.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        words
    }

    /// The inverse of [`Digest::to_words`].
    #[must_use]
    pub fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; Digest::LENGTH];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    /// `sha256:<hex>`, the form that people see.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A hash function that a user can choose for `hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256, the default.
    Sha256,
    /// BLAKE3 with 256 bits, as btdt 0.4 used it.
    Blake3,
}

/// A point in time relative to 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds to add, less than 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The time that many whole seconds later, or the last representable one.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let added = i64::try_from(seconds).unwrap_or(i64::MAX);
        Timestamp { seconds: self.seconds.saturating_add(added), ..self }
    }

    /// Whole seconds from `earlier` to this time; zero where `earlier` is in fact later.
    #[must_use]
    pub fn seconds_since(self, earlier: Timestamp) -> u64 {
        let mut seconds = self.seconds.saturating_sub(earlier.seconds);
        if self.nanoseconds < earlier.nanoseconds {
            seconds = seconds.saturating_sub(1);
        }
        u64::try_from(seconds).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_hexadecimal_and_words() {
        let digest = Digest::new(std::array::from_fn(|index| index as u8 * 7 + 3));
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_words(digest.to_words()), digest);
    }

    #[test]
    fn hexadecimal_of_another_form_is_no_digest() {
        let hex = Digest::new([0xab; 32]).to_hex();
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), None);
        assert_eq!(Digest::from_hex(&hex[1..]), None);
        assert_eq!(Digest::from_hex(&hex.replace('a', "é")), None);
    }

    #[test]
    fn differences_of_time_saturate() {
        let at = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        assert_eq!(at(10, 0).seconds_since(at(7, 0)), 3);
        assert_eq!(at(10, 0).seconds_since(at(7, 1)), 2);
        assert_eq!(at(7, 0).seconds_since(at(10, 0)), 0);
        assert_eq!(at(i64::MAX, 0).seconds_since(at(i64::MIN, 0)), i64::MAX as u64);
        assert_eq!(at(5, 1).plus_seconds(u64::MAX), at(i64::MAX, 1));
    }
}
