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

use crate::environment::SystemEnvironment;
use crate::messages::{Attempt, Failure};
use crate::printer::Printer;
use btdt_host_runtime::engine::{Core, CoreError, Session, client};
use std::sync::Arc;

/// What every command works with.
pub(crate) struct Context<'run> {
    pub(crate) core: Core,
    pub(crate) environment: Arc<SystemEnvironment>,
    pub(crate) printer: &'run Printer,
}

impl Context<'_> {
    fn session(&self) -> Result<Session, CoreError> {
        self.core.session(self.environment.clone())
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
