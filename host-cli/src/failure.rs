//! An error on its way to the user.

use crate::exit::Exit;

/// What failed, why, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What failed.
    pub what: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, causes: Vec<String>) -> Self {
        Failure { exit: Exit::Error, what: what.into(), causes, hint: None }
    }

    /// The arguments are wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Failure { exit: Exit::Usage, what: what.into(), causes: Vec::new(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Failure { hint: Some(hint.into()), ..self }
    }
}
