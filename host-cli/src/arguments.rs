//! What users type. The texts here are the help.

use crate::token_arguments::TokenArguments;
use btdt_host_runtime::units::{parse_age, parse_size};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// "been there, done that": caches directories between CI runs
///
/// Stores a directory (node_modules, .m2, target, a virtual environment, …) under one or more keys
/// and restores it in a later run. What is stored is split into chunks, compressed, and kept once,
/// however many entries share it. What is restored is verified, byte for byte.
///
/// A typical CI job:
///
///   KEY="node-modules-$(btdt hash package-lock.json)"
///   btdt restore --cache /cache --keys "$KEY" node_modules || npm ci
///   btdt store --cache /cache --keys "$KEY" node_modules
#[derive(Debug, Parser)]
#[command(name = "btdt", bin_name = "btdt", version, verbatim_doc_comment, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "a comment here would take the place of the help of the arguments")]
pub enum Command {
    Clean(CleanArguments),
    Delete(DeleteArguments),
    Hash(HashArguments),
    Inspect(InspectArguments),
    List(ListArguments),
    Restore(RestoreArguments),
    Store(StoreArguments),
    Token(TokenArguments),
    Verify(VerifyArguments),
}

/// Which cache.
#[derive(Args, Debug)]
pub struct CacheArguments {
    /// Directory that holds the cache, or URL of a cache on a server
    ///
    /// A directory has to exist; an empty one is an empty cache. A URL has the form
    /// http(s)://HOST:PORT/api/caches/NAME. The variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY are
    /// honoured.
    #[arg(short, long, value_name = "CACHE")]
    pub cache: PathBuf,

    /// File with the token that a server wants
    ///
    /// Only its owner may have access to it (mode 0600 or less). What is sent to the server is a
    /// token derived from it, which allows this one operation on this one cache, and only for
    /// minutes.
    #[arg(short, long, value_name = "FILE")]
    pub auth_token_file: Option<PathBuf>,

    /// Accept a token file that its group can read
    ///
    /// For secrets that Kubernetes mounts into pods with an fsGroup, which it makes readable for
    /// that group whatever their mode should be.
    #[arg(long)]
    pub allow_group_readable_token: bool,

    /// Certificates to trust beside those of the system, in PEM form
    ///
    /// All certificates of a file count. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub root_cert: Vec<PathBuf>,
}

/// How much to say.
#[derive(Args, Debug)]
pub struct OutputArguments {
    /// Say nothing unless something is wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// Remove old entries and unused data from a cache
///
/// Removes the entries that were not stored or restored for longer than --max-age, then those that
/// were used least recently until the rest fits --max-size. Data that no entry needs any more is
/// set aside, and deleted for good by a later clean once the grace period is over: so a clean never
/// takes anything away from a store or restore that runs at the same time.
///
/// Without any limit, only unused data is removed.
#[derive(Args, Debug)]
pub struct CleanArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// Remove entries that were not used for longer than this, for example 7d or "1h 30min"
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub max_age: Option<u64>,

    /// Remove entries, least recently used first, until the cache is not larger than this
    ///
    /// Units are decimal (kB, MB, GB, …) or binary (KiB, MiB, GiB, …), the B can be left out, and
    /// several parts add up: 500Mi, 10GiB, "1Gi 200Mi". What counts is the data as it is stored:
    /// compressed, and shared data once.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,

    /// How long unused data is kept before it is deleted for good
    ///
    /// Should be longer than any store or restore takes.
    #[arg(long, value_name = "AGE", value_parser = parse_age, default_value = "1h")]
    pub grace_period: u64,

    #[command(flatten)]
    /// How much to say.
    pub output: OutputArguments,
}

/// How results look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Delete entries from a cache
///
/// Deletes the entries of the given keys, or all entries whose key begins with a prefix. The data
/// that no other entry needs is removed by the next cleans.
///
/// Prints "Deleted key KEY" for each of them. Exits with 4 if there was nothing to delete.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct DeleteArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// Keys whose entries are deleted
    ///
    /// Separated by commas, or given several times.
    #[arg(short, long, value_name = "KEYS", value_delimiter = ',', group = "what")]
    pub keys: Vec<String>,

    /// Delete all entries whose key begins with this
    #[arg(long, value_name = "PREFIX", group = "what")]
    pub prefix: Option<String>,
}

/// Show an entry of a cache
///
/// Shows when it was stored and used, how large it is, and with --files all that is in it. Exits
/// with 4 if there is no such entry, and with 1 if a part of it is missing. On a server, to inspect
/// an entry counts as a use of it.
#[derive(Args, Debug)]
pub struct InspectArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// List files, directories and links
    #[arg(long)]
    pub files: bool,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// The key
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// List the entries of a cache
///
/// Prints one line for each entry, sorted by key: when it was last stored or restored, the size of
/// its data as it is stored, the number of its files, and its key. On a server, these are the
/// entries that the token allows to list.
#[derive(Args, Debug)]
pub struct ListArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// List only entries whose key begins with this
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// How to list them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Verify all that is in a cache
///
/// Reads every record, manifest and chunk of a cache in a directory, and prints what is damaged or
/// missing and which keys need it. Exits with 1 if anything is. Stores, restores and cleans can go on
/// meanwhile.
///
/// Nothing is changed without --repair.
#[derive(Args, Debug)]
pub struct VerifyArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// Take out what is damaged, so that the next store writes it anew
    #[arg(long)]
    pub repair: bool,

    #[command(flatten)]
    /// How much to say.
    pub output: OutputArguments,
}

/// Print a hash of files or directories, to make a key of it
///
/// The hash of one file is that of its content, so `btdt hash FILE` prints what sha256sum prints.
/// The hash of a directory depends on names, kinds, executable bits and contents of all that is in
/// it; the hash of several paths on their order as well.
#[derive(Args, Debug)]
pub struct HashArguments {
    /// Hash function
    #[arg(long, value_enum, default_value_t = HashFunction::Sha256)]
    pub algorithm: HashFunction,

    /// Files or directories to hash
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HashFunction {
    /// SHA-256
    Sha256,
    /// BLAKE3, in the way of btdt 0.4: keeps keys that were made with it the same
    Blake3,
}

/// Restore a directory from a cache
///
/// The first key that has an intact entry is restored. What is at the destination already is kept
/// where it is right, and only the rest is written; a destination that does not exist appears
/// complete or not at all. A damaged entry counts as one that is not there.
///
/// Prints "Restored key KEY" on standard output.
///
/// Exit codes:
///
/// - 0: Restored from the primary (first) key.
///
/// - 1: Something failed.
///
/// - 2: The arguments are wrong.
///
/// - 3: Restored from another key.
///
/// - 4: Nothing was found.
#[derive(Args, Debug)]
#[command(override_usage = "btdt restore [OPTIONS] --cache <CACHE> --keys <KEYS> <DESTINATION>")]
pub struct RestoreArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// Keys to look for, in this order
    ///
    /// Separated by commas, or given several times.
    #[arg(
        short,
        long,
        value_name = "KEYS",
        value_delimiter = ',',
        required_unless_present = "prefix"
    )]
    pub keys: Vec<String>,

    /// If no key is found, restore the entry stored last whose key begins with this
    ///
    /// Can be given several times; prefixes are tried in this order.
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Vec<String>,

    /// Exit with 0 also if another key than the first was restored
    #[arg(long)]
    pub success_rc_on_any_key: bool,

    /// Remove what is at the destination but not in the entry
    #[arg(long)]
    pub exact: bool,

    /// Compare files by content even if size and time are right
    ///
    /// Without this, a file that is at the destination already is taken for the right one if size,
    /// permissions and time, to the nanosecond, are those of the entry. That can be wrong only for
    /// two versions of the same size that were written within the same few milliseconds.
    #[arg(long)]
    pub checksum: bool,

    #[command(flatten)]
    /// How much to say.
    pub output: OutputArguments,

    /// Directory (or file) to restore to
    #[arg(value_name = "DESTINATION")]
    pub destination: PathBuf,
}

/// Store a directory in a cache
///
/// The directory can then be restored under each of the keys; existing entries of these keys are
/// replaced. A single file can be stored as well, and is restored as a file.
///
/// Permission bits, times, symbolic and hard links, and empty directories are kept; owners, ACLs
/// and extended attributes are not. Sockets, FIFOs and devices are skipped with a warning.
///
/// Files named .btdtignore exclude files from the cache, in the syntax of .gitignore.
#[derive(Args, Debug)]
pub struct StoreArguments {
    #[command(flatten)]
    /// The cache.
    pub cache: CacheArguments,

    /// Keys to store under
    ///
    /// Separated by commas, or given several times.
    #[arg(short, long, value_name = "KEYS", value_delimiter = ',', required = true)]
    pub keys: Vec<String>,

    /// Pattern of files to leave out, a line in the syntax of .gitignore
    ///
    /// Can be given several times; of the patterns that match, the last one counts, and all of them
    /// outrank .btdtignore files. With a leading "!" a pattern brings files back, except from a
    /// directory that is left out itself.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub exclude: Vec<String>,

    #[command(flatten)]
    /// How much to say.
    pub output: OutputArguments,

    /// Directory (or file) to store
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}
