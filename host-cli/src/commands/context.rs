//! What every command works with.

use crate::backend::{self, Core, CoreError, Session, client};
use crate::failure::Failure;
use crate::messages::Attempt;
use crate::printer::Printer;

/// The core, and where output goes.
pub(crate) struct Context<'run> {
    pub(crate) core: Core,
    pub(crate) printer: &'run Printer,
}

impl Context<'_> {
    pub(super) fn session(&self) -> Result<Session, CoreError> {
        backend::session(&self.core, self.printer)
    }
}

/// Joins the two kinds of failure of the core.
pub(super) fn outcome<T>(
    outcome: Result<Result<T, client::Error>, CoreError>,
    attempt: Attempt<'_>,
) -> Result<T, Failure> {
    match outcome {
        Err(stopped) => Err(attempt.stopped(&stopped)),
        Ok(Err(error)) => Err(attempt.failed(error)),
        Ok(Ok(done)) => Ok(done),
    }
}
