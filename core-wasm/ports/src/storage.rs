//! What one cache keeps: immutable objects named by their digest, and small mutable records.
//!
//! Every method is safe to call from any number of processes at once. None of them decides
//! whether something may be deleted: that is the business of the core's `collect` module.

use crate::{Digest, IoError, Timestamp};
use std::any::Any;
use std::fmt;

/// The two families of objects. They live apart, so that listing one never reads the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A run of file content.
    Chunk,
    /// The description of a tree.
    Manifest,
}

/// Names one pass of a collector; unique for ever, so that a name that was set aside is never
/// used twice and a delayed deletion can only hit what its author saw.
///
/// The form is `<milliseconds since 1970>-<16 hexadecimal digits>`, both of fixed width.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(String);

impl SweepId {
    const MILLISECOND_DIGITS: usize = 15;
    const RANDOM_DIGITS: usize = 16;

    /// The identifier of a sweep that begins now.
    #[must_use]
    pub fn new(now: Timestamp, random: u64) -> Self {
        let seconds = u64::try_from(now.seconds).unwrap_or(0).min(999_999_999_999);
        let milliseconds = seconds * 1000 + u64::from(now.nanoseconds / 1_000_000);
        SweepId(format!("{milliseconds:015}-{random:016x}"))
    }

    /// Reads what [`SweepId::as_str`] gives; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (milliseconds, random) = text.split_once('-')?;
        let valid = milliseconds.len() == Self::MILLISECOND_DIGITS
            && milliseconds.bytes().all(|byte| byte.is_ascii_digit())
            && random.len() == Self::RANDOM_DIGITS
            && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| SweepId(text.to_owned()))
    }

    /// The identifier as text: safe as a file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the sweep began.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        let digits = self.0.split('-').next().unwrap_or_default();
        let milliseconds: i64 = digits.parse().unwrap_or(0);
        Timestamp {
            seconds: milliseconds / 1000,
            nanoseconds: u32::try_from(milliseconds % 1000).unwrap_or(0) * 1_000_000,
        }
    }
}

/// One object, either where readers look first or set aside by a sweep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Chunk or manifest.
    pub kind: ObjectKind,
    /// Digest of the raw content.
    pub digest: Digest,
    /// The sweep that set it aside; `None` for a live object.
    pub sweep: Option<SweepId>,
}

/// A live object in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Digest of the raw content.
    pub digest: Digest,
    /// Bytes that it takes in its stored form.
    pub stored_size: u64,
    /// When it was written or last touched.
    pub modified: Timestamp,
}

/// An object that a sweep has set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideObject {
    /// Chunk or manifest.
    pub kind: ObjectKind,
    /// Digest of the raw content.
    pub digest: Digest,
    /// The sweep that set it aside.
    pub sweep: SweepId,
    /// Bytes that it takes in its stored form.
    pub stored_size: u64,
}

/// What became of an object that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    /// Digest of the raw content.
    pub digest: Digest,
    /// Bytes that the object takes in its stored form.
    pub stored_size: u64,
    /// False where an object of that digest was there already.
    pub new: bool,
}

/// In which way an object is not what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The header is not one of this format.
    Header,
    /// The stored length disagrees with the header.
    Length,
    /// The payload does not decompress.
    Payload,
    /// The content has another digest.
    Content,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Damage::Header => "its header is invalid",
            Damage::Length => "it is truncated or too long",
            Damage::Payload => "it does not decompress",
            Damage::Content => "its content does not match its digest",
        })
    }
}

/// Why an object cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectFault {
    /// Neither live nor set aside.
    #[error("it is missing")]
    Missing,
    /// There, but not intact.
    #[error("{0}")]
    Damaged(Damage),
    /// Its content is larger than the caller takes.
    #[error("it is larger than allowed")]
    TooLarge,
    /// It could not be read at all.
    #[error("it could not be read: {0}")]
    Unreadable(IoError),
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Beside other shared holders: stores and restores.
    Shared,
    /// Alone: the sweep.
    Exclusive,
}

/// A lock that is held until this is dropped.
pub struct HeldLock(#[allow(dead_code, reason = "kept only to be dropped")] Box<dyn Any + Send>);

impl HeldLock {
    /// Wraps what releases the lock when it is dropped.
    pub fn new(guard: impl Any + Send) -> Self {
        HeldLock(Box::new(guard))
    }
}

/// Temporary files that a crash left behind and that were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Content-addressed objects of one cache.
pub trait Objects {
    /// Where a packer puts chunks.
    type Sink;
    /// Where a materializer takes chunks from.
    type Source;
    /// A sink that keeps chunks in this cache.
    fn sink(&self) -> Self::Sink;

    /// A source that reads chunks of this cache, live ones first, then those set aside.
    fn source(&self) -> Self::Source;

    /// Tells others that the cache is in use. `None` where another holder is in the way or the
    /// file system has no locks; does not wait for another holder. Nothing may depend on a lock for safety.
    fn lock(&self, mode: LockMode) -> Option<HeldLock>;

    /// Those of `digests` of which there is no live object, in the order given.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError>;

    /// The verified raw content of an object of at most `limit` bytes, live or set aside.
    ///
    /// # Errors
    /// See [`ObjectFault`].
    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault>;

    /// Keeps `raw` under its digest. It becomes visible whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError>;

    /// Reads and verifies objects; the answer at each place is the fault found, if any.
    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>>;

    /// The live objects whose digest begins with the byte `shard`, in any order.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError>;

    /// Marks live objects as just used, so that no sweep considers them old. Best effort.
    fn touch(&self, kind: ObjectKind, digests: &[Digest]);

    /// Moves live objects out of sight under the name of `sweep`; objects that are gone already
    /// are passed over. Returns how many were moved.
    ///
    /// # Errors
    /// When one cannot be moved.
    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError>;

    /// All objects that are set aside.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError>;

    /// Makes objects live again that are set aside; those that are gone are passed over, and a
    /// live object of the same digest is left as it is. Returns how many were brought back.
    ///
    /// # Errors
    /// When one cannot be moved.
    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError>;

    /// Removes objects that are set aside, for good. Returns how many there were.
    ///
    /// # Errors
    /// When one cannot be removed.
    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError>;

    /// Removes temporary files last changed before `before`.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError>;
}

/// How the payload of a stored form is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredCodec {
    /// Not at all.
    None,
    /// One zstd frame.
    Zstd,
    /// One gzip member.
    Gzip,
}

/// What the header of a stored form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredInfo {
    /// Bytes of the stored form, header and payload.
    pub size: u64,
    /// Bytes of the header, which the payload follows.
    pub header_size: u32,
    /// Bytes of raw content.
    pub raw_size: u64,
    /// How the payload is compressed.
    pub codec: StoredCodec,
}

/// Objects that can be passed on in their stored form.
pub trait OpenObjects: Objects {
    /// An object that is open: it can be read to its end, whatever becomes of its name.
    type Opened;

    /// Opens an object, live or set aside. Its header has been checked, its content not.
    ///
    /// # Errors
    /// See [`ObjectFault`].
    fn open(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<(Self::Opened, StoredInfo), ObjectFault>;
}

/// The caches of a server.
pub trait Caches {
    /// The objects of a cache.
    type Objects: OpenObjects;
    /// The records of a cache.
    type Records: Records;

    /// The cache of that name.
    fn find(&self, name: &str) -> Option<(Self::Objects, Self::Records)>;
}

/// Identifies the content of a record, so that it is deleted only if it is still the same.
pub type RecordVersion = Digest;

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The content, as it was put.
    pub value: Vec<u8>,
    /// When it was put or last touched, whichever is later.
    pub last_access: Timestamp,
    /// SHA-256 of `value`.
    pub version: RecordVersion,
}

/// Largest record, in bytes, that a backend has to take.
pub const MAX_RECORD_SIZE: usize = 64 * 1024;

/// Small mutable values under names that the core chooses: 1 to 250 bytes of
/// `A-Z a-z 0-9 % _ - . ~`, not beginning with a dot. A backend refuses any other name.
pub trait Records {
    /// The records of these names, in their order; `None` where there is none. A record that
    /// cannot be read is an error in its own place.
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>>;

    /// Puts a record in place of any that is there, in one step.
    ///
    /// # Errors
    /// When it cannot be written; the old record is then still there.
    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError>;

    /// At most `limit` names that begin with `prefix` and come after `after`, in byte order.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError>;

    /// Notes that a record was used just now. Never changes its value; best effort, since a
    /// cache may be read-only.
    fn touch(&self, name: &str);

    /// Deletes a record if it still has this version. False where it has not.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn delete(&self, name: &str, version: &RecordVersion) -> Result<bool, IoError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_knows_when_it_began() {
        let now = Timestamp { seconds: 1_790_000_000, nanoseconds: 123_999_999 };
        let sweep = SweepId::new(now, 0xfeed);
        assert_eq!(sweep.as_str(), "001790000000123-000000000000feed");
        assert_eq!(SweepId::parse(sweep.as_str()), Some(sweep.clone()));
        let milliseconds = Timestamp { nanoseconds: 123_000_000, ..now };
        assert_eq!(sweep.began(), milliseconds);
    }

    #[test]
    fn a_sweep_of_another_form_is_refused() {
        for text in ["", "-", "../..-0", "1-2", "001790000000123-000000000000FEED"] {
            assert_eq!(SweepId::parse(text), None, "{text}");
        }
    }
}
