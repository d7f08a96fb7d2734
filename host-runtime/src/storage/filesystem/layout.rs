//! The names in the directory of a cache.

use crate::codec::sha256;
use btdt_ports::{Digest, ObjectKind, ObjectName, SweepId};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const CACHEDIR_TAG: &str = "CACHEDIR.TAG";
/// The first line is what tools that make backups look for; see <https://bford.info/cachedir/>.
pub(super) const CACHEDIR_TAG_CONTENT: &str = "\
Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache of btdt. It can be left out of backups.
";

pub(super) const FORMAT: &str = "format";
pub(super) const FORMAT_PREFIX: &str = "btdt cache ";
/// The only version that there is.
pub(super) const FORMAT_VERSION: u32 = 1;

pub(super) const ASIDE: &str = "aside";
pub(super) const KEYS: &str = "keys";
pub(super) const TMP: &str = "tmp";
pub(super) const LOCK: &str = "lock";

pub(super) const KINDS: [ObjectKind; 2] = [ObjectKind::Chunk, ObjectKind::Manifest];

/// What the directories begin with that hold a record on its way out.
pub(super) const EVICTION_PREFIX: &str = "evict-";

pub(super) fn kind_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Chunk => "chunks",
        ObjectKind::Manifest => "manifests",
    }
}

/// The directory of the live objects whose digest begins with a byte.
pub(super) fn shard(kind: ObjectKind, shard: u8) -> String {
    format!("{}/{shard:02x}", kind_name(kind))
}

/// Where a live object is.
pub(super) fn live(kind: ObjectKind, digest: &Digest) -> String {
    let [first, ..] = digest.to_bytes();
    format!("{}/{first:02x}/{}", kind_name(kind), digest.to_hex())
}

/// The directory of what a sweep has set aside.
pub(super) fn sweep(sweep: &SweepId) -> String {
    format!("{ASIDE}/{}", sweep.as_str())
}

/// The directory of what a sweep has set aside of one kind.
pub(super) fn sweep_of_kind(kind: ObjectKind, sweep: &SweepId) -> String {
    format!("{ASIDE}/{}/{}", sweep.as_str(), kind_name(kind))
}

/// Where an object is that a sweep has set aside.
pub(super) fn aside(kind: ObjectKind, digest: &Digest, sweep: &SweepId) -> String {
    format!("{}/{}", sweep_of_kind(kind, sweep), digest.to_hex())
}

/// Where an object is, live or set aside.
pub(super) fn object(name: &ObjectName) -> String {
    match &name.sweep {
        None => live(name.kind, &name.digest),
        Some(sweep) => aside(name.kind, &name.digest, sweep),
    }
}

/// Where a record is.
pub(super) fn record(name: &str) -> String {
    format!("{KEYS}/{name}")
}

/// The name of a file that nobody else will ever choose.
pub(super) fn temporary() -> String {
    unique_in(TMP)
}

/// The name of the directory for a record on its way out. The name of the record itself could be
/// too long for a prefix.
pub(super) fn eviction(name: &str) -> String {
    format!("{TMP}/{EVICTION_PREFIX}{}", sha256(name.as_bytes()).to_hex())
}

/// A name in a directory that nobody else will ever choose.
pub(super) fn unique_in(directory: &str) -> String {
    format!("{directory}/{}", unique())
}

/// Processes are told apart by a random number, not by their own: in containers, all of them
/// are often process 1.
fn unique() -> String {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    // The keys of a hash map come from the operating system's random numbers.
    let process = PROCESS.get_or_init(|| RandomState::new().build_hasher().finish());
    format!("{process:016x}-{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}
