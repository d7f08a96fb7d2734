//! The format of ustar: sizes, limits and the fields of a header.

use std::ops::Range;

/// Headers and contents are aligned to this many bytes.
pub(super) const BLOCK: usize = 512;

/// Largest chunk that is read or assembled, in bytes of raw content.
pub(super) const MAX_CHUNK: u32 = 4 << 20;

/// Longest path, target or extended header in bytes: far more than any file system allows.
pub(super) const MAX_EXTENSION: usize = 1 << 20;

/// The number of zeros that follow content of this size.
pub(super) const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// The two blocks of zeros at the end.
pub(super) const END: u64 = 2 * BLOCK as u64;

/// Magic and version of ustar.
pub(super) const USTAR: &[u8; 8] = b"ustar\x0000";

/// Positions of the fields of a ustar header.
pub(super) mod field {
    use super::Range;

    pub(crate) const NAME: Range<usize> = 0..100;
    pub(crate) const MODE: Range<usize> = 100..108;
    pub(crate) const UID: Range<usize> = 108..116;
    pub(crate) const GID: Range<usize> = 116..124;
    pub(crate) const SIZE: Range<usize> = 124..136;
    pub(crate) const MODIFIED: Range<usize> = 136..148;
    pub(crate) const CHECKSUM: Range<usize> = 148..156;
    pub(crate) const KIND: usize = 156;
    pub(crate) const LINK: Range<usize> = 157..257;
    pub(crate) const MAGIC: Range<usize> = 257..265;
    pub(crate) const DEVICE_MAJOR: Range<usize> = 329..337;
    pub(crate) const DEVICE_MINOR: Range<usize> = 337..345;
    pub(crate) const PREFIX: Range<usize> = 345..500;
}

/// The sum of all bytes; those of the checksum itself count as spaces.
pub(super) fn checksum(header: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let blank = u32::from(b' ') * field::CHECKSUM.len() as u32;
    sum(&header[..field::CHECKSUM.start]) + blank + sum(&header[field::CHECKSUM.end..])
}
