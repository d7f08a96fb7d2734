//! Parsing of header fields and extended headers of incoming members.

use super::format::{BLOCK, field};
use btdt_ports::{ArchiveFault, Timestamp};
use std::ops::Range;

type Result<T> = std::result::Result<T, ArchiveFault>;

/// A number in a header; `None` if the field is blank. Octal digits or, if the first bit is set,
/// signed binary, which GNU tar uses for what does not fit.
pub(super) fn number(header: &[u8; BLOCK], field: Range<usize>) -> Result<Option<i128>> {
    let field = &header[field];
    let first = field[0];
    if first & 0x80 != 0 {
        // The second bit is the sign.
        let start = i128::from(first & 0x3f) - i128::from(first & 0x40);
        return Ok(Some(
            field[1..].iter().fold(start, |value, byte| value << 8 | i128::from(*byte)),
        ));
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let digits = &digits[..digits.iter().position(is_blank).unwrap_or(digits.len())];
    if digits.is_empty() {
        return Ok(None);
    }
    let mut value = 0;
    for digit in digits {
        match digit {
            b'0'..=b'7' => value = value << 3 | i128::from(digit - b'0'),
            _ => return Err(ArchiveFault::Malformed),
        }
    }
    Ok(Some(value))
}

/// Text in a header, up to a NUL.
pub(super) fn text(header: &[u8; BLOCK], field: Range<usize>) -> &[u8] {
    let field = &header[field];
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// The content of extended headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Timestamp>,
    /// Whether the file is sparse, with holes that are not in the archive.
    pub(super) is_sparse: bool,
}

impl Extensions {
    /// Reads the records of an extended header, which override earlier values. Unknown ones are
    /// skipped.
    pub(super) fn read(&mut self, records: &[u8]) -> Result<()> {
        let mut rest = records;
        // Some writers include the zeros that pad the last block.
        while rest.iter().any(|byte| *byte != 0) {
            let space = rest.iter().position(|byte| *byte == b' ');
            let space = space.ok_or(ArchiveFault::Malformed)?;
            let length = decimal(&rest[..space])?;
            let length = usize::try_from(length).map_err(|_| ArchiveFault::Malformed)?;
            if length <= space + 1 || length > rest.len() || rest[length - 1] != b'\n' {
                return Err(ArchiveFault::Malformed);
            }
            let record = &rest[space + 1..length - 1];
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or(ArchiveFault::Malformed)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            rest = &rest[length..];
        }
        Ok(())
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        // An empty value removes an earlier one.
        let some = !value.is_empty();
        match name {
            b"path" => self.path = some.then(|| value.to_vec()),
            b"linkpath" => self.link = some.then(|| value.to_vec()),
            b"size" => self.size = if some { Some(decimal(value)?) } else { None },
            b"mtime" => self.modified = if some { Some(time(value)?) } else { None },
            _ if name.starts_with(b"GNU.sparse.") || name == b"SCHILY.realsize" => {
                self.is_sparse = true;
            }
            _ => {}
        }
        Ok(())
    }
}

fn decimal(digits: &[u8]) -> Result<u64> {
    if digits.is_empty() {
        return Err(ArchiveFault::Malformed);
    }
    let step = |value: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0, step).ok_or(ArchiveFault::Malformed)
}

/// Seconds as a decimal fraction, rounded down to nanoseconds.
fn time(value: &[u8]) -> Result<Timestamp> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let point = value.iter().position(|byte| *byte == b'.');
    let (seconds, fraction) = match point {
        Some(point) => (&value[..point], &value[point + 1..]),
        None => (value, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(ArchiveFault::Malformed);
    }
    let seconds = i128::from(decimal(seconds)?);
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| i128::from(digit - b'0'));
    let nanoseconds = (0..9).fold(0, |value, at| value * 10 + digit(at));
    let finer = fraction.iter().skip(9).any(|digit| *digit != b'0');
    let total = seconds * 1_000_000_000 + nanoseconds;
    let total = if negative { -total - i128::from(finer) } else { total };
    let narrow = |_| ArchiveFault::Malformed;
    Ok(Timestamp {
        seconds: i64::try_from(total.div_euclid(1_000_000_000)).map_err(narrow)?,
        nanoseconds: u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0),
    })
}

/// The time in a header.
pub(super) fn header_time(header: &[u8; BLOCK]) -> Result<Timestamp> {
    let seconds = number(header, field::MODIFIED)?.unwrap_or(0);
    let seconds = i64::try_from(seconds).map_err(|_| ArchiveFault::Malformed)?;
    Ok(Timestamp { seconds, nanoseconds: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[u8]) -> Result<Extensions> {
        let mut extensions = Extensions::default();
        extensions.read(records).map(|()| extensions)
    }

    #[test]
    fn records_are_read_by_their_length() {
        let extensions = read(b"13 path=a\nb=\n17 linkpath=\xff\xfe/x\n10 size=7\n").unwrap();
        assert_eq!(extensions.path.as_deref(), Some(&b"a\nb="[..]));
        assert_eq!(extensions.link.as_deref(), Some(&b"\xff\xfe/x"[..]));
        assert_eq!(extensions.size, Some(7));
    }

    #[test]
    fn records_that_are_none_are_refused() {
        for records in [
            &b"x"[..],
            b"5",
            b"5 ",
            b" path=a\n",
            b"0 path=a\n",
            b"2 \n",
            b"3 \n",
            b"8 path=a\n",
            b"11 path=a\n",
            b"10 path=a ",
            b"99999999999999999999 path=a\n",
            b"-1 path=a\n",
            b"8 patha\n",
            b"11 size=-1\n",
            b"32 size=99999999999999999999999\n",
            b"11 mtime=x\n",
            b"13 mtime=1.\xff\n",
        ] {
            assert_eq!(read(records), Err(ArchiveFault::Malformed), "{records:?}");
        }
    }

    #[test]
    fn times_are_rounded_down() {
        let at = |seconds, nanoseconds| Ok(Timestamp { seconds, nanoseconds });
        assert_eq!(time(b"1"), at(1, 0));
        assert_eq!(time(b"1.5"), at(1, 500_000_000));
        assert_eq!(time(b"1.0000000019"), at(1, 1));
        assert_eq!(time(b"-1.5"), at(-2, 500_000_000));
        assert_eq!(time(b"-0.0000000001"), at(-1, 999_999_999));
        assert_eq!(time(b"-9223372036854775808"), at(i64::MIN, 0));
        assert_eq!(time(b"9223372036854775808"), Err(ArchiveFault::Malformed));
        assert_eq!(time(b""), Err(ArchiveFault::Malformed));
        assert_eq!(time(b"--1"), Err(ArchiveFault::Malformed));
    }

    #[test]
    fn numbers_are_octal_or_binary() {
        let number = |bytes: &[u8]| {
            let mut header = [0; BLOCK];
            header[..bytes.len()].copy_from_slice(bytes);
            super::number(&header, 0..12)
        };
        assert_eq!(number(b"00000000017\0"), Ok(Some(15)));
        assert_eq!(number(b"   17 \0"), Ok(Some(15)));
        assert_eq!(number(b"777777777777"), Ok(Some((1 << 36) - 1)));
        assert_eq!(number(b""), Ok(None));
        assert_eq!(number(b"            "), Ok(None));
        assert_eq!(number(b"8"), Err(ArchiveFault::Malformed));
        assert_eq!(number(b"-1"), Err(ArchiveFault::Malformed));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\x01"), Ok(Some((2 << 32) + 1)));
        assert_eq!(number(&[0xff; 12]), Ok(Some(-1)));
    }
}
