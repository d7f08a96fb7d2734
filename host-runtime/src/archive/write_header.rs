//! Headers of outgoing members.

use super::format::{BLOCK, USTAR, checksum, field, padding};
use btdt_ports::Timestamp;

/// The type of a member, with its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    File = b'0',
    HardLink = b'1',
    Symlink = b'2',
    Directory = b'5',
}

const LONG_LINK: u8 = b'K';
const LONG_NAME: u8 = b'L';
const EXTENDED: u8 = b'x';

/// File names for programs that do not know these records.
const LONG_RECORD_NAME: &[u8] = b"././@LongLink";
const EXTENDED_NAME: &[u8] = b"././@PaxHeader";

/// Largest number of eleven octal digits.
const MAX_OCTAL: u64 = (1 << 33) - 1;

/// A member of the archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) kind: Kind,
    /// Relative, with a trailing slash for a directory.
    pub(super) path: &'a [u8],
    /// Target of a link, or empty.
    pub(super) link: &'a [u8],
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) modified: Timestamp,
    /// Bytes of content.
    pub(super) size: u64,
}

/// The fields that hold the path.
enum PathFields {
    Name,
    /// The prefix ends at this slash.
    Split(usize),
    Long,
}

impl PathFields {
    fn of(path: &[u8]) -> Self {
        if path.len() <= field::NAME.len() {
            return PathFields::Name;
        }
        // The first slash after which the rest fits; the name must not be empty.
        let first = path.len() - field::NAME.len() - 1;
        let last = field::PREFIX.len().min(path.len() - 2);
        let slash = (first.max(1)..=last).find(|at| path[*at] == b'/');
        slash.map_or(PathFields::Long, PathFields::Split)
    }
}

fn is_long_link(link: &[u8]) -> bool {
    link.len() > field::LINK.len()
}

/// The number of bytes that [`write`] writes.
pub(super) fn length(member: &Member<'_>) -> u64 {
    let record = |size: u64| BLOCK as u64 + size + padding(size);
    let mut length = BLOCK as u64;
    if !has_plain_time(member.modified) {
        length += record(extended_time(member.modified).len() as u64);
    }
    if is_long_link(member.link) {
        length += record(member.link.len() as u64 + 1);
    }
    if matches!(PathFields::of(member.path), PathFields::Long) {
        length += record(member.path.len() as u64 + 1);
    }
    length
}

/// Appends the header of a member, preceded by records for what does not fit into it.
pub(super) fn write(member: &Member<'_>, output: &mut Vec<u8>) {
    if !has_plain_time(member.modified) {
        let text = extended_time(member.modified);
        write_record(EXTENDED, EXTENDED_NAME, &[text.as_bytes()], output);
    }
    if is_long_link(member.link) {
        write_record(LONG_LINK, LONG_RECORD_NAME, &[member.link, b"\0"], output);
    }
    let mut header = [0; BLOCK];
    match PathFields::of(member.path) {
        PathFields::Name => put(&mut header, field::NAME.start, member.path),
        PathFields::Split(slash) => {
            put(&mut header, field::PREFIX.start, &member.path[..slash]);
            put(&mut header, field::NAME.start, &member.path[slash + 1..]);
        }
        PathFields::Long => {
            write_record(LONG_NAME, LONG_RECORD_NAME, &[member.path, b"\0"], output);
            put(&mut header, field::NAME.start, &member.path[..field::NAME.len()]);
        }
    }
    let link = &member.link[..member.link.len().min(field::LINK.len())];
    put(&mut header, field::LINK.start, link);
    let seconds = u64::try_from(member.modified.seconds).unwrap_or(0).min(MAX_OCTAL);
    complete(&mut header, member.kind as u8, member.mode & 0o777, seconds, member.size);
    output.extend_from_slice(&header);
}

/// Appends a record about the next member.
fn write_record(kind: u8, name: &[u8], content: &[&[u8]], output: &mut Vec<u8>) {
    let size: u64 = content.iter().map(|part| part.len() as u64).sum();
    let mut header = [0; BLOCK];
    put(&mut header, field::NAME.start, name);
    complete(&mut header, kind, 0o644, 0, size);
    output.extend_from_slice(&header);
    content.iter().for_each(|part| output.extend_from_slice(part));
    output.resize(output.len() + padding(size) as usize, 0);
}

fn put(header: &mut [u8; BLOCK], at: usize, value: &[u8]) {
    header[at..at + value.len()].copy_from_slice(value);
}

/// Fills in everything but the names.
fn complete(header: &mut [u8; BLOCK], kind: u8, mode: u32, seconds: u64, size: u64) {
    octal(&mut header[field::MODE], u64::from(mode));
    octal(&mut header[field::UID], 0);
    octal(&mut header[field::GID], 0);
    number(&mut header[field::SIZE], size);
    octal(&mut header[field::MODIFIED], seconds);
    header[field::KIND] = kind;
    header[field::MAGIC].copy_from_slice(USTAR);
    octal(&mut header[field::DEVICE_MAJOR], 0);
    octal(&mut header[field::DEVICE_MINOR], 0);
    let sum = checksum(header);
    // Six digits, a NUL and a space, as the oldest readers expect.
    octal(&mut header[field::CHECKSUM.start..field::CHECKSUM.end - 1], u64::from(sum));
    header[field::CHECKSUM.end - 1] = b' ';
}

/// Octal digits, terminated by a NUL.
fn octal(field: &mut [u8], value: u64) {
    let mut left = value;
    let digits = field.len() - 1;
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + (left & 7) as u8;
        left >>= 3;
    }
    field[digits] = 0;
}

/// Like [`octal`], or binary if there are too few digits.
fn number(field: &mut [u8], value: u64) {
    if value <= MAX_OCTAL {
        return octal(field, value);
    }
    let binary = field.len() - size_of::<u64>();
    field[..binary].fill(0);
    field[0] = 0x80;
    field[binary..].copy_from_slice(&value.to_be_bytes());
}

/// Whether a time fits into a header.
fn has_plain_time(time: Timestamp) -> bool {
    time.nanoseconds == 0 && u64::try_from(time.seconds).is_ok_and(|seconds| seconds <= MAX_OCTAL)
}

/// The record of an extended header for a time.
fn extended_time(time: Timestamp) -> String {
    let (sign, seconds, nanoseconds) = match time {
        // A decimal fraction counts away from zero; nanoseconds always count up.
        Timestamp { seconds: ..0, nanoseconds: 1.. } => (
            "-",
            (time.seconds + 1).unsigned_abs(),
            1_000_000_000_u32.saturating_sub(time.nanoseconds),
        ),
        Timestamp { seconds: ..0, .. } => ("-", time.seconds.unsigned_abs(), 0),
        Timestamp { seconds, nanoseconds } => ("", seconds.unsigned_abs(), nanoseconds),
    };
    let fraction = if nanoseconds == 0 { String::new() } else { format!(".{nanoseconds:09}") };
    let record = format!(" mtime={sign}{seconds}{fraction}\n");
    // The length includes itself, two digits: the rest has 9 to 40 bytes.
    format!("{}{record}", record.len() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_times_are_decimal_fractions() {
        let text = |seconds, nanoseconds| extended_time(Timestamp { seconds, nanoseconds });
        assert_eq!(text(1, 500_000_000), "21 mtime=1.500000000\n");
        assert_eq!(text(-1, 0), "12 mtime=-1\n");
        assert_eq!(text(-1, 999_999_999), "22 mtime=-0.000000001\n");
        assert_eq!(text(-2, 500_000_000), "22 mtime=-1.500000000\n");
        assert_eq!(text(i64::MAX, 1), "39 mtime=9223372036854775807.000000001\n");
        assert_eq!(text(i64::MIN, 0), "30 mtime=-9223372036854775808\n");
        for seconds in [i64::MIN, -1, 0, 1 << 33, i64::MAX] {
            for nanoseconds in [0, 1, 999_999_999] {
                let text = text(seconds, nanoseconds);
                let length: usize = text.split(' ').next().unwrap().parse().unwrap();
                assert_eq!(length, text.len(), "{text}");
            }
        }
    }

    #[test]
    fn the_length_is_known_in_advance() {
        let mut output = Vec::new();
        for length_of_path in [1, 99, 100, 101, 200, 255, 256, 257, 258, 511, 512, 5000] {
            for slash in [0, 1, 50, 99, 100, 154, 155, 156] {
                let mut path = vec![b'a'; length_of_path];
                if slash > 0 && slash < path.len() {
                    path[slash] = b'/';
                }
                for (nanoseconds, link) in [(0, 0), (1, 100), (7, 101), (0, 5000)] {
                    let member = Member {
                        kind: Kind::Symlink,
                        path: &path,
                        link: &vec![b'b'; link],
                        mode: 0o777,
                        modified: Timestamp { seconds: 5, nanoseconds },
                        size: 0,
                    };
                    output.clear();
                    write(&member, &mut output);
                    assert_eq!(length(&member), output.len() as u64);
                    assert_eq!(output.len() % BLOCK, 0);
                }
            }
        }
    }
}
