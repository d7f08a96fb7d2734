//! What all requests of a client share: the token, and why a transfer failed last.

use super::bearer_token::{Bearer, BearerHeader, TokenSource};
use super::request_error::RequestError;
use btdt_ports::{Scope, Timestamp, TransferFailure};
use std::sync::{Arc, Mutex, PoisonError};

/// What all requests of a client share.
pub struct ClientState {
    bearer: Bearer,
    clock: fn() -> Timestamp,
    failure: Mutex<Option<TransferFailure>>,
}

impl ClientState {
    /// The state of a new client. `clock` tells the time of day.
    #[must_use]
    pub fn new(token: Option<Arc<dyn TokenSource>>, clock: fn() -> Timestamp) -> Self {
        ClientState { bearer: Bearer::new(token, clock), clock, failure: Mutex::default() }
    }

    /// Narrows the token that all further requests carry.
    pub fn restrict(&self, scope: &Scope) {
        self.bearer.restrict(scope);
    }

    /// The value of `Authorization`; `None` where the user has no token.
    ///
    /// # Errors
    /// [`btdt_ports::HttpErrorKind::Token`]
    pub fn bearer(&self) -> Result<Option<BearerHeader>, RequestError> {
        Ok(self.bearer.header()?)
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Remembers why a transfer failed.
    pub(super) fn remember(&self, failure: TransferFailure) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Why a transfer failed last.
    #[must_use]
    pub fn failure(&self) -> Option<TransferFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
