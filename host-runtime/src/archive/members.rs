//! The members of an incoming archive.

use super::format::{BLOCK, MAX_EXTENSION, USTAR, checksum, field, padding};
use super::input::Input;
use super::read_header::{Extensions, header_time, number, text};
use btdt_ports::{ArchiveContent, ArchiveEntry, ArchiveFault};

/// No tree that is worth caching has more members.
const MAX_MEMBERS: u64 = 10_000_000;

/// Modes of members without one.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

type Result<T> = std::result::Result<T, ArchiveFault>;

/// Reads headers and keeps track of the content of the current member.
pub(super) struct Members {
    input: Input,
    /// Unread content of the current member, and its padding.
    left: u64,
    padding: u64,
    /// Extensions of all members that follow.
    global: Extensions,
    count: u64,
    ended: bool,
}

/// The records before a member.
struct Description {
    extensions: Extensions,
    has_extensions: bool,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Members {
    pub(super) fn new(input: Input) -> Self {
        Members {
            input,
            left: 0,
            padding: 0,
            global: Extensions::default(),
            count: 0,
            ended: false,
        }
    }

    /// Unread bytes of the current file.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Appends the next `length` bytes of the current file.
    pub(super) fn append(&mut self, output: &mut Vec<u8>, length: u64) -> Result<()> {
        self.left = self.left.checked_sub(length).ok_or(ArchiveFault::Malformed)?;
        self.input.append(output, length)
    }

    /// The next member; at the end, the input has been read completely.
    pub(super) fn next(&mut self) -> Result<Option<ArchiveEntry>> {
        let mut description = Description {
            extensions: self.global.clone(),
            has_extensions: false,
            long_name: None,
            long_link: None,
        };
        loop {
            if self.ended {
                return Ok(None);
            }
            let Some(header) = self.header()? else {
                if description.is_empty() {
                    continue;
                }
                // The member that they describe is missing.
                return Err(ArchiveFault::Malformed);
            };
            let kind = header[field::KIND];
            match kind {
                b'x' | b'g' | b'L' | b'K' => self.describe(kind, &header, &mut description)?,
                // A volume label.
                b'V' => self.begin_content(size(&header)?)?,
                _ => return self.entry(&header, description).map(Some),
            }
        }
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>> {
        self.input.skip(self.left)?;
        self.input.skip(self.padding)?;
        (self.left, self.padding) = (0, 0);
        // Without at least one block of zeros, the archive was cut off between two members.
        let header = self.input.block()?.ok_or(ArchiveFault::Truncated)?;
        if header.iter().all(|byte| *byte == 0) {
            self.ended = true;
            self.input.drain()?;
            return Ok(None);
        }
        let expected = number(&header, field::CHECKSUM)?;
        if expected != Some(i128::from(checksum(&header))) {
            return Err(ArchiveFault::Malformed);
        }
        self.count += 1;
        if self.count > MAX_MEMBERS { Err(ArchiveFault::TooLarge) } else { Ok(Some(header)) }
    }

    /// Reads a record about the next member.
    fn describe(
        &mut self,
        kind: u8,
        header: &[u8; BLOCK],
        description: &mut Description,
    ) -> Result<()> {
        let size = size(header)?;
        if size > MAX_EXTENSION as u64 {
            return Err(ArchiveFault::TooLarge);
        }
        self.begin_content(size)?;
        let mut content = Vec::new();
        self.append(&mut content, size)?;
        let text = |mut content: Vec<u8>| {
            content.truncate(content.iter().position(|byte| *byte == 0).unwrap_or(content.len()));
            content
        };
        // Readers disagree on which of two contradictory records counts.
        let replaced = match kind {
            b'L' => description.long_name.replace(text(content)).is_some(),
            b'K' => description.long_link.replace(text(content)).is_some(),
            b'x' => {
                description.extensions.read(&content)?;
                std::mem::replace(&mut description.has_extensions, true)
            }
            _ => {
                self.global.read(&content)?;
                // Records about a single member would have to outrank it.
                let replaced = !description.is_empty();
                description.extensions = self.global.clone();
                replaced
            }
        };
        if replaced { Err(ArchiveFault::Malformed) } else { Ok(()) }
    }

    fn begin_content(&mut self, size: u64) -> Result<()> {
        self.left = size;
        self.padding = padding(size);
        // Sums of sizes must not overflow later.
        if size > i64::MAX as u64 { Err(ArchiveFault::TooLarge) } else { Ok(()) }
    }

    fn entry(&mut self, header: &[u8; BLOCK], description: Description) -> Result<ArchiveEntry> {
        let Description { extensions, long_name, long_link, .. } = description;
        let path = one_of(long_name, extensions.path)?.unwrap_or_else(|| path(header));
        let link = one_of(long_link, extensions.link)?;
        let link = || link.unwrap_or_else(|| text(header, field::LINK).to_vec());
        let size = match extensions.size {
            Some(size) => size,
            None => size(header)?,
        };
        let kind = header[field::KIND];
        let content = match kind {
            // The oldest archives mark directories only in this way.
            b'0' | 0 | b'7' if path.ends_with(b"/") => ArchiveContent::Directory,
            b'0' | 0 | b'7' => ArchiveContent::File(size),
            b'1' => ArchiveContent::HardLink(link()),
            b'2' => ArchiveContent::Symlink(link()),
            b'3' | b'4' | b'6' => ArchiveContent::Special,
            // The content of `D` is a list of names, which is skipped.
            b'5' | b'D' => ArchiveContent::Directory,
            // Sparse files, parts of files and unknown kinds: their content is encoded.
            _ => return Err(ArchiveFault::Malformed),
        };
        // Readers disagree on whether content follows then.
        let has_content = matches!(content, ArchiveContent::File(_)) || kind == b'D';
        if extensions.is_sparse || (size > 0 && !has_content) {
            return Err(ArchiveFault::Malformed);
        }
        self.begin_content(size)?;
        let usual = if content == ArchiveContent::Directory { DIRECTORY_MODE } else { FILE_MODE };
        let mode = number(header, field::MODE)?;
        let mode = mode.map_or(usual, |mode| (mode & 0o777) as u32);
        let modified = match extensions.modified {
            Some(time) => time,
            None => header_time(header)?,
        };
        Ok(ArchiveEntry { path, content, mode, modified })
    }
}

impl Description {
    fn is_empty(&self) -> bool {
        !self.has_extensions && self.long_name.is_none() && self.long_link.is_none()
    }
}

/// The text of a GNU or pax record; if there are both, they must agree.
fn one_of(long: Option<Vec<u8>>, extended: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match (long, extended) {
        (Some(long), Some(extended)) if long != extended => Err(ArchiveFault::Malformed),
        (long, extended) => Ok(long.or(extended)),
    }
}

fn size(header: &[u8; BLOCK]) -> Result<u64> {
    let size = number(header, field::SIZE)?.unwrap_or(0);
    u64::try_from(size).map_err(|_| ArchiveFault::Malformed)
}

fn path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(header, field::NAME);
    // GNU tar uses the space of the prefix for other fields, and another magic.
    let prefix = match header[field::MAGIC.start..][..6] == USTAR[..6] {
        true => text(header, field::PREFIX),
        false => b"",
    };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}
