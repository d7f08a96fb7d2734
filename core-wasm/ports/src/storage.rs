//! The contents of a cache: immutable objects named by their digest, and small mutable records.
//!
//! Every method is safe to call from any number of processes at once. None of them decides what may
//! be deleted: the core's `collect` module does.

pub use crate::wit::types::{
    Damage, Leftovers, LockMode, ObjectFault, ObjectInfo, ObjectKind, PutOutcome, StoredCodec,
    StoredInfo, StoredRecord,
};

use crate::wit::types;
use crate::{Digest, IoError, IoErrorKind, Timestamp};
use std::any::Any;
use std::fmt;

/// Names one pass of a collector. Never reused, so a delayed deletion can only hit what its author
/// saw.
///
/// The form is `<milliseconds since 1970>-<16 hexadecimal digits>`, both of fixed width.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(String);

impl SweepId {
    const MILLISECOND_DIGITS: usize = 15;
    const RANDOM_DIGITS: usize = 16;

    /// The identifier of a sweep that starts now.
    #[must_use]
    pub fn new(now: Timestamp, random: u64) -> Self {
        let seconds = u64::try_from(now.seconds).unwrap_or(0).min(999_999_999_999);
        let milliseconds = seconds * 1000 + u64::from(now.nanoseconds / 1_000_000);
        SweepId(format!("{milliseconds:015}-{random:016x}"))
    }

    /// Parses what [`SweepId::as_str`] returns; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (milliseconds, random) = text.split_once('-')?;
        let valid = milliseconds.len() == Self::MILLISECOND_DIGITS
            && milliseconds.bytes().all(|byte| byte.is_ascii_digit())
            && random.len() == Self::RANDOM_DIGITS
            && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| SweepId(text.to_owned()))
    }

    /// The identifier as text, which is safe as a file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the sweep started.
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

/// One object: live, or set aside by a sweep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Chunk or manifest.
    pub kind: ObjectKind,
    /// Digest of the raw content.
    pub digest: Digest,
    /// The sweep that set it aside; `None` for a live object.
    pub sweep: Option<SweepId>,
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

/// Parses the name of a sweep that came across a component boundary.
fn sweep(text: &str) -> Result<SweepId, IoError> {
    SweepId::parse(text).ok_or(IoError::new(IoErrorKind::Other))
}

impl From<&ObjectName> for types::ObjectName {
    fn from(name: &ObjectName) -> Self {
        let sweep = name.sweep.as_ref().map(|sweep| sweep.as_str().to_owned());
        types::ObjectName { kind: name.kind, digest: name.digest, sweep }
    }
}

impl TryFrom<types::ObjectName> for ObjectName {
    type Error = IoError;

    fn try_from(name: types::ObjectName) -> Result<Self, IoError> {
        let sweep = name.sweep.as_deref().map(sweep).transpose()?;
        Ok(ObjectName { kind: name.kind, digest: name.digest, sweep })
    }
}

impl From<&AsideObject> for types::AsideObject {
    fn from(object: &AsideObject) -> Self {
        let AsideObject { kind, digest, ref sweep, stored_size } = *object;
        types::AsideObject { kind, digest, sweep: sweep.as_str().to_owned(), stored_size }
    }
}

impl TryFrom<types::AsideObject> for AsideObject {
    type Error = IoError;

    fn try_from(object: types::AsideObject) -> Result<Self, IoError> {
        let types::AsideObject { kind, digest, sweep: text, stored_size } = object;
        Ok(AsideObject { kind, digest, sweep: sweep(&text)?, stored_size })
    }
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

impl fmt::Display for ObjectFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectFault::Missing => formatter.write_str("it is missing"),
            ObjectFault::Damaged(damage) => damage.fmt(formatter),
            ObjectFault::TooLarge => formatter.write_str("it is larger than allowed"),
            ObjectFault::Unreadable(error) => write!(formatter, "it could not be read: {error}"),
        }
    }
}

impl std::error::Error for ObjectFault {}

/// A lock, released on drop.
pub struct HeldLock(#[allow(dead_code, reason = "kept only to be dropped")] Box<dyn Any + Send>);

impl HeldLock {
    /// Wraps a guard that releases the lock when it is dropped.
    pub fn new(guard: impl Any + Send) -> Self {
        HeldLock(Box::new(guard))
    }
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

    /// Signals to other processes that the cache is in use. `None` if another holder prevents it or
    /// the file system has no locks; never waits. Nothing may depend on a lock for safety.
    fn lock(&self, mode: LockMode) -> Option<HeldLock>;

    /// The `digests` without a live object, in the order given.
    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError>;

    /// The verified raw content of an object of at most `limit` bytes, live or set aside.
    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault>;

    /// Stores `raw` under its digest, atomically.
    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError>;

    /// Reads and verifies objects; the fault of each, if any.
    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>>;

    /// The live objects whose digest starts with the byte `shard`, in any order.
    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError>;

    /// Marks live objects as just used, so that no sweep considers them old. Best effort.
    fn touch(&self, kind: ObjectKind, digests: &[Digest]);

    /// Sets live objects aside under the name of `sweep`, ignoring those that are gone. Returns how
    /// many were moved.
    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError>;

    /// All objects that are set aside.
    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError>;

    /// Makes objects live again that were set aside, ignoring those that are gone, and leaves live
    /// objects of the same digest as they are. Returns how many were recalled.
    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError>;

    /// Deletes objects that were set aside. Returns how many existed.
    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError>;

    /// Removes temporary files last changed before `before`.
    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError>;
}

/// Objects that can be sent in their stored form.
pub trait OpenObjects: Objects {
    /// An open object: it can be read to its end even if it is renamed or deleted.
    type Opened;

    /// Opens an object, live or set aside. Checks its header, not its content.
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

/// Identifies the content of a record, so that it is deleted only if it has not changed.
pub type RecordVersion = Digest;

/// Largest record, in bytes, that a backend must accept.
pub const MAX_RECORD_SIZE: usize = 64 * 1024;

/// Small mutable values under names that the core chooses: 1 to 250 bytes of
/// `A-Z a-z 0-9 % _ - . ~`, not beginning with a dot. A backend refuses any other name.
pub trait Records {
    /// The records of these names, in their order; `None` where none exists. An unreadable record
    /// is an error in its own position.
    fn get(&self, names: &[String]) -> Vec<Result<Option<StoredRecord>, IoError>>;

    /// Replaces a record atomically.
    ///
    /// # Errors
    /// If it cannot be written; the old record is kept then.
    fn put(&self, name: &str, value: &[u8]) -> Result<(), IoError>;

    /// At most `limit` names that start with `prefix` and come after `after`, in byte order.
    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, IoError>;

    /// Updates the last access of a record, never its value. Best effort: a cache may be read-only.
    fn touch(&self, name: &str);

    /// Deletes a record if it still has this version; false if not.
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
