//! Errors of `wasi:filesystem`, with the numbers that Linux has for them.

use btdt_ports::{IoError, IoErrorKind};
use std::fmt;
use std::io;
use wasip2::filesystem::types::ErrorCode;

/// The number that Linux has for an error, so that messages are those that users know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(i32);

impl Errno {
    pub(crate) const PERM: Errno = Errno(1);
    pub(crate) const NOENT: Errno = Errno(2);
    pub(crate) const INTR: Errno = Errno(4);
    pub(crate) const IO: Errno = Errno(5);
    pub(crate) const NXIO: Errno = Errno(6);
    pub(crate) const BADF: Errno = Errno(9);
    pub(crate) const WOULDBLOCK: Errno = Errno(11);
    pub(crate) const NOMEM: Errno = Errno(12);
    pub(crate) const ACCESS: Errno = Errno(13);
    pub(crate) const BUSY: Errno = Errno(16);
    pub(crate) const EXIST: Errno = Errno(17);
    pub(crate) const XDEV: Errno = Errno(18);
    pub(crate) const NODEV: Errno = Errno(19);
    pub(crate) const NOTDIR: Errno = Errno(20);
    pub(crate) const ISDIR: Errno = Errno(21);
    pub(crate) const INVAL: Errno = Errno(22);
    pub(crate) const NOTTY: Errno = Errno(25);
    pub(crate) const TXTBSY: Errno = Errno(26);
    pub(crate) const FBIG: Errno = Errno(27);
    pub(crate) const NOSPC: Errno = Errno(28);
    pub(crate) const SPIPE: Errno = Errno(29);
    pub(crate) const ROFS: Errno = Errno(30);
    pub(crate) const MLINK: Errno = Errno(31);
    pub(crate) const PIPE: Errno = Errno(32);
    pub(crate) const DEADLK: Errno = Errno(35);
    pub(crate) const NAMETOOLONG: Errno = Errno(36);
    pub(crate) const NOLCK: Errno = Errno(37);
    pub(crate) const NOSYS: Errno = Errno(38);
    pub(crate) const NOTEMPTY: Errno = Errno(39);
    pub(crate) const LOOP: Errno = Errno(40);
    pub(crate) const OVERFLOW: Errno = Errno(75);
    pub(crate) const ILSEQ: Errno = Errno(84);
    pub(crate) const MSGSIZE: Errno = Errno(90);
    pub(crate) const NOTSUP: Errno = Errno(95);
    pub(crate) const ALREADY: Errno = Errno(114);
    pub(crate) const INPROGRESS: Errno = Errno(115);
    pub(crate) const DQUOT: Errno = Errno(122);
    pub(crate) const NOTRECOVERABLE: Errno = Errno(131);
    /// The runtime has opened no directory that holds it. No error of Linux.
    pub(crate) const OUT_OF_REACH: Errno = Errno(-1);

    /// What kind of error the standard library takes it for.
    pub(crate) fn kind(self) -> io::ErrorKind {
        use io::ErrorKind;
        match self {
            Errno::PERM | Errno::ACCESS | Errno::OUT_OF_REACH => ErrorKind::PermissionDenied,
            Errno::NOENT => ErrorKind::NotFound,
            Errno::INTR => ErrorKind::Interrupted,
            Errno::EXIST => ErrorKind::AlreadyExists,
            Errno::NOTDIR => ErrorKind::NotADirectory,
            Errno::ISDIR => ErrorKind::IsADirectory,
            Errno::INVAL => ErrorKind::InvalidInput,
            Errno::FBIG => ErrorKind::FileTooLarge,
            Errno::NOSPC => ErrorKind::StorageFull,
            Errno::DQUOT => ErrorKind::QuotaExceeded,
            Errno::ROFS => ErrorKind::ReadOnlyFilesystem,
            Errno::NAMETOOLONG => ErrorKind::InvalidFilename,
            Errno::NOTEMPTY => ErrorKind::DirectoryNotEmpty,
            Errno::BUSY => ErrorKind::ResourceBusy,
            Errno::NOTSUP | Errno::NOSYS => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }
}

impl From<ErrorCode> for Errno {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Access => Errno::ACCESS,
            ErrorCode::WouldBlock => Errno::WOULDBLOCK,
            ErrorCode::Already => Errno::ALREADY,
            ErrorCode::BadDescriptor => Errno::BADF,
            ErrorCode::Busy => Errno::BUSY,
            ErrorCode::Deadlock => Errno::DEADLK,
            ErrorCode::Quota => Errno::DQUOT,
            ErrorCode::Exist => Errno::EXIST,
            ErrorCode::FileTooLarge => Errno::FBIG,
            ErrorCode::IllegalByteSequence => Errno::ILSEQ,
            ErrorCode::InProgress => Errno::INPROGRESS,
            ErrorCode::Interrupted => Errno::INTR,
            ErrorCode::Invalid => Errno::INVAL,
            ErrorCode::Io => Errno::IO,
            ErrorCode::IsDirectory => Errno::ISDIR,
            ErrorCode::Loop => Errno::LOOP,
            ErrorCode::TooManyLinks => Errno::MLINK,
            ErrorCode::MessageSize => Errno::MSGSIZE,
            ErrorCode::NameTooLong => Errno::NAMETOOLONG,
            ErrorCode::NoDevice => Errno::NODEV,
            ErrorCode::NoEntry => Errno::NOENT,
            ErrorCode::NoLock => Errno::NOLCK,
            ErrorCode::InsufficientMemory => Errno::NOMEM,
            ErrorCode::InsufficientSpace => Errno::NOSPC,
            ErrorCode::NotDirectory => Errno::NOTDIR,
            ErrorCode::NotEmpty => Errno::NOTEMPTY,
            ErrorCode::NotRecoverable => Errno::NOTRECOVERABLE,
            ErrorCode::Unsupported => Errno::NOTSUP,
            ErrorCode::NoTty => Errno::NOTTY,
            ErrorCode::NoSuchDevice => Errno::NXIO,
            ErrorCode::Overflow => Errno::OVERFLOW,
            ErrorCode::NotPermitted => Errno::PERM,
            ErrorCode::Pipe => Errno::PIPE,
            ErrorCode::ReadOnly => Errno::ROFS,
            ErrorCode::InvalidSeek => Errno::SPIPE,
            ErrorCode::TextFileBusy => Errno::TXTBSY,
            ErrorCode::CrossDevice => Errno::XDEV,
        }
    }
}

impl From<Errno> for IoError {
    fn from(error: Errno) -> Self {
        let kind = match error {
            Errno::OUT_OF_REACH => return IoError::OUT_OF_REACH,
            Errno::PERM | Errno::ACCESS => IoErrorKind::AccessDenied,
            Errno::NOENT => IoErrorKind::NotFound,
            Errno::ROFS => IoErrorKind::ReadOnly,
            Errno::EXIST => IoErrorKind::AlreadyExists,
            Errno::NOTDIR => IoErrorKind::NotADirectory,
            Errno::ISDIR => IoErrorKind::IsADirectory,
            Errno::NOSPC | Errno::DQUOT => IoErrorKind::NoSpace,
            Errno::LOOP => IoErrorKind::SymlinkLoop,
            Errno::NAMETOOLONG => IoErrorKind::NameTooLong,
            Errno::FBIG => IoErrorKind::TooLarge,
            // A name that is not UTF-8 cannot be said to a runtime, or by it.
            Errno::NOTSUP | Errno::NOSYS | Errno::ILSEQ => IoErrorKind::Unsupported,
            _ => IoErrorKind::Other,
        };
        IoError { kind, os_code: Some(error.0) }
    }
}

impl From<Errno> for io::Error {
    fn from(error: Errno) -> Self {
        io::Error::new(error.kind(), error)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        IoError::from(*self).fmt(formatter)
    }
}

impl std::error::Error for Errno {}
