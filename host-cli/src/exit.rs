//! Exit codes: the contract with scripts, the same as that of btdt 0.4.

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for was done; a restore: from the primary key.
    Success,
    /// Something failed.
    Error,
    /// The arguments are wrong.
    Usage,
    /// Restored from another key than the first.
    OtherKey,
    /// Nothing to restore was found.
    NotFound,
}

impl Exit {
    /// The code that the process ends with.
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
