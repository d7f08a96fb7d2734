//! Shows the content of a token.

use super::encoding::hex;
use super::token::Token;
use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::error;
use biscuit_auth::format::schema::{self, Rule, check, op, op_binary, proof, term};
use btdt_ports::TokenFault;
use prost::Message;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The content of a token, which says nothing about whether the token is genuine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its blocks: that of the issuer, then those that attenuate it.
    pub blocks: Vec<Block>,
    /// Latest expiry in seconds since 1970, as far as simple checks tell.
    pub expires: Option<u64>,
    /// Whether it cannot be attenuated further.
    pub is_sealed: bool,
    /// Whether a text in it contains quotes or control characters, which can make the Datalog
    /// misleading.
    pub is_misleading: bool,
}

/// A block of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its statements, one per line, without control characters.
    pub datalog: Vec<String>,
    /// Its id for a revocation list: 128 hexadecimal digits.
    pub revocation_id: String,
    /// The key of a third party that signed it, if any.
    pub signed_by: Option<String>,
}

/// Reads the content of a token; needs no key.
pub fn inspect(token: &Token) -> Result<Inspection, TokenFault> {
    // Refuse whatever makes the library panic.
    catch_unwind(AssertUnwindSafe(|| examine(token))).ok().flatten().ok_or(TokenFault::Malformed)
}

fn examine(token: &Token) -> Option<Inspection> {
    let raw = schema::Biscuit::decode(token.bytes()).ok()?;
    let signed = std::iter::once(&raw.authority).chain(&raw.blocks);
    let contents: Vec<schema::Block> = signed
        .map(|block| schema::Block::decode(block.block.as_slice()).ok())
        .collect::<Option<_>>()?;
    Some(Inspection {
        blocks: blocks(token).ok()?,
        expires: contents.iter().filter_map(expiry).min(),
        is_sealed: matches!(raw.proof.content, Some(proof::Content::FinalSignature(_))),
        is_misleading: contents
            .iter()
            .flat_map(|block| &block.symbols)
            .any(|text| is_misleading(text)),
    })
}

fn blocks(token: &Token) -> Result<Vec<Block>, error::Token> {
    let biscuit = token.biscuit();
    let ids = biscuit.revocation_identifiers().into_iter();
    let blocks = ids.zip(biscuit.external_public_keys()).enumerate();
    let shown = blocks.map(|(number, (id, signer))| {
        let source = biscuit.print_block_source(number)?;
        Ok(Block {
            datalog: source.lines().map(escape).collect(),
            revocation_id: hex(&id),
            signed_by: signer.map(|key| key.to_string()),
        })
    });
    shown.collect()
}

fn escape(line: &str) -> String {
    let shown = |character: char| -> String {
        if character.is_control() { character.escape_default().collect() } else { character.into() }
    };
    line.chars().map(shown).collect()
}

fn is_misleading(text: &str) -> bool {
    text.contains(|character: char| character == '"' || character == '\\' || character.is_control())
}

/// The expiry that the checks of a block set.
fn expiry(block: &schema::Block) -> Option<u64> {
    let time = SymbolTable::new().get("time")?;
    let ends = block.checks.iter().filter_map(|check| match check.queries.as_slice() {
        [query] if check.kind.unwrap_or_default() == check::Kind::One as i32 => end(query, time),
        _ => None,
    });
    ends.min()
}

/// The date in `time($x), $x < date` or `<=`, where `time` is the symbol of the fact.
fn end(query: &Rule, time: u64) -> Option<u64> {
    let is_time = query.body.iter().any(|predicate| predicate.name == time);
    let dates = query.expressions.iter().filter_map(|expression| {
        let mut ops = expression.ops.iter().map(|op| op.content.as_ref());
        let (variable, date, comparison) = (ops.next()??, ops.next()??, ops.next()??);
        let (
            op::Content::Value(variable),
            op::Content::Value(date),
            op::Content::Binary(comparison),
        ) = (variable, date, comparison)
        else {
            return None;
        };
        let is_end = [op_binary::Kind::LessThan, op_binary::Kind::LessOrEqual]
            .iter()
            .any(|kind| comparison.kind == *kind as i32);
        match (&variable.content, &date.content) {
            (Some(term::Content::Variable(_)), Some(term::Content::Date(date)))
                if is_end && ops.next().is_none() =>
            {
                Some(*date)
            }
            _ => None,
        }
    });
    if is_time { dates.min() } else { None }
}
