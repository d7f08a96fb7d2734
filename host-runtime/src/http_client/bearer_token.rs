//! The token that requests carry: derived once, and again before it expires.

use btdt_ports::{HttpError, HttpErrorKind, Scope, Timestamp};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Supplies the user's token.
pub trait TokenSource: Send + Sync {
    /// The text of the token, narrowed to `scope` where there is one.
    ///
    /// # Errors
    /// [`btdt_ports::HttpErrorKind::Token`], with a detail that does not contain the token.
    fn bearer(&self, scope: Option<&Scope>) -> Result<String, HttpError>;
}

/// The value of `Authorization`, hidden from debug output.
#[derive(Clone)]
pub struct BearerHeader(String);

impl BearerHeader {
    /// The value, for the request and nothing else.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BearerHeader(…)")
    }
}

/// The value of `Authorization`, kept until its token has to be derived again.
pub(super) struct Bearer {
    source: Option<Arc<dyn TokenSource>>,
    clock: fn() -> Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scope: Option<Scope>,
    /// The header, and when its token was derived.
    derived: Option<(BearerHeader, Timestamp)>,
}

impl Bearer {
    /// Asks nothing of `source` yet. `clock` tells the time of day.
    pub(super) fn new(source: Option<Arc<dyn TokenSource>>, clock: fn() -> Timestamp) -> Self {
        Bearer { source, clock, state: Mutex::default() }
    }

    /// Narrows all tokens from now on.
    pub(super) fn restrict(&self, scope: &Scope) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.scope.as_ref() != Some(scope) {
            *state = State { scope: Some(scope.clone()), derived: None };
        }
    }

    /// The value of the header; `None` where the user has no token. It stays the same until half
    /// of its time is over, so that a server verifies it once.
    pub(super) fn header(&self) -> Result<Option<BearerHeader>, HttpError> {
        let Some(source) = &self.source else { return Ok(None) };
        let now = (self.clock)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((header, since)) = &state.derived {
            let fresh = state.scope.as_ref().is_none_or(|scope| {
                // A clock that was set back says nothing about the age.
                now >= *since && now.seconds_since(*since) < u64::from(scope.seconds / 2)
            });
            if fresh {
                return Ok(Some(header.clone()));
            }
        }
        let token = source.bearer(state.scope.as_ref())?;
        let token = token.trim();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "the token contains characters that no token has".to_owned();
            return Err(HttpError { kind: HttpErrorKind::Token, detail });
        }
        let header = BearerHeader(format!("Bearer {token}"));
        state.derived = Some((header.clone(), now));
        Ok(Some(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btdt_ports::Operation;
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    static NOW: AtomicI64 = AtomicI64::new(1000);

    fn clock() -> Timestamp {
        Timestamp { seconds: NOW.load(Ordering::SeqCst), nanoseconds: 0 }
    }

    #[derive(Default)]
    struct Counting(AtomicU32);

    impl TokenSource for Counting {
        fn bearer(&self, scope: Option<&Scope>) -> Result<String, HttpError> {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            Ok(format!("{}-{count}\n", scope.map_or("all", |scope| &scope.cache)))
        }
    }

    #[test]
    fn a_token_is_derived_again_when_half_of_its_time_is_over() {
        let bearer = Bearer::new(Some(Arc::new(Counting::default())), clock);
        let header = || bearer.header().unwrap().unwrap().as_str().to_owned();
        assert_eq!(header(), "Bearer all-0");
        assert_eq!(header(), "Bearer all-0");
        let scope = Scope { operation: Operation::Get, cache: "c".to_owned(), seconds: 300 };
        bearer.restrict(&scope);
        assert_eq!(header(), "Bearer c-1");
        bearer.restrict(&scope);
        NOW.store(1149, Ordering::SeqCst);
        assert_eq!(header(), "Bearer c-1");
        NOW.store(1150, Ordering::SeqCst);
        assert_eq!(header(), "Bearer c-2");
        NOW.store(1000, Ordering::SeqCst);
        assert_eq!(header(), "Bearer c-3", "the clock was set back");
        let shown = format!("{:?}", bearer.header().unwrap().unwrap());
        assert!(!shown.contains("c-3"), "{shown}");
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_without_being_shown() {
        struct Broken;
        impl TokenSource for Broken {
            fn bearer(&self, _: Option<&Scope>) -> Result<String, HttpError> {
                Ok("secret\r\nX: y".to_owned())
            }
        }
        let error = Bearer::new(Some(Arc::new(Broken)), clock).header().unwrap_err();
        assert_eq!(error.kind, HttpErrorKind::Token);
        assert!(!error.detail.contains("secret"));
    }
}
