//! The token that requests carry: derived once, and again before it expires.

use super::options::TokenSource;
use btdt_ports::{HttpError, HttpErrorKind, Scope, Timestamp};
use reqwest::header::HeaderValue;
use std::sync::{Arc, Mutex, PoisonError};

/// The value of `Authorization`, kept for as long as the token that it was made of serves.
pub(super) struct Bearer {
    source: Option<Arc<dyn TokenSource>>,
    clock: fn() -> Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scope: Option<Scope>,
    /// The header, and when its token was derived.
    derived: Option<(HeaderValue, Timestamp)>,
}

impl Bearer {
    pub(super) fn new(source: Option<Arc<dyn TokenSource>>, clock: fn() -> Timestamp) -> Self {
        Bearer { source, clock, state: Mutex::default() }
    }

    /// Narrows down all tokens from now on.
    pub(super) fn restrict(&self, scope: &Scope) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.scope.as_ref() != Some(scope) {
            *state = State { scope: Some(scope.clone()), derived: None };
        }
    }

    /// The value of the header; `None` where the user has no token. The same one until half of
    /// its time is over, so that a server verifies it once.
    pub(super) fn header(&self) -> Result<Option<HeaderValue>, HttpError> {
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
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| HttpError {
                kind: HttpErrorKind::Token,
                detail: "the token contains characters that no token has".to_owned(),
            })?;
        header.set_sensitive(true);
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
        let header = || bearer.header().unwrap().unwrap().to_str().unwrap().to_owned();
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
