//! Checks whether a request's token permits what it asks for.

use super::context::ServerContext;
use super::problem::Problem;
use super::request::Request;
use crate::key::Key;
use btdt_ports::{Access, Authority, Operation, Verdict};

/// Longest accepted token in bytes. Tokens that were attenuated many times have a few thousand.
const MAX_TOKEN: usize = 16 << 10;

const CHALLENGE: &str = "Bearer realm=\"btdt\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"btdt\", error=\"invalid_token\"";

/// The token of a request.
///
/// # Errors
/// 401 unless there is exactly one.
pub(super) fn token(request: &Request) -> Result<&str, Problem> {
    let mut values = request.values("authorization");
    let (Some(value), None) = (values.next(), values.next()) else {
        let detail = "This request needs exactly one header \"Authorization: Bearer TOKEN\".";
        return Err(Problem::unauthorized(detail, CHALLENGE));
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        let detail = "The header \"Authorization\" must be \"Bearer TOKEN\".";
        return Err(Problem::unauthorized(detail, CHALLENGE));
    }
    if token.len() > MAX_TOKEN {
        let detail = "The token is longer than this server takes.";
        return Err(Problem::unauthorized(detail, CHALLENGE_INVALID));
    }
    Ok(token)
}

/// An operation on one key, or on a cache as a whole.
pub(super) fn access(operation: Operation, cache: &str, key: Option<&str>) -> Access {
    Access { operation, cache: cache.to_owned(), key: key.map(str::to_owned) }
}

/// An operation on each of these keys, or on the cache as a whole if there are none.
pub(super) fn accesses(operation: Operation, cache: &str, keys: &[Key]) -> Vec<Access> {
    if keys.is_empty() {
        return vec![access(operation, cache, None)];
    }
    keys.iter().map(|key| access(operation, cache, Some(key.as_str()))).collect()
}

/// A summary of verdicts about a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Something was allowed.
    pub(super) allowed: bool,
    /// Something was refused.
    refused: bool,
    /// Something was refused only because the token has expired.
    expired: bool,
}

impl Findings {
    pub(super) fn of(verdicts: &[Verdict]) -> Self {
        let mut findings = Findings::default();
        findings.add(verdicts);
        findings
    }

    pub(super) fn add(&mut self, verdicts: &[Verdict]) {
        self.allowed |= verdicts.contains(&Verdict::Allowed);
        self.refused |= verdicts.iter().any(|verdict| *verdict != Verdict::Allowed);
        self.expired |= verdicts.contains(&Verdict::Expired);
    }

    /// # Errors
    /// 401 or 403 unless everything was allowed.
    pub(super) fn all(self) -> Result<(), Problem> {
        if self.allowed && !self.refused { Ok(()) } else { Err(self.refusal()) }
    }

    /// # Errors
    /// 401 or 403 unless anything was allowed.
    pub(super) fn any(self) -> Result<(), Problem> {
        if self.allowed { Ok(()) } else { Err(self.refusal()) }
    }

    pub(super) fn refusal(self) -> Problem {
        if self.expired {
            return Problem::unauthorized("The token has expired.", CHALLENGE_INVALID);
        }
        Problem::new(403, "The token does not allow this operation with this cache and these keys.")
    }
}

impl<C, A: Authority, P> ServerContext<'_, C, A, P> {
    /// The verdict about each of `accesses`.
    ///
    /// # Errors
    /// 401 for an invalid token.
    pub(super) fn verdicts(
        &self,
        token: &str,
        accesses: &[Access],
    ) -> Result<Vec<Verdict>, Problem> {
        let mut verdicts = self.authority.authorize(token, accesses).map_err(|fault| {
            Problem::unauthorized(&format!("The token is refused: {fault}."), CHALLENGE_INVALID)
        })?;
        // If the authority returns too few verdicts, the rest are refused.
        verdicts.resize(accesses.len(), Verdict::Denied);
        Ok(verdicts)
    }
}
