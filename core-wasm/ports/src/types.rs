//! Digests and times.

pub use crate::wit::types::{Algorithm, Digest, Timestamp};
use std::fmt;

impl Digest {
    /// Length of a digest in bytes.
    pub const LENGTH: usize = 32;

    /// The digest of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; Digest::LENGTH]) -> Self {
        let word = |index: usize| {
            bytes[8 * index..][..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Digest { a: word(0), b: word(1), c: word(2), d: word(3) }
    }

    /// The bytes of the digest.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Digest::LENGTH] {
        let mut bytes = [0; Digest::LENGTH];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip([self.a, self.b, self.c, self.d]) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The digest in lower-case hexadecimal, as `sha256sum` prints it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        format!("{:016x}{:016x}{:016x}{:016x}", self.a, self.b, self.c, self.d)
    }

    /// Reads what [`Digest::to_hex`] writes; anything else, upper case included, is `None`.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let lower = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !lower || hex.len() != 2 * Digest::LENGTH {
            return None;
        }
        let word = |index: usize| u64::from_str_radix(hex.get(16 * index..)?.get(..16)?, 16).ok();
        Some(Digest { a: word(0)?, b: word(1)?, c: word(2)?, d: word(3)? })
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
}

impl fmt::Display for Digest {
    /// `sha256:<hex>`, the form that people see.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.to_hex())
    }
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
    fn a_digest_survives_hexadecimal_and_bytes() {
        let bytes = std::array::from_fn(|index| index as u8 * 7 + 3);
        let digest = Digest::new(bytes);
        assert_eq!(digest.a, 0x030a_1118_1f26_2d34);
        assert_eq!(digest.to_bytes(), bytes);
        assert!(digest.to_hex().starts_with("030a1118"));
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
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
