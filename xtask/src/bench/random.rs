//! Content that is the same on every machine: a small seeded generator and what is made with it.

use std::ops::Range;

/// `SplitMix64`: eight good bytes per step, from any seed.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without `limit`; the tiny bias does not matter here.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Fills the buffer with letters, digits and two more: six random bits in each byte.
    fn fill_letters(&mut self, buffer: &mut [u8]) {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for part in buffer.chunks_mut(10) {
            let mut bits = self.next();
            for byte in part {
                *byte = LETTERS[(bits % 64) as usize];
                bits >>= 6;
            }
        }
    }

    /// Fills the buffer with bytes that no compressor makes smaller.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }
}

/// Content that compresses: phrases from a fixed vocabulary, the common ones far more often than the
/// rare ones, and between them stretches that occur only once.
#[derive(Debug)]
pub(super) struct Text {
    phrases: Vec<Vec<u8>>,
    /// One in so many pieces is new.
    new_every: u64,
    new_length: usize,
}

impl Text {
    /// Words: about as hard for a compressor as source code.
    pub(super) fn words(seed: u64) -> Self {
        Self { phrases: vocabulary(seed, 8192, 2..10), new_every: 16, new_length: 6 }
    }

    /// Long repetitions and new data, as in programs and archives: less work for each byte.
    pub(super) fn records(seed: u64) -> Self {
        Self { phrases: vocabulary(seed, 1024, 64..320), new_every: 2, new_length: 152 }
    }

    /// Fills the buffer; the same state of `random` gives the same text.
    pub(super) fn fill(&self, random: &mut Random, buffer: &mut [u8]) {
        let mut new = vec![0; self.new_length];
        let mut rest = buffer;
        while !rest.is_empty() {
            let bits = random.next();
            let piece = if bits.is_multiple_of(self.new_every) {
                random.fill_letters(&mut new);
                &new
            } else {
                // A number of halvings that is itself uniform: short indexes are the common ones.
                let index = ((bits >> 20) % self.phrases.len() as u64) >> ((bits >> 8) % 10);
                &self.phrases[index as usize]
            };
            let length = piece.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&piece[..length]);
            rest = later;
        }
    }
}

fn vocabulary(seed: u64, count: u64, lengths: Range<u64>) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    let mut phrase = |_| {
        let length = lengths.start + random.below(lengths.end - lengths.start);
        let letter = |_| b"etaoinshrdlucmfwypvbgkjq_(;.{ "[random.below(30) as usize];
        (0..length).map(letter).chain([b' ']).collect()
    };
    (0..count).map(&mut phrase).collect()
}

/// FNV-1a over several parts: tells recipes apart, nothing more.
pub(super) fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in (part.len() as u64).to_le_bytes().iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_sequence() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn text_is_the_same_for_the_same_seed_and_fills_any_length() {
        let text = Text::words(1);
        let make = |seed, length| {
            let mut buffer = vec![0; length];
            text.fill(&mut Random::new(seed), &mut buffer);
            buffer
        };
        assert_eq!(make(5, 1001), make(5, 1001));
        assert_ne!(make(5, 1001), make(6, 1001));
        assert!(make(5, 1001).iter().all(|byte| *byte != 0));
        assert!(make(5, 0).is_empty());
    }

    #[test]
    fn fingerprints_see_where_a_part_ends() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }
}
