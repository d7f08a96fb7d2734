//! The user's token.

use super::bearer_token::TokenSource;
use crate::auth::Token;
use crate::clock;
use btdt_ports::{HttpError, HttpErrorKind, Scope};

/// The user's token, which leaves this machine only when narrowed to a scope.
pub struct UserToken(pub Token);

impl TokenSource for UserToken {
    fn bearer(&self, scope: Option<&Scope>) -> Result<String, HttpError> {
        let error = |detail: String| HttpError { kind: HttpErrorKind::Token, detail };
        let Some(scope) = scope else {
            return Err(error("the token is sent to servers only narrowed down".to_owned()));
        };
        self.0.attenuate(scope, clock::now()).map_err(|fault| error(fault.to_string()))
    }
}
