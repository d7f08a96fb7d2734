//! The commands: each asks the core for one operation and says what came of it.

mod cache;
pub(crate) mod clean;
pub(crate) mod delete;
pub(crate) mod hash;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod restore;
mod show;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod verify;

use crate::backend::{self, Core, CoreError, Session, client};
use crate::messages::{Attempt, Failure};
use crate::printer::Printer;

/// What every command works with.
pub(crate) struct Context<'run> {
    pub(crate) core: Core,
    pub(crate) printer: &'run Printer,
}

impl Context<'_> {
    fn session(&self) -> Result<Session, CoreError> {
        backend::session(&self.core, self.printer)
    }
}

/// Joins the two ways in which the core can fail.
fn outcome<T>(
    outcome: Result<Result<T, client::Error>, CoreError>,
    attempt: Attempt<'_>,
) -> Result<T, Failure> {
    match outcome {
        Err(stopped) => Err(attempt.stopped(&stopped)),
        Ok(Err(error)) => Err(attempt.failed(error)),
        Ok(Ok(done)) => Ok(done),
    }
}
