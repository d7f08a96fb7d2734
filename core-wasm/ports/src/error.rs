//! Errors of the host's operations, and the texts that users see.

pub use crate::wit::types::{IoError, IoErrorKind};
use std::fmt;

impl IoError {
    /// `ENOENT` of Linux, for a message that users know.
    pub const NOT_FOUND: IoError = IoError { kind: IoErrorKind::NotFound, os_code: Some(2) };

    /// The WASI runtime has opened no directory that contains the path. No system has such an
    /// error, so the code is one that no system uses.
    pub const OUT_OF_REACH: IoError =
        IoError { kind: IoErrorKind::AccessDenied, os_code: Some(-1) };

    /// An error that has no code of the operating system.
    #[must_use]
    pub const fn new(kind: IoErrorKind) -> Self {
        IoError { kind, os_code: None }
    }
}

impl IoError {
    /// Whether it means that a path that existed a moment ago was replaced or removed.
    #[must_use]
    pub fn is_change(&self) -> bool {
        use IoErrorKind::{NotADirectory, NotFound, SymlinkLoop};
        matches!(self.kind, NotFound | NotADirectory | SymlinkLoop)
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The texts of Linux. In WebAssembly the codes are those of the host, but the standard
        // library has another table of texts, so it is only used natively, for all other errors.
        let text = match self.kind {
            _ if *self == IoError::OUT_OF_REACH => {
                return formatter.write_str(
                    "The WASI runtime has been given no directory that holds it; name one when \
                     you start the runtime (for wasmtime: --dir)",
                );
            }
            // `EILSEQ`, which no native file system here has for a name.
            IoErrorKind::Unsupported if self.os_code == Some(84) => {
                return formatter.write_str(
                    "A name in it, or where a link points, is not UTF-8, and WASI knows no other \
                     names (docs/wasi.md)",
                );
            }
            IoErrorKind::NotFound => "No such file or directory",
            // Linux has two of the kind, and the second is `EPERM`.
            IoErrorKind::AccessDenied if self.os_code == Some(1) => "Operation not permitted",
            IoErrorKind::AccessDenied => "Permission denied",
            IoErrorKind::ReadOnly => "Read-only file system",
            IoErrorKind::AlreadyExists => "File exists",
            IoErrorKind::NotADirectory => "Not a directory",
            IoErrorKind::IsADirectory => "Is a directory",
            IoErrorKind::NoSpace => "No space left on device",
            IoErrorKind::SymlinkLoop => "Too many levels of symbolic links",
            IoErrorKind::NameTooLong => "File name too long",
            IoErrorKind::TooLarge => "File too large",
            IoErrorKind::Unsupported => "Operation not supported",
            IoErrorKind::Transfer => "The transfer failed",
            IoErrorKind::Other => match self.os_code {
                Some(code) if cfg!(not(target_family = "wasm")) => {
                    return std::io::Error::from_raw_os_error(code).fmt(formatter);
                }
                code => code.and_then(linux_text).unwrap_or("Input/output error"),
            },
        };
        formatter.write_str(text)?;
        self.os_code.map_or(Ok(()), |code| write!(formatter, " (os error {code})"))
    }
}

/// The texts of Linux for errors that have no kind, but that users do see.
fn linux_text(code: i32) -> Option<&'static str> {
    match code {
        16 => Some("Device or resource busy"),
        26 => Some("Text file busy"),
        39 => Some("Directory not empty"),
        _ => None,
    }
}

impl std::error::Error for IoError {}

impl From<std::io::Error> for IoError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::NotFound => IoErrorKind::NotFound,
            ErrorKind::PermissionDenied => IoErrorKind::AccessDenied,
            ErrorKind::ReadOnlyFilesystem => IoErrorKind::ReadOnly,
            ErrorKind::AlreadyExists => IoErrorKind::AlreadyExists,
            ErrorKind::NotADirectory => IoErrorKind::NotADirectory,
            ErrorKind::IsADirectory => IoErrorKind::IsADirectory,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => IoErrorKind::NoSpace,
            ErrorKind::InvalidFilename => IoErrorKind::NameTooLong,
            ErrorKind::FileTooLarge => IoErrorKind::TooLarge,
            ErrorKind::Unsupported => IoErrorKind::Unsupported,
            // `ErrorKind::FilesystemLoop` is not stable; its text is.
            _ if error.to_string().contains("symbolic links") => IoErrorKind::SymlinkLoop,
            _ => IoErrorKind::Other,
        };
        IoError { kind, os_code: error.raw_os_error() }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_component_has_the_words_of_linux() {
        for code in [16, 26, 39] {
            let text = linux_text(code).unwrap();
            let error = std::io::Error::from_raw_os_error(code);
            assert_eq!(error.to_string(), format!("{text} (os error {code})"));
            let error = IoError { kind: IoErrorKind::Other, os_code: Some(code) };
            assert_eq!(error.to_string(), format!("{text} (os error {code})"));
        }
        assert_eq!(linux_text(5), None);
    }
}
