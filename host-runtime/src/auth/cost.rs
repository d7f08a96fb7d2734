//! Bounds the work that the blocks of a token can cause.
//!
//! The first block of a token is signed by the operator of the server and trusted. Holders of the
//! token add the others. The limits of the Datalog engine do not protect against them: it checks
//! the time only between rounds, and one round can take forever. So the content of added blocks is
//! bounded before anything is evaluated. Attenuation stays far below these bounds.

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema::{
    Check, Expression, Fact, Op, Predicate, Rule, SnapshotBlock, Term, op, op_binary, term,
};
use std::collections::HashMap;

/// Blocks of a token. Each costs a signature.
pub(super) const MAX_BLOCKS: usize = 32;

/// Steps allowed for all checks of the added blocks. A step takes less than a microsecond; a check
/// that btdt adds takes about five steps.
const MAX_STEPS: u64 = 20_000;

/// Steps for compiling and matching any regular expression.
const REGEX_STEPS: u64 = 500;
/// Steps for a Unicode class such as `\w`, which takes up to a millisecond to compile.
const UNICODE_CLASS_STEPS: u64 = 2000;
/// Steps for any other class.
const CLASS_STEPS: u64 = 500;
/// Steps for a sum: of two texts, it makes a third that the engine keeps.
const SUM_STEPS: u64 = 500;
/// Longest regular expression, in bytes.
const MAX_REGEX: usize = 256;

/// Estimates blocks whose texts are in `symbols`.
pub(super) struct Estimate<'token> {
    symbols: &'token SymbolTable,
    /// Number of facts by name.
    facts: HashMap<u64, u64>,
    /// Size of the largest term in a fact.
    largest_term: u64,
    /// Size of all terms of the added blocks and all facts, which bounds the size of any
    /// collection.
    terms: u64,
}

impl<'token> Estimate<'token> {
    /// `facts` are those of the token, `added` the names of those that the server adds.
    pub(super) fn new<'facts>(
        symbols: &'token SymbolTable,
        facts: impl Iterator<Item = &'facts Fact>,
        added: &[&str],
    ) -> Self {
        let mut estimate =
            Estimate { symbols, facts: HashMap::new(), largest_term: 1, terms: added.len() as u64 };
        for fact in facts {
            *estimate.facts.entry(fact.predicate.name).or_default() += 1;
            for term in &fact.predicate.terms {
                let size = estimate.term(term);
                estimate.largest_term = estimate.largest_term.max(size);
                estimate.terms += size;
            }
        }
        for name in added {
            if let Some(index) = symbols.get(name) {
                *estimate.facts.entry(index).or_default() += 1;
            }
        }
        estimate
    }

    /// Whether these blocks, added by holders of the token, are harmless.
    pub(super) fn allows(mut self, added: &[SnapshotBlock]) -> bool {
        // Rules derive facts from facts, and how many cannot be told in advance.
        if added.len() >= MAX_BLOCKS || added.iter().any(|block| !block.rules.is_empty()) {
            return false;
        }
        let checks: Vec<&Check> = added.iter().flat_map(|block| &block.checks).collect();
        let queries = || checks.iter().flat_map(|check| &check.queries);
        let values = queries()
            .flat_map(|query| &query.expressions)
            .map(|expression| self.values(&expression.ops));
        self.terms = self.terms.saturating_add(values.sum());
        let steps = queries()
            .try_fold(0_u64, |sum, query| self.query(query).map(|steps| sum.saturating_add(steps)));
        steps.is_some_and(|steps| steps <= MAX_STEPS)
    }

    /// Steps of a query; `None` if it contains something that is not allowed.
    fn query(&self, query: &Rule) -> Option<u64> {
        let matching = |predicate: &Predicate| {
            self.facts.get(&predicate.name).copied().unwrap_or_default().max(1)
        };
        let combinations = query
            .body
            .iter()
            .fold(1_u64, |product, predicate| product.saturating_mul(matching(predicate)));
        let mut each = 1 + query.body.len() as u64;
        for Expression { ops } in &query.expressions {
            each = each.saturating_add(self.operations(ops)?);
        }
        Some(combinations.saturating_mul(each))
    }

    fn operations(&self, ops: &[Op]) -> Option<u64> {
        let mut steps = 0_u64;
        let mut literal = None;
        for op in ops {
            let (cost, text) = match op.content.as_ref()? {
                op::Content::Value(term) => (self.value(term), self.text(term)),
                op::Content::Unary(_) => (1, None),
                op::Content::Binary(binary) if binary.kind == op_binary::Kind::Regex as i32 => {
                    (regex(literal?)?, None)
                }
                op::Content::Binary(binary) if binary.kind == op_binary::Kind::Add as i32 => {
                    (SUM_STEPS, None)
                }
                op::Content::Binary(_) => (1, None),
                op::Content::Closure(closure) => {
                    // Without a parameter, it is the lazy side of an operator, evaluated once.
                    let times = if closure.params.is_empty() { 1 } else { self.terms };
                    (self.operations(&closure.ops)?.saturating_mul(times.max(1)), None)
                }
            };
            steps = steps.saturating_add(cost);
            literal = text;
        }
        Some(steps)
    }

    fn text(&self, term: &Term) -> Option<&'token str> {
        match term.content {
            Some(term::Content::String(index)) => self.symbols.get_symbol(index),
            _ => None,
        }
    }

    fn value(&self, term: &Term) -> u64 {
        match term.content {
            Some(term::Content::Variable(_)) => self.largest_term,
            _ => self.term(term),
        }
    }

    /// Size of all values, including those in closures.
    fn values(&self, ops: &[Op]) -> u64 {
        let sizes = ops.iter().map(|op| match &op.content {
            Some(op::Content::Value(term)) => self.term(term),
            Some(op::Content::Closure(closure)) => self.values(&closure.ops),
            _ => 0,
        });
        sizes.sum()
    }

    /// Size of a term: its elements, and its text in units of 64 bytes.
    fn term(&self, term: &Term) -> u64 {
        let units = |length: usize| 1 + length as u64 / 64;
        match &term.content {
            Some(term::Content::String(_)) => self.text(term).map_or(1, |text| units(text.len())),
            Some(term::Content::Bytes(bytes)) => units(bytes.len()),
            Some(term::Content::Set(set)) => 1 + self.all(&set.set),
            Some(term::Content::Array(array)) => 1 + self.all(&array.array),
            Some(term::Content::Map(map)) => {
                1 + map.entries.iter().map(|entry| 1 + self.term(&entry.value)).sum::<u64>()
            }
            _ => 1,
        }
    }

    fn all(&self, terms: &[Term]) -> u64 {
        terms.iter().map(|term| self.term(term)).sum()
    }
}

/// Steps of a regular expression; `None` if it is not allowed: counted repetitions multiply its
/// size, and ignoring the case of large classes is slow.
fn regex(pattern: &str) -> Option<u64> {
    let has_flags = pattern.split("(?").skip(1).any(|rest| !rest.starts_with(':'));
    if pattern.len() > MAX_REGEX || pattern.contains('{') || has_flags || !pattern.is_ascii() {
        return None;
    }
    let mut escaped = false;
    let steps = pattern.chars().map(|character| {
        let was_escaped = escaped;
        escaped = character == '\\' && !was_escaped;
        match character {
            _ if was_escaped && character.is_alphanumeric() => UNICODE_CLASS_STEPS,
            '[' => CLASS_STEPS,
            _ => 5,
        }
    });
    Some(REGEX_STEPS + steps.sum::<u64>())
}
