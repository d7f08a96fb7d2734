//! What users type after `btdt token`. The texts here are the help.

use btdt_host_runtime::auth::Restrictions;
use btdt_host_runtime::units::parse_age;
use btdt_ports::{Operation, Timestamp};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Make keys and tokens for a btdt-server, and look into tokens
///
/// A server trusts the tokens that are signed with its private key. Whoever has a token can derive
/// tokens from it that allow less, without the key and without asking the server.
///
/// Tokens are Biscuit tokens, and keys Ed25519 keys in PEM form; the `biscuit` tool can make and read
/// them too.
#[derive(Args, Debug)]
pub struct TokenArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "a comment here would take the place of the help of the arguments")]
pub enum TokenCommand {
    Keypair(KeypairArguments),
    New(NewArguments),
    Attenuate(AttenuateArguments),
    Inspect(InspectArguments),
}

/// Make a private key and its public key
///
/// The private key makes tokens, so keep it safe; a server that does not make any can do with the
/// public key. Existing files are never replaced.
#[derive(Args, Debug)]
pub struct KeypairArguments {
    /// File to write the private key to, readable by its owner only; printed if left out
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,

    /// File to write the public key to
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
}

/// Make a token and print it
///
/// Without any option but --private-key it allows everything and never expires.
#[derive(Args, Debug)]
pub struct NewArguments {
    /// File with the private key of the server
    ///
    /// Nobody but its owner may have access to it.
    #[arg(long, value_name = "FILE")]
    pub private_key: PathBuf,

    #[command(flatten)]
    /// What it allows at most.
    pub restrictions: RestrictionArguments,
}

/// Derive a token that allows less, and print it
///
/// That takes neither a key nor the server. Restrictions add up: nothing that is given here can
/// extend what the token allows already.
#[derive(Args, Debug)]
pub struct AttenuateArguments {
    #[command(flatten)]
    /// The token.
    pub token: TokenSource,

    #[command(flatten)]
    /// What it allows at most.
    pub restrictions: RestrictionArguments,
}

/// Show what is in a token
///
/// Prints what each block of the token says and the id that revokes it. That takes no key, but tells
/// nothing about whether the token is genuine; give --public-key to find out.
///
/// Exit codes:
///
/// - 0: Shown, and signed with one of the keys if --public-key is given.
///
/// - 1: It is no token, or its signatures are not right.
///
/// - 2: The arguments are wrong.
#[derive(Args, Debug)]
pub struct InspectArguments {
    #[command(flatten)]
    /// The token.
    pub token: TokenSource,

    /// File with public keys, PEM or ed25519/HEX, of which one shall have signed the token
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
}

/// Where a token comes from.
#[derive(Args, Debug)]
pub struct TokenSource {
    /// File with the token, - for standard input
    ///
    /// Nobody but its owner may have access to the file.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub token_file: PathBuf,
}

/// What a token allows at most.
#[derive(Args, Debug)]
pub struct RestrictionArguments {
    /// How long the token is valid, for example 90d or "1h 30min"
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub ttl: Option<u64>,

    /// What the token can be used for
    ///
    /// Separated by commas, or given several times.
    #[arg(long, value_enum, value_name = "OPERATION", value_delimiter = ',')]
    pub operation: Vec<OperationArgument>,

    /// Cache that the token can be used with; can be given several times
    #[arg(long, value_name = "NAME")]
    pub cache: Vec<String>,

    /// What the keys of entries have to begin with; can be given several times
    ///
    /// Such a token is of no use with a server of btdt 0.4, which does not tell tokens about keys.
    #[arg(long, value_name = "PREFIX")]
    pub key_prefix: Vec<String>,
}

/// An operation that tokens know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OperationArgument {
    /// Restore entries
    Get,
    /// Store entries
    Put,
    /// List entries
    List,
    /// Delete entries
    Delete,
}

impl From<OperationArgument> for Operation {
    fn from(argument: OperationArgument) -> Self {
        match argument {
            OperationArgument::Get => Operation::Get,
            OperationArgument::Put => Operation::Put,
            OperationArgument::List => Operation::List,
            OperationArgument::Delete => Operation::Delete,
        }
    }
}

impl RestrictionArguments {
    /// The restrictions, counted from `now`; `None` if the time to live ends too far in the future
    /// for a date.
    pub(crate) fn restrictions(&self, now: Timestamp) -> Option<Restrictions> {
        let expires = match self.ttl {
            Some(seconds) => Some(Restrictions::expiry(now, seconds)?),
            None => None,
        };
        Some(Restrictions {
            expires,
            operations: self.operation.iter().copied().map(Operation::from).collect(),
            caches: self.cache.clone(),
            key_prefixes: self.key_prefix.clone(),
        })
    }
}
