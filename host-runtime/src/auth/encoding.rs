//! The text form of tokens.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};

/// The longest text that is parsed as a token, in bytes. A token has a few hundred bytes, and each
/// attenuation adds two or three hundred.
pub const MAX_TOKEN_SIZE: usize = 16 * 1024;

/// The alphabet of Biscuit, with or without padding.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a token, from base64 in either alphabet, with or without padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    decode_up_to(text, MAX_TOKEN_SIZE)
}

/// Like [`decode`], for a text of up to `limit` bytes.
pub(super) fn decode_up_to(text: &str, limit: usize) -> Option<Vec<u8>> {
    if text.len() > limit {
        return None;
    }
    if text.contains(['+', '/']) {
        return URL_SAFE.decode(text.replace('+', "-").replace('/', "_")).ok();
    }
    URL_SAFE.decode(text).ok()
}

/// The text of a token, as Biscuit writes it.
pub(super) fn encode(token: &[u8]) -> String {
    URL_SAFE.encode(token)
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding() {
        for text in ["-_-_AA==", "-_-_AA", "+/+/AA==", "+/-_AA"] {
            assert_eq!(decode(text).unwrap(), [0xfb, 0xff, 0xbf, 0x00], "{text}");
        }
    }

    #[test]
    fn one_token_has_no_second_text_by_stray_bits() {
        for text in ["-_-_AB==", "-_-_A", "-_-_A A", "-_-_AA==A", "ä"] {
            assert!(decode(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_looked_at() {
        assert!(decode(&"A".repeat(MAX_TOKEN_SIZE)).is_some());
        assert!(decode(&"A".repeat(MAX_TOKEN_SIZE + 4)).is_none());
    }
}
