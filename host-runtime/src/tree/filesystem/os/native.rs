//! The system calls of the file system, and how paths are resolved.
//!
//! Everything below the root of a tree is opened *beneath* it: no symbolic link is followed and
//! no name leads out, whatever another process does to the tree meanwhile.

use btdt_ports::{EntryKind, IoError, IoErrorKind, Timestamp};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawDir, RenameFlags, ResolveFlags,
    Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The error number of a system call.
pub(in crate::tree::filesystem) type Error = Errno;

/// A file or directory that is open.
pub(in crate::tree::filesystem) type Handle = OwnedFd;

/// Whether files have modes that can be read and set.
pub(in crate::tree::filesystem) const KEEPS_MODES: bool = true;

/// Permission bits; setuid, setgid and sticky are neither reported nor set.
pub(in crate::tree::filesystem) const PERMISSIONS: u32 = 0o777;

/// The largest read or write of one system call (Linux stops at 2 GiB less a page).
const MAX_TRANSFER: usize = 1 << 30;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// Without `NONBLOCK`, opening a FIFO that took the place of a file would wait for ever.
const FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// What the core is told about an error number.
pub(in crate::tree::filesystem) fn io_error(error: Error) -> IoError {
    match error {
        Errno::LOOP => {
            IoError { kind: IoErrorKind::SymlinkLoop, os_code: Some(error.raw_os_error()) }
        }
        _ => std::io::Error::from(error).into(),
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tree::filesystem) struct Status {
    pub(in crate::tree::filesystem) kind: EntryKind,
    /// With setuid, setgid and sticky.
    pub(in crate::tree::filesystem) full_mode: u32,
    pub(in crate::tree::filesystem) size: u64,
    pub(in crate::tree::filesystem) modified: Timestamp,
    /// Time of the last change of content or metadata, which no program can set.
    pub(in crate::tree::filesystem) changed: Timestamp,
    pub(in crate::tree::filesystem) links: u64,
    /// User number of the owner.
    pub(in crate::tree::filesystem) owner: u32,
    pub(in crate::tree::filesystem) device: u64,
    pub(in crate::tree::filesystem) inode: u64,
}

impl Status {
    /// The permission bits.
    pub(in crate::tree::filesystem) fn mode(&self) -> u32 {
        self.full_mode & PERMISSIONS
    }

    /// Takes it for a success that mode or time of what belongs to somebody else could not be
    /// set: only the owner may do that, while anybody whom the mode permits may write there.
    pub(in crate::tree::filesystem) fn unless_foreign(
        &self,
        result: Result<(), Error>,
    ) -> Result<(), Error> {
        match result {
            // Whoever owns it is refused for another reason, an immutable file for example.
            Err(Errno::PERM) if self.owner != rustix::process::geteuid().as_raw() => Ok(()),
            result => result,
        }
    }
}

// The widths of these fields differ between architectures.
#[allow(clippy::unnecessary_cast)]
fn status(stat: &rustix::fs::Stat) -> Status {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => EntryKind::Directory,
        FileType::RegularFile => EntryKind::File,
        FileType::Symlink => EntryKind::Symlink,
        _ => EntryKind::Special,
    };
    Status {
        kind,
        full_mode: stat.st_mode & 0o7777,
        size: stat.st_size as u64,
        modified: Timestamp {
            seconds: stat.st_mtime as i64,
            nanoseconds: stat.st_mtime_nsec as u32,
        },
        changed: Timestamp {
            seconds: stat.st_ctime as i64,
            nanoseconds: stat.st_ctime_nsec as u32,
        },
        links: stat.st_nlink as u64,
        owner: stat.st_uid,
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
    }
}

/// What an open file or directory is.
pub(in crate::tree::filesystem) fn status_of(handle: &Handle) -> Result<Status, Error> {
    rustix::fs::fstat(handle).map(|stat| status(&stat))
}

/// What a path of the host stands for, symbolic links followed.
pub(in crate::tree::filesystem) fn status_of_path(path: &Path) -> Result<Status, Error> {
    rustix::fs::stat(path).map(|stat| status(&stat))
}

/// What a name stands for, a symbolic link being one.
pub(in crate::tree::filesystem) fn status_at(
    directory: impl AsFd,
    name: impl Arg,
) -> Result<Status, Error> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| status(&stat))
}

/// What a path below `directory` stands for, symbolic links followed.
pub(in crate::tree::filesystem) fn status_followed(
    directory: impl AsFd,
    name: impl Arg,
) -> Result<Status, Error> {
    rustix::fs::statat(directory, name, AtFlags::empty()).map(|stat| status(&stat))
}

/// Opens a directory of the host as the root of a tree, symbolic links followed. The handle
/// serves to reach what is in it.
pub(in crate::tree::filesystem) fn open_root(path: &Path) -> Result<Handle, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Opens a file of the host for reading, symbolic links followed.
pub(in crate::tree::filesystem) fn open_root_file(path: &Path) -> Result<Handle, Error> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a directory of the host and those above it, where they are not there.
pub(in crate::tree::filesystem) fn create_directories(path: &Path) -> Result<(), IoError> {
    Ok(std::fs::create_dir_all(path)?)
}

/// Opens a directory beneath `root`, to reach what is in it; the empty path is the root.
pub(in crate::tree::filesystem) fn open_directory(
    root: impl AsFd,
    path: &[u8],
) -> Result<Handle, Error> {
    open_beneath(root.as_fd(), path, OFlags::PATH | DIRECTORY)
}

/// Opens a directory beneath `root`, to list it or to change its mode.
pub(in crate::tree::filesystem) fn open_listable(
    root: impl AsFd,
    path: &[u8],
) -> Result<Handle, Error> {
    open_beneath(root.as_fd(), path, OFlags::RDONLY | DIRECTORY)
}

/// Opens a file beneath `root` for reading.
pub(in crate::tree::filesystem) fn open_file_beneath(
    root: impl AsFd,
    path: &[u8],
) -> Result<Handle, Error> {
    open_beneath(root.as_fd(), path, OFlags::RDONLY | FILE)
}

/// Opens a directory below `root` to list it, symbolic links followed.
pub(in crate::tree::filesystem) fn open_listable_followed(
    root: impl AsFd,
    path: &[u8],
) -> Result<Handle, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(root, path_or_dot(path), flags, Mode::empty())
}

/// Opens a file below `root` for reading, symbolic links followed.
pub(in crate::tree::filesystem) fn open_file_followed(
    root: impl AsFd,
    path: &[u8],
) -> Result<Handle, Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(root, path, flags, Mode::empty())
}

/// Opens a file in `directory` for reading. `keep_access_time` is cleared where the system does
/// not permit that.
pub(in crate::tree::filesystem) fn open_file(
    directory: impl AsFd,
    name: &[u8],
    keep_access_time: &mut bool,
) -> Result<Handle, Error> {
    let flags = OFlags::RDONLY | FILE;
    if *keep_access_time {
        match rustix::fs::openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => *keep_access_time = false,
            result => return result,
        }
    }
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// Creates a file that must not be there yet, for writing.
pub(in crate::tree::filesystem) fn create_file(
    directory: impl AsFd,
    name: &[u8],
    mode: u32,
) -> Result<Handle, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))
}

fn path_or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<Handle, Error> {
    static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);
    if !WITHOUT_OPENAT2.load(Ordering::Relaxed) {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = path_or_dot(path);
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => {
                // PERM: how older sandboxes answer a call they do not know. Where it is a real
                // one, the walk finds it again.
                if matches!(probe_openat2(root), Err(Errno::NOSYS | Errno::PERM)) {
                    WITHOUT_OPENAT2.store(true, Ordering::Relaxed);
                }
            }
            // AGAIN: something was renamed meanwhile. NAMETOOLONG: the walk has no such limit.
            Err(Errno::AGAIN | Errno::NAMETOOLONG) => {}
            result => return result,
        }
    }
    walk_beneath(root, path, flags)
}

fn probe_openat2(root: BorrowedFd<'_>) -> Result<Handle, Error> {
    rustix::fs::openat2(root, ".", OFlags::PATH, Mode::empty(), ResolveFlags::BENEATH)
}

/// What [`open_beneath`] does, component by component.
fn walk_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<Handle, Error> {
    if path.is_empty() {
        return rustix::fs::openat(root, ".", flags, Mode::empty());
    }
    let mut current: Option<Handle> = None;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::INVAL);
        }
        let flags = if names.peek().is_some() { OFlags::PATH | DIRECTORY } else { flags };
        let parent = current.as_ref().map_or(root, AsFd::as_fd);
        let next = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        current = Some(next);
    }
    current.ok_or(Errno::INVAL)
}

/// Calls `visit` with each name in a directory that was opened for listing.
pub(in crate::tree::filesystem) fn for_each_name(
    directory: &Handle,
    buffer: &mut Vec<u8>,
    mut visit: impl FnMut(&CStr) -> Result<(), Error>,
) -> Result<(), Error> {
    /// Holds the names of almost every directory, and any single name.
    const BUFFER: usize = 64 << 10;
    buffer.clear();
    buffer.reserve(BUFFER);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            visit(name)?;
        }
    }
    Ok(())
}

/// What it means that a name which was listed stands for nothing: that it has gone since.
pub(in crate::tree::filesystem) fn gone_since(_name: &CStr) -> Result<(), Error> {
    Ok(())
}

/// Where a symbolic link points; always something.
pub(in crate::tree::filesystem) fn read_link(
    directory: impl AsFd,
    name: impl Arg,
) -> Result<Option<Vec<u8>>, Error> {
    let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
    Ok(Some(target.into_bytes()))
}

/// Appends what one call reads, at most `limit` bytes; nothing only at the end.
pub(in crate::tree::filesystem) fn read_some(
    file: &Handle,
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<usize, Error> {
    buffer.reserve(limit);
    let spare = &mut buffer.spare_capacity_mut()[..limit.min(MAX_TRANSFER)];
    let count = retry(|| rustix::io::read(file, &mut *spare).map(|(read, _)| read.len()))?;
    // SAFETY: the system call has initialised that many bytes of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + count) };
    Ok(count)
}

/// Appends up to `limit` bytes from the current position to `buffer`, with as few calls as
/// possible: one where the file is as long as `expected` and `limit` is more, and a last one that
/// finds the end otherwise. Nothing is zeroed and nothing is copied twice.
pub(in crate::tree::filesystem) fn read_to(
    file: &Handle,
    buffer: &mut Vec<u8>,
    expected: usize,
    limit: usize,
) -> Result<usize, Error> {
    let mut total = 0;
    while total < limit {
        let wanted = (limit - total).min(MAX_TRANSFER);
        let count = read_some(file, buffer, wanted)?;
        total += count;
        if count == 0 || (total == expected && count < wanted) {
            break;
        }
    }
    Ok(total)
}

/// Appends up to `limit` bytes from `offset` on to `buffer`; fewer only at the end of the file.
pub(in crate::tree::filesystem) fn read_at(
    file: &Handle,
    buffer: &mut Vec<u8>,
    mut offset: u64,
    limit: usize,
) -> Result<usize, Error> {
    buffer.reserve(limit);
    let mut total = 0;
    while total < limit {
        let wanted = (limit - total).min(MAX_TRANSFER);
        let spare = &mut buffer.spare_capacity_mut()[..wanted];
        let count =
            retry(|| rustix::io::pread(file, &mut *spare, offset).map(|(read, _)| read.len()))?;
        if count == 0 {
            break;
        }
        // SAFETY: the system call has initialised that many bytes of the spare capacity.
        unsafe { buffer.set_len(buffer.len() + count) };
        total += count;
        offset += count as u64;
    }
    Ok(total)
}

/// Writes all of `bytes` at the current position.
pub(in crate::tree::filesystem) fn write_all(file: &Handle, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let part = &bytes[..bytes.len().min(MAX_TRANSFER)];
        match retry(|| rustix::io::write(file, part))? {
            0 => return Err(Errno::IO),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

/// Writes all of `bytes` at `offset`.
pub(in crate::tree::filesystem) fn write_all_at(
    file: &Handle,
    mut bytes: &[u8],
    mut offset: u64,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        let part = &bytes[..bytes.len().min(MAX_TRANSFER)];
        match retry(|| rustix::io::pwrite(file, part, offset))? {
            0 => return Err(Errno::IO),
            count => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

// The widths of these fields differ between architectures.
#[allow(clippy::unnecessary_cast)]
fn timestamps(modified: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds as _,
        },
    }
}

/// Sets the time of the last change of an open file, which is `_name` in `_directory`.
pub(in crate::tree::filesystem) fn set_file_time(
    file: &Handle,
    _directory: &Handle,
    _name: &[u8],
    modified: Timestamp,
) -> Result<(), Error> {
    rustix::fs::futimens(file, &timestamps(modified))
}

/// Sets the time of the last change of what a name stands for, a symbolic link being one.
pub(in crate::tree::filesystem) fn set_time_at(
    directory: impl AsFd,
    name: &[u8],
    _kind: EntryKind,
    modified: Timestamp,
) -> Result<(), Error> {
    rustix::fs::utimensat(directory, name, &timestamps(modified), AtFlags::SYMLINK_NOFOLLOW)
}

/// Sets the mode of a file or directory that is open for reading or writing.
pub(in crate::tree::filesystem) fn set_mode(handle: &Handle, mode: u32) -> Result<(), Error> {
    rustix::fs::fchmod(handle, Mode::from_raw_mode(mode))
}

/// Sets the mode of what was opened only as a path, which `fchmod` refuses.
pub(in crate::tree::filesystem) fn set_mode_of_path(
    handle: &Handle,
    mode: u32,
) -> Result<(), Error> {
    use std::os::fd::AsRawFd;
    let mode = Mode::from_raw_mode(mode);
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    match rustix::fs::chmodat(CWD, &*link, mode, AtFlags::empty()) {
        // No /proc: a directory that may be searched can still be named from within.
        Err(Errno::NOENT | Errno::NOTDIR) => {
            rustix::fs::chmodat(handle, ".", mode, AtFlags::empty())
        }
        result => result,
    }
}

/// Sets the mode of a file or directory; a symbolic link is an error.
pub(in crate::tree::filesystem) fn set_mode_at(
    directory: impl AsFd,
    name: &[u8],
    kind: EntryKind,
    mode: u32,
) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(&directory, name, flags, Mode::empty())?;
    // Between a look at the name and this call it may have become something else.
    if status_of(&handle)?.kind != kind || kind == EntryKind::Symlink {
        return Err(Errno::LOOP);
    }
    match set_mode_of_path(&handle, mode) {
        // No /proc, and nothing within a file by which it could be named.
        Err(Errno::NOTDIR | Errno::NOENT) if kind == EntryKind::File => {
            set_mode_opened(directory, name, mode)
        }
        result => result,
    }
}

/// Sets the mode of a file by opening it, which its present mode has to permit.
fn set_mode_opened(directory: impl AsFd, name: &[u8], mode: u32) -> Result<(), Error> {
    let open = |access| rustix::fs::openat(&directory, name, access | FILE, Mode::empty());
    let handle = match open(OFlags::RDONLY) {
        Err(Errno::ACCESS) => open(OFlags::WRONLY)?,
        result => result?,
    };
    // As above: it was opened by its name once more.
    if status_of(&handle)?.kind != EntryKind::File {
        return Err(Errno::LOOP);
    }
    set_mode(&handle, mode)
}

/// Makes a directory.
pub(in crate::tree::filesystem) fn make_directory(
    directory: impl AsFd,
    name: &[u8],
    mode: u32,
) -> Result<(), Error> {
    rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(mode))
}

/// Makes a symbolic link.
pub(in crate::tree::filesystem) fn make_symlink(
    target: &[u8],
    directory: impl AsFd,
    name: &[u8],
) -> Result<(), Error> {
    rustix::fs::symlinkat(target, directory, name)
}

/// Makes a further name for a file.
pub(in crate::tree::filesystem) fn make_hard_link(
    target_directory: impl AsFd,
    target_name: &[u8],
    directory: impl AsFd,
    name: &[u8],
) -> Result<(), Error> {
    rustix::fs::linkat(target_directory, target_name, directory, name, AtFlags::empty())
}

/// Removes a name that is not a directory.
pub(in crate::tree::filesystem) fn remove(directory: impl AsFd, name: &[u8]) -> Result<(), Error> {
    rustix::fs::unlinkat(directory, name, AtFlags::empty())
}

/// Removes an empty directory.
pub(in crate::tree::filesystem) fn remove_directory(
    directory: impl AsFd,
    name: &[u8],
) -> Result<(), Error> {
    rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)
}

/// Renames; what is there of the new name is replaced.
pub(in crate::tree::filesystem) fn rename(
    from: impl AsFd,
    name: &[u8],
    to: impl AsFd,
    new_name: &[u8],
) -> Result<(), Error> {
    rustix::fs::renameat(from, name, to, new_name)
}

/// Renames to a name that must not be there, as far as the file system can tell.
pub(in crate::tree::filesystem) fn rename_to_absent(
    from: impl AsFd,
    name: &[u8],
    to: impl AsFd,
    new_name: &[u8],
) -> Result<(), Error> {
    match rustix::fs::renameat_with(&from, name, &to, new_name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => match status_at(&to, new_name) {
            Err(Errno::NOENT) => rename(from, name, to, new_name),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        },
        result => result,
    }
}

/// Takes the exclusive lock of an open directory, if nobody has it.
pub(in crate::tree::filesystem) fn lock(handle: &Handle) -> Result<(), Error> {
    rustix::fs::flock(handle, FlockOperation::NonBlockingLockExclusive)
}

/// What tells the staging directories of this process from those of others: its number.
pub(in crate::tree::filesystem) fn staging_owner() -> String {
    std::process::id().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_a_file_is_set_without_proc() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        std::fs::write(&path, "x").unwrap();
        std::os::unix::fs::symlink("f", scratch.path().join("link")).unwrap();
        let directory = open_root(scratch.path()).unwrap();
        for mode in [0o640, 0o200, 0o755] {
            set_mode_opened(&directory, b"f", mode).unwrap();
            assert_eq!(status_of_path(&path).unwrap().full_mode, mode);
        }
        assert_eq!(set_mode_opened(&directory, b"link", 0o600), Err(Errno::LOOP));
        assert_eq!(set_mode_opened(&directory, b".", 0o600), Err(Errno::LOOP));
        assert_eq!(status_of_path(&path).unwrap().full_mode, 0o755);
    }
}
