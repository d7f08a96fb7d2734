//! What requests are handled with, and how failures are reported to clients.

use super::answer::{Answer, ResponseOf};
use super::problem::Problem;
use super::request::Settings;
use btdt_ports::client::{CacheAction, CacheFailure, Error};
use btdt_ports::{Archives, Environment, IoErrorKind, Severity};

/// What requests are handled with.
#[derive(Clone, Copy)]
pub struct ServerContext<'server, C, A, P> {
    /// The caches.
    pub caches: &'server C,
    /// Decides about tokens.
    pub authority: &'server A,
    /// Plans outgoing archives.
    pub archives: &'server P,
    /// Clock, randomness and log.
    pub environment: &'server dyn Environment,
    /// The configuration.
    pub settings: Settings,
}

/// A response of a server with such caches and archives.
pub(super) type ResponseTo<C, P> = ResponseOf<C, <P as Archives>::Plan>;

/// What to do after reading the head of a request.
pub(super) type Decision<C, Plan> = Result<Answer<C, Plan>, Problem>;

impl<C, A, P> ServerContext<'_, C, A, P> {
    /// Reports a failed operation on a cache. Details go to the log, not to the client.
    pub(super) fn failed(&self, cache: &str, error: &Error) -> Problem {
        match error {
            Error::SourceTooLarge => {
                Problem::new(413, "The entry is larger than a manifest can be.")
            }
            Error::Cache(CacheFailure { action, error: io }) => {
                self.environment.log(Severity::Warning, &format!("cache {cache:?}: {error}"));
                match (action, io.kind) {
                    (CacheAction::Write, IoErrorKind::NoSpace) => {
                        Problem::new(507, "The cache is full. Nothing of the entry is visible.")
                    }
                    _ => Problem::internal(),
                }
            }
            error => self.internal(error),
        }
    }

    /// Reports what cannot happen unless host or core are faulty.
    pub(super) fn internal(&self, error: &dyn std::fmt::Display) -> Problem {
        self.environment.log(Severity::Warning, &format!("a request failed: {error}"));
        Problem::internal()
    }
}
