//! Errors of `wasi:filesystem`, with the numbers of Linux.

use btdt_ports::{IoError, IoErrorKind};
use std::fmt;
use std::io;
use wasip2::filesystem::types::ErrorCode;

/// The error number of Linux, so that messages are familiar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(i32);

#[allow(missing_docs, reason = "named as in errno(3)")]
impl Errno {
    pub const PERM: Errno = Errno(1);
    pub const NOENT: Errno = Errno(2);
    pub const INTR: Errno = Errno(4);
    pub const IO: Errno = Errno(5);
    pub const NXIO: Errno = Errno(6);
    pub const BADF: Errno = Errno(9);
    pub const WOULDBLOCK: Errno = Errno(11);
    pub const NOMEM: Errno = Errno(12);
    pub const ACCESS: Errno = Errno(13);
    pub const BUSY: Errno = Errno(16);
    pub const EXIST: Errno = Errno(17);
    pub const XDEV: Errno = Errno(18);
    pub const NODEV: Errno = Errno(19);
    pub const NOTDIR: Errno = Errno(20);
    pub const ISDIR: Errno = Errno(21);
    pub const INVAL: Errno = Errno(22);
    pub const NOTTY: Errno = Errno(25);
    pub const TXTBSY: Errno = Errno(26);
    pub const FBIG: Errno = Errno(27);
    pub const NOSPC: Errno = Errno(28);
    pub const SPIPE: Errno = Errno(29);
    pub const ROFS: Errno = Errno(30);
    pub const MLINK: Errno = Errno(31);
    pub const PIPE: Errno = Errno(32);
    pub const DEADLK: Errno = Errno(35);
    pub const NAMETOOLONG: Errno = Errno(36);
    pub const NOLCK: Errno = Errno(37);
    pub const NOSYS: Errno = Errno(38);
    pub const NOTEMPTY: Errno = Errno(39);
    pub const LOOP: Errno = Errno(40);
    pub const OVERFLOW: Errno = Errno(75);
    pub const ILSEQ: Errno = Errno(84);
    pub const MSGSIZE: Errno = Errno(90);
    pub const NOTSUP: Errno = Errno(95);
    pub const ALREADY: Errno = Errno(114);
    pub const INPROGRESS: Errno = Errno(115);
    pub const DQUOT: Errno = Errno(122);
    pub const NOTRECOVERABLE: Errno = Errno(131);
    /// No preopened directory contains the path. Not an error of Linux.
    pub(super) const OUT_OF_REACH: Errno = Errno(-1);

    /// The kind of error in the standard library.
    pub fn kind(self) -> io::ErrorKind {
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
            // Names that are not UTF-8 cannot be passed to or from a runtime.
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
