//! The metadata of files.

use btdt_ports::{EntryKind, Timestamp};

/// Permission bits; setuid, setgid and sticky are neither reported nor set.
pub const PERMISSIONS: u32 = 0o777;

/// The metadata of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// File, directory, symbolic link or something else.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky; all permissions where files have no modes.
    pub full_mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// Time of the last change of the content.
    pub modified: Timestamp,
    /// Time of the last change of content or metadata, which no program can set; `modified` where
    /// the system does not tell.
    pub changed: Timestamp,
    /// Number of hard links.
    pub links: u64,
    /// User id of the owner; 0 where there are no users.
    pub owner: u32,
    /// Number of the device. Where there are none: half of what identifies a file with several
    /// names, or 0.
    pub device: u64,
    /// Number of the file on its device. Where there are none: the other half, or 0.
    pub inode: u64,
}

impl Status {
    /// The permission bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.full_mode & PERMISSIONS
    }
}
