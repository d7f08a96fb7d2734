//! Objects in files.

use super::{ATTEMPTS, FilesystemStorage, layout};
use crate::chunk_io::{ChunkSink, ChunkSource, Sink, Source};
use crate::codec::{Codec, HEADER_SIZE, MAX_RAW_SIZE, max_stored_size, sha256};
use crate::storage::fault::first_success;
use btdt_ports::{
    AsideObject, Digest, EntryKind, HeldLock, IoError, Leftovers, LockMode, ObjectFault,
    ObjectInfo, ObjectKind, ObjectName, Objects, PutOutcome, SweepId, Timestamp,
};
use btdt_sys::cache_directory::{self as os, is_not_found};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Whether a file of this size is more than what a power failure may leave of an object.
pub(super) fn is_whole(size: u64) -> bool {
    size > HEADER_SIZE as u64
}

impl FilesystemStorage {
    /// Size of the stored form of a live object.
    fn live_size(&self, kind: ObjectKind, digest: &Digest) -> Result<Option<u64>, IoError> {
        match self.root().stat(&layout::live(kind, digest)) {
            Ok(info) => {
                Ok((info.kind == EntryKind::File && is_whole(info.size)).then_some(info.size))
            }
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is there of an object, marked as just used.
    pub(super) fn existing(
        &self,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Option<PutOutcome>, IoError> {
        // The mark comes first: what is seen after it was live when it was marked, unless a
        // sweep had already chosen it. It fails where reading is all that is allowed.
        if let Err(error) = self.root().touch(&layout::live(kind, digest))
            && is_not_found(&error)
        {
            return Ok(None);
        }
        let size = self.live_size(kind, digest)?;
        Ok(size.map(|stored_size| PutOutcome { digest: *digest, stored_size, new: false }))
    }

    /// What is there of an object that is intact, marked as just used. One that is damaged is to
    /// be replaced, or it would never get well again.
    pub(super) fn intact(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        limit: u64,
        codec: &mut Codec,
    ) -> Result<Option<PutOutcome>, IoError> {
        let live = layout::live(kind, digest);
        match self.load_file(&live, digest, limit, codec) {
            Ok(()) => self.existing(kind, digest),
            Err(_) => Ok(None),
        }
    }

    /// Writes an object, over any that is there.
    fn write_object(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        raw: &[u8],
        codec: &mut Codec,
    ) -> Result<PutOutcome, IoError> {
        let stored = codec.encode(raw)?;
        self.write_stored(kind, digest, stored)
    }

    /// Writes the stored form of an object, over any that is there.
    pub(super) fn write_stored(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        stored: &[u8],
    ) -> Result<PutOutcome, IoError> {
        let [shard, ..] = digest.to_bytes();
        self.write(&layout::shard(kind, shard), &layout::live(kind, digest), stored)?;
        Ok(PutOutcome { digest: *digest, stored_size: stored.len() as u64, new: true })
    }

    /// Reads one file of an object and leaves the verified content in `codec`.
    fn load_file(
        &self,
        path: &str,
        digest: &Digest,
        limit: u64,
        codec: &mut Codec,
    ) -> Result<(), ObjectFault> {
        // Of a file that is too large, the header tells whether it is damaged.
        match self.root().read(path, max_stored_size(limit), HEADER_SIZE, codec.load()) {
            Ok(info) if is_whole(info.size) => codec.verify_loaded(digest, limit),
            Ok(_) => Err(ObjectFault::Missing),
            Err(error) if is_not_found(&error) => Err(ObjectFault::Missing),
            Err(error) => Err(ObjectFault::Unreadable(error.into())),
        }
    }

    /// Tries the places where an object may be: live, or set aside.
    pub(super) fn find<T>(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        mut attempt: impl FnMut(&str) -> Result<T, ObjectFault>,
    ) -> Result<T, ObjectFault> {
        let live = layout::live(kind, digest);
        attempt(&live).or_else(|fault| {
            let sweeps = self.sweeps().map_err(|error| ObjectFault::Unreadable(error.into()))?;
            let aside = sweeps.iter().rev().map(|sweep| layout::aside(kind, digest, sweep));
            // It may have been recalled while we were looking elsewhere.
            let paths = aside.chain([live.clone()]);
            first_success(fault, paths.map(|path| attempt(&path)))
        })
    }

    /// Finds an object, live or set aside, and leaves the verified content in `codec`.
    fn load_object(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        limit: u64,
        codec: &mut Codec,
    ) -> Result<(), ObjectFault> {
        self.find(kind, digest, |path| self.load_file(path, digest, limit, codec))
    }

    /// The sweeps that have set something aside, oldest first.
    pub(super) fn sweeps(&self) -> os::Result<Vec<SweepId>> {
        let names = self.root().names(layout::ASIDE)?;
        let mut sweeps: Vec<_> = names.iter().filter_map(|name| SweepId::parse(name)).collect();
        sweeps.sort_unstable();
        Ok(sweeps)
    }

    /// Runs `step`, which needs a file `from` and a directory that `make` makes, until both were
    /// there. False if the file is gone. Others remove empty directories at the same time.
    fn with_directory(
        &self,
        from: &str,
        make: impl Fn() -> os::Result<()>,
        step: impl Fn() -> os::Result<bool>,
    ) -> Result<bool, IoError> {
        let mut attempt = 1;
        loop {
            match step() {
                Err(error) if is_not_found(&error) && attempt < ATTEMPTS => attempt += 1,
                result => return Ok(result?),
            }
            match self.root().stat(from) {
                Err(error) if is_not_found(&error) => return Ok(false),
                result => result?,
            };
            match make() {
                Err(error) if is_not_found(&error) => {}
                result => result?,
            }
        }
    }

    fn set_one_aside(
        &self,
        kind: ObjectKind,
        digest: &Digest,
        sweep: &SweepId,
    ) -> Result<bool, IoError> {
        let from = layout::live(kind, digest);
        let to = layout::aside(kind, digest, sweep);
        let make = || {
            self.root().make_directory(layout::ASIDE)?;
            self.root().make_directory(&layout::sweep(sweep))?;
            self.root().make_directory(&layout::sweep_of_kind(kind, sweep))
        };
        self.with_directory(&from, make, || self.root().rename(&from, &to).map(|()| true))
    }

    fn recall_one(&self, object: &AsideObject) -> Result<bool, IoError> {
        let AsideObject { kind, digest, sweep, .. } = object;
        let from = layout::aside(*kind, digest, sweep);
        let to = layout::live(*kind, digest);
        let [shard, ..] = digest.to_bytes();
        let make = || {
            self.root().make_directory(layout::kind_name(*kind))?;
            self.root().make_directory(&layout::shard(*kind, shard))
        };
        // While it is still out of sight: once it is live, no sweep must take it for old.
        let _ = self.root().touch(&from);
        self.with_directory(&from, make, || match self.root().rename_to_free_name(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self
                    .root()
                    .stat(&to)
                    .is_ok_and(|info| info.kind == EntryKind::File && is_whole(info.size))
                {
                    self.root().remove_file(&from).map(|()| false)
                } else {
                    self.root().rename(&from, &to).map(|()| true)
                }
            }
            result => result.map(|()| true),
        })
    }

    /// Removes the directories of sweeps of which nothing is left.
    pub(super) fn remove_empty_sweeps<'a>(&self, sweeps: impl IntoIterator<Item = &'a SweepId>) {
        for sweep in sweeps {
            for kind in layout::KINDS {
                let _ = self.root().remove_directory(&layout::sweep_of_kind(kind, sweep));
            }
            let _ = self.root().remove_directory(&layout::sweep(sweep));
        }
    }
}

impl ChunkSink for FilesystemStorage {
    fn existing(&self, digest: &Digest) -> Result<Option<PutOutcome>, IoError> {
        FilesystemStorage::existing(self, ObjectKind::Chunk, digest)
    }

    fn put(&self, digest: &Digest, raw: &[u8], codec: &mut Codec) -> Result<PutOutcome, IoError> {
        let new = self.live_size(ObjectKind::Chunk, digest)?.is_none();
        let outcome = self.write_object(ObjectKind::Chunk, digest, raw, codec)?;
        Ok(PutOutcome { new, ..outcome })
    }
}

impl ChunkSource for FilesystemStorage {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        self.load_object(ObjectKind::Chunk, digest, u64::from(raw_size), codec)?;
        codec.loaded_of_size(raw_size)
    }
}

impl Objects for FilesystemStorage {
    type Sink = Sink;
    type Source = Source;

    fn sink(&self) -> Sink {
        Arc::new(self.clone())
    }

    fn source(&self) -> Source {
        Arc::new(self.clone())
    }

    fn lock(&self, mode: LockMode) -> Option<HeldLock> {
        let file = self.root().lock(layout::LOCK, mode == LockMode::Exclusive);
        file.ok().map(HeldLock::new)
    }

    fn missing(&self, kind: ObjectKind, digests: &[Digest]) -> Result<Vec<Digest>, IoError> {
        let mut missing = Vec::new();
        for digest in digests {
            if self.live_size(kind, digest)?.is_none() {
                missing.push(*digest);
            }
        }
        Ok(missing)
    }

    fn get(&self, kind: ObjectKind, digest: Digest, limit: u64) -> Result<Vec<u8>, ObjectFault> {
        self.shared.codecs.with(|codec| {
            self.load_object(kind, &digest, limit, codec)?;
            Ok(codec.loaded().to_vec())
        })
    }

    fn put(&self, kind: ObjectKind, raw: &[u8]) -> Result<PutOutcome, IoError> {
        let digest = sha256(raw);
        let limit = raw.len() as u64;
        self.shared.codecs.with(|codec| {
            if let Some(outcome) = self.intact(kind, &digest, limit, codec)? {
                return Ok(outcome);
            }
            self.write_object(kind, &digest, raw, codec)
        })
    }

    fn check(&self, names: &[ObjectName]) -> Vec<Option<ObjectFault>> {
        self.shared.codecs.map(names, |name, codec| {
            self.load_file(&layout::object(name), &name.digest, MAX_RAW_SIZE, codec).err()
        })
    }

    fn list(&self, kind: ObjectKind, shard: u8) -> Result<Vec<ObjectInfo>, IoError> {
        let names = self.root().names(&layout::shard(kind, shard))?;
        let digests = names.iter().filter_map(|name| Digest::from_hex(name));
        let info = |digest: Digest| {
            // One that has gone or that cannot be looked at is not listed: then it is not
            // swept either.
            let file = self.root().stat(&layout::live(kind, &digest)).ok()?;
            let info = ObjectInfo { digest, stored_size: file.size, modified: file.modified };
            (file.kind == EntryKind::File).then_some(info)
        };
        Ok(digests.filter(|digest| digest.to_bytes()[0] == shard).filter_map(info).collect())
    }

    fn touch(&self, kind: ObjectKind, digests: &[Digest]) {
        for digest in digests {
            let _ = self.root().touch(&layout::live(kind, digest));
        }
    }

    fn set_aside(
        &self,
        kind: ObjectKind,
        digests: &[Digest],
        sweep: &SweepId,
    ) -> Result<u64, IoError> {
        let mut moved = 0;
        for digest in digests {
            moved += u64::from(self.set_one_aside(kind, digest, sweep)?);
        }
        Ok(moved)
    }

    fn list_aside(&self) -> Result<Vec<AsideObject>, IoError> {
        let mut objects = Vec::new();
        for sweep in self.sweeps()? {
            for kind in layout::KINDS {
                let names = self.root().names(&layout::sweep_of_kind(kind, &sweep))?;
                for digest in names.iter().filter_map(|name| Digest::from_hex(name)) {
                    let file = self.root().stat(&layout::aside(kind, &digest, &sweep));
                    let Some(file) = file.ok().filter(|file| file.kind == EntryKind::File) else {
                        continue;
                    };
                    let sweep = sweep.clone();
                    objects.push(AsideObject { kind, digest, sweep, stored_size: file.size });
                }
            }
        }
        Ok(objects)
    }

    fn recall(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let mut recalled = 0;
        for object in objects {
            recalled += u64::from(self.recall_one(object)?);
        }
        self.remove_empty_sweeps(sweeps_of(objects));
        Ok(recalled)
    }

    fn discard(&self, objects: &[AsideObject]) -> Result<u64, IoError> {
        let mut removed = 0;
        for AsideObject { kind, digest, sweep, .. } in objects {
            match self.root().remove_file(&layout::aside(*kind, digest, sweep)) {
                Ok(()) => removed += 1,
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.remove_empty_sweeps(sweeps_of(objects));
        Ok(removed)
    }

    fn clear_leftovers(&self, before: Timestamp) -> Result<Leftovers, IoError> {
        self.remove_leftovers(before)
    }
}

fn sweeps_of(objects: &[AsideObject]) -> BTreeSet<&SweepId> {
    objects.iter().map(|object| &object.sweep).collect()
}
