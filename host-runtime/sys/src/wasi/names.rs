//! Names and paths as `wasi:filesystem` takes them.

use super::errno::Errno;
use std::ffi::CStr;
use std::sync::OnceLock;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::PathFlags;

/// A name as callers have it.
pub trait Name {
    /// The name as the interface takes it; an error where it would stand for something else.
    fn text(&self) -> Result<&str, Errno>;
}

impl Name for &[u8] {
    fn text(&self) -> Result<&str, Errno> {
        text(self)
    }
}

impl Name for &CStr {
    fn text(&self) -> Result<&str, Errno> {
        text(self.to_bytes())
    }
}

/// A name or path as the interface takes it; an error where it would stand for something else.
pub(super) fn text(name: &[u8]) -> Result<&str, Errno> {
    let text = std::str::from_utf8(name).map_err(|_| Errno::ILSEQ)?;
    if text.contains('\\') && backslashes_split() { Err(Errno::NOTSUP) } else { Ok(text) }
}

/// Whether the runtime takes a backslash for a separator: then a name with one in it stands for
/// something else than the tree says.
fn backslashes_split() -> bool {
    static SPLIT: OnceLock<bool> = OnceLock::new();
    let split = || {
        let mut directories = get_directories().into_iter();
        directories.any(|(directory, _)| directory.stat_at(PathFlags::empty(), ".\\.").is_ok())
    };
    *SPLIT.get_or_init(split)
}
