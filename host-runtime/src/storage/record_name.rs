//! Which names of records are taken.

use btdt_ports::{IoError, IoErrorKind};

/// Longest name in bytes: 255 is what file systems take, and a backend may need a suffix.
const MAX_LENGTH: usize = 250;

/// What Linux calls `EINVAL`.
const INVALID_ARGUMENT: i32 = 22;

/// Whether `name` is one that a record can have. Such a name is safe as the name of a file.
pub(super) fn is_valid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"%_-.~".contains(&byte);
    (1..=MAX_LENGTH).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed)
}

/// Refuses any other name as an invalid argument.
pub(super) fn check(name: &str) -> Result<(), IoError> {
    if is_valid(name) {
        return Ok(());
    }
    Err(IoError { kind: IoErrorKind::Other, os_code: Some(INVALID_ARGUMENT) })
}
