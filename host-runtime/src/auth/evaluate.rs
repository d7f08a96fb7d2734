//! Evaluates tokens whose signatures are valid.

use super::cost::{Estimate, MAX_BLOCKS};
use biscuit_auth::builder::{Fact, Term, fact, string};
use biscuit_auth::builder_ext::AuthorizerExt;
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::error::{self, FailedCheck, Logic, MatchedPolicy};
use biscuit_auth::format::schema::{Check, SnapshotBlock, public_key};
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits, Biscuit};
use btdt_ports::{Access, Verdict};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The names of the facts that the server adds.
const FACT_NAMES: [&str; 4] = ["operation", "cache", "key", "time"];

/// Bounds for the rules of the first block, which is trusted; added blocks have no rules. The time
/// is only a safety net: a short one would refuse valid tokens on a busy machine.
const LIMITS: AuthorizerLimits =
    AuthorizerLimits { max_facts: 1000, max_iterations: 100, max_time: Duration::from_secs(2) };

/// A token with valid signatures.
pub(super) struct Verified {
    biscuit: Biscuit,
    /// The revocation ids of its blocks.
    revocation_ids: Vec<Vec<u8>>,
    /// Block and check numbers of the checks on the time.
    time_checks: HashSet<(u32, u32)>,
    /// Whether it is cheap enough to be evaluated.
    is_harmless: bool,
}

impl Verified {
    pub(super) fn new(biscuit: Biscuit) -> Self {
        let revocation_ids = biscuit.revocation_identifiers();
        let mut verified =
            Verified { biscuit, revocation_ids, time_checks: HashSet::new(), is_harmless: false };
        // Refuse whatever makes the library panic.
        let examined = catch_unwind(AssertUnwindSafe(|| examine(&verified.biscuit)));
        if let Ok(Some(time_checks)) = examined {
            verified.is_harmless = true;
            verified.time_checks = time_checks;
        }
        verified
    }

    pub(super) fn revocation_ids(&self) -> &[Vec<u8>] {
        &self.revocation_ids
    }

    /// The verdict at this time, in seconds since 1970.
    pub(super) fn evaluate(&self, access: &Access, seconds: u64) -> Verdict {
        if !self.is_harmless {
            return Verdict::Denied;
        }
        catch_unwind(AssertUnwindSafe(|| match self.authorize(access, seconds) {
            Ok(_) => Verdict::Allowed,
            Err(error::Token::FailedLogic(Logic::Unauthorized {
                policy: MatchedPolicy::Allow(_),
                checks,
            })) if self.are_about_time(&checks) => Verdict::Expired,
            Err(_) => Verdict::Denied,
        }))
        .unwrap_or(Verdict::Denied)
    }

    fn authorize(&self, access: &Access, seconds: u64) -> Result<usize, error::Token> {
        let mut builder = AuthorizerBuilder::new().set_limits(LIMITS);
        for fact in facts(access, seconds) {
            builder = builder.fact(fact)?;
        }
        builder.allow_all().build(&self.biscuit)?.authorize()
    }

    fn are_about_time(&self, failed: &[FailedCheck]) -> bool {
        failed.iter().all(|check| match check {
            FailedCheck::Block(check) => {
                self.time_checks.contains(&(check.block_id, check.check_id))
            }
            FailedCheck::Authorizer(_) => false,
        })
    }
}

fn facts(access: &Access, seconds: u64) -> impl Iterator<Item = Fact> {
    let text = |name: &str, value: &str| fact(name, &[string(value)]);
    let key = access.key.as_deref().map(|key| text("key", key));
    [
        text("operation", access.operation.name()),
        text("cache", &access.cache),
        fact("time", &[Term::Date(seconds)]),
    ]
    .into_iter()
    .chain(key)
}

/// The checks on the time; `None` for a token that must not be evaluated.
fn examine(biscuit: &Biscuit) -> Option<HashSet<(u32, u32)>> {
    let container = biscuit.container().to_proto();
    let mut signed = std::iter::once(&container.authority).chain(&container.blocks);
    // The documentation of `auth` says what is wrong with the others.
    let has_only_ed25519_keys =
        signed.all(|block| block.next_key.algorithm == public_key::Algorithm::Ed25519 as i32);
    if biscuit.block_count() > MAX_BLOCKS || !has_only_ed25519_keys {
        return None;
    }
    let world = AuthorizerBuilder::new().build(biscuit).ok()?.snapshot().ok()?.world;
    let symbols = SymbolTable::from(world.symbols).ok()?;
    let facts = world.generated_facts.iter().flat_map(|generated| &generated.facts);
    let added = world.blocks.get(1..)?;
    if !Estimate::new(&symbols, facts, &FACT_NAMES).allows(added) {
        return None;
    }
    Some(time_checks(&world.blocks, &symbols))
}

fn time_checks(blocks: &[SnapshotBlock], symbols: &SymbolTable) -> HashSet<(u32, u32)> {
    let mut found = HashSet::new();
    for (block_number, block) in (0..).zip(blocks) {
        for (check_number, check) in (0..).zip(&block.checks) {
            if is_about_time(check, symbols) {
                found.insert((block_number, check_number));
            }
        }
    }
    found
}

/// Whether the check can be satisfied by the time alone.
fn is_about_time(check: &Check, symbols: &SymbolTable) -> bool {
    check.queries.iter().any(|query| {
        let mut names = query.body.iter().map(|predicate| symbols.get_symbol(predicate.name));
        !query.body.is_empty() && names.all(|name| name == Some("time"))
    })
}
