//! Restrictions of a token, as the checks of a block.

use biscuit_auth::BlockBuilder;
use biscuit_auth::builder::{
    Binary, Check, CheckKind, Expression, Op, Predicate, Rule, Term, pred, string, var,
};
use btdt_ports::{Operation, Scope, Timestamp};

/// The end of the year 9999: later times have no usual text.
const LAST_TIME: u64 = 253_402_300_799;

/// The most that a token allows. Empty lists do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// Expiry in seconds since 1970.
    pub expires: Option<u64>,
    /// Allowed operations.
    pub operations: Vec<Operation>,
    /// Names of allowed caches.
    pub caches: Vec<String>,
    /// Prefixes of allowed keys.
    pub key_prefixes: Vec<String>,
}

impl Restrictions {
    /// The time `seconds` after `now`; `None` after the year 9999.
    #[must_use]
    pub fn expiry(now: Timestamp, seconds: u64) -> Option<u64> {
        let now = u64::try_from(now.seconds).unwrap_or_default();
        now.checked_add(seconds).filter(|time| *time <= LAST_TIME)
    }

    /// The restrictions of the narrowest token for a request.
    pub(super) fn of_scope(scope: &Scope, now: Timestamp) -> Self {
        Restrictions {
            expires: Some(Self::expiry(now, scope.seconds.into()).unwrap_or(LAST_TIME)),
            operations: vec![scope.operation],
            caches: vec![scope.cache.clone()],
            key_prefixes: Vec::new(),
        }
    }

    /// The checks, worded as by btdt 0.4.
    pub(super) fn checks(&self) -> Vec<Check> {
        let fact_is = |name: &str, value: &str| query(pred(name, &[string(value)]), None);
        let mut checks = Vec::new();
        let mut add = |queries: Vec<Rule>| {
            if !queries.is_empty() {
                checks.push(Check { queries, kind: CheckKind::One });
            }
        };
        add(self.operations.iter().map(|one| fact_is("operation", one.name())).collect());
        add(self.caches.iter().map(|name| fact_is("cache", name)).collect());
        let begins_with =
            |prefix: &String| compared("key", Binary::Prefix, Term::Str(prefix.clone()));
        add(self.key_prefixes.iter().map(begins_with).collect());
        let before = |time| compared("time", Binary::LessThan, Term::Date(time));
        add(self.expires.into_iter().map(before).collect());
        checks
    }

    pub(super) fn block(&self) -> BlockBuilder {
        BlockBuilder { checks: self.checks(), ..BlockBuilder::new() }
    }
}

/// `name($name)`, of which the value compares like that with `to`.
fn compared(name: &str, comparison: Binary, to: Term) -> Rule {
    let value = Op::Value(var(name));
    let ops = vec![value, Op::Value(to), Op::Binary(comparison)];
    query(pred(name, &[var(name)]), Some(Expression { ops }))
}

fn query(predicate: Predicate, condition: Option<Expression>) -> Rule {
    let head = Predicate::new("query".to_owned(), Vec::new());
    Rule::new(head, vec![predicate], condition.into_iter().collect(), Vec::new())
}
