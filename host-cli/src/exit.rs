//! Exit codes: the contract with scripts, the same as that of btdt 0.4.

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success; for a restore, from the primary key.
    Success,
    /// Something failed.
    Error,
    /// The arguments are wrong.
    Usage,
    /// Restored from a key other than the first.
    OtherKey,
    /// Nothing was found.
    NotFound,
}

impl Exit {
    /// The exit code of the process.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::OtherKey => 3,
            Exit::NotFound => 4,
        }
    }
}
