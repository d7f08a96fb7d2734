//! The shared state of the threads of a restore.

use crate::chunk_io::Source;
use crate::tree::plan_checks::DirectoryTable;
use btdt_ports::{
    DestinationFailure, DirectoryPlan, DirectoryState, EntryKind, Existing, FilePlan, IoError,
    IoErrorKind, MaterializeError, MaterializeSummary,
};
use btdt_sys::handle::{self as os, Handle};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The permissions that the owner needs to list and change a directory.
pub(super) const OWNER_ACCESS: u32 = 0o700;

/// A file that was compared, found different and rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrittenFile {
    /// Number of its directory; `None` for the root itself.
    pub directory: Option<u32>,
    /// Name in that directory.
    pub name: Vec<u8>,
    /// Its wanted permission bits.
    pub mode: u32,
}

/// The state of a restore that all threads see.
pub(super) struct Shared {
    root: Handle,
    pub(super) sources: Vec<Source>,
    table: RwLock<DirectoryTable>,
    error: Mutex<Option<MaterializeError>>,
    /// Modes of directories from before their owner was given access, by number.
    modes: Mutex<BTreeMap<u32, u32>>,
    /// Directories that stay as they are, but whose content may have changed.
    opened: Mutex<BTreeSet<u32>>,
    /// Open files that lack some of their content.
    incomplete: Mutex<BTreeSet<(u32, Vec<u8>)>>,
    /// Files that have lost their modes since the last call.
    rewritten: Mutex<Vec<RewrittenFile>>,
    finished: AtomicBool,
    files_written: AtomicU64,
    bytes_written: AtomicU64,
    files_kept: AtomicU64,
}

impl Shared {
    pub(super) fn new(root: Handle, sources: Vec<Source>) -> Self {
        Shared {
            root,
            sources,
            table: RwLock::default(),
            error: Mutex::default(),
            modes: Mutex::default(),
            opened: Mutex::default(),
            incomplete: Mutex::default(),
            rewritten: Mutex::default(),
            finished: AtomicBool::new(false),
            files_written: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            files_kept: AtomicU64::new(0),
        }
    }

    /// The root, open as a path.
    pub(super) fn root(&self) -> &Handle {
        &self.root
    }

    /// The directories so far.
    pub(super) fn table(&self) -> RwLockReadGuard<'_, DirectoryTable> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds directories; returns the number of the first.
    pub(super) fn add_directories(&self, plans: &[DirectoryPlan]) -> Result<u32, MaterializeError> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let first = u32::try_from(table.len()).unwrap_or(u32::MAX);
        plans.iter().try_for_each(|plan| table.push(plan))?;
        Ok(first)
    }

    /// The error for a name in a directory.
    pub(super) fn failure(
        &self,
        directory: u32,
        name: &[u8],
        error: os::Error,
    ) -> MaterializeError {
        let path = self.table().path_of(Some(directory), name);
        MaterializeError::Destination(DestinationFailure { path, error: os::io_error(error) })
    }

    /// Keeps the first error of a worker.
    pub(super) fn fail(&self, error: MaterializeError) {
        lock(&self.error).get_or_insert(error);
    }

    /// Why the workers have stopped.
    pub(super) fn error(&self) -> MaterializeError {
        let unknown = IoError::new(IoErrorKind::Other);
        self.first_error().unwrap_or(MaterializeError::Destination(DestinationFailure {
            path: Vec::new(),
            error: unknown,
        }))
    }

    /// The first error, if any.
    pub(super) fn first_error(&self) -> Option<MaterializeError> {
        lock(&self.error).clone()
    }

    pub(super) fn count_written(&self, bytes: u64) {
        self.files_written.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records a written file if the plan could not predict that and its mode is lost.
    pub(super) fn note_rewritten(&self, file: &FilePlan) {
        if os::KEEPS_MODES || file.existing != Existing::Compare {
            return;
        }
        if let Some(mode) = file.mode {
            let FilePlan { directory, name, .. } = file;
            let rewritten = RewrittenFile { directory: *directory, name: name.clone(), mode };
            lock(&self.rewritten).push(rewritten);
        }
    }

    /// The files recorded since the last call.
    pub(super) fn take_rewritten(&self) -> Vec<RewrittenFile> {
        std::mem::take(&mut *lock(&self.rewritten))
    }

    pub(super) fn count_kept(&self) {
        self.files_kept.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn summary(&self) -> MaterializeSummary {
        MaterializeSummary {
            files_written: self.files_written.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            files_kept: self.files_kept.load(Ordering::Relaxed),
        }
    }

    pub(super) fn mark_finished(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// Records that a file is incomplete.
    pub(super) fn begin_file(&self, directory: u32, name: &[u8]) {
        lock(&self.incomplete).insert((directory, name.to_vec()));
    }

    /// Records that a file is complete.
    pub(super) fn end_file(&self, directory: u32, name: &[u8]) {
        lock(&self.incomplete).remove(&(directory, name.to_vec()));
    }

    /// Removes incomplete files.
    pub(super) fn remove_incomplete(&self, directories: &mut DirectoryCache) {
        for (directory, name) in std::mem::take(&mut *lock(&self.incomplete)) {
            // There is an error already, and nothing more can be done.
            if let Ok(open) = directories.open(self, directory) {
                let _ = open.handle.remove(&name);
            }
        }
    }

    /// Remembers the mode that a directory had; the first one counts.
    pub(super) fn remember_mode(&self, directory: u32, mode: u32) {
        lock(&self.modes).entry(directory).or_insert(mode);
    }

    /// Records that the content of a directory may change.
    fn note_opened(&self, directory: u32) {
        let table = self.table();
        let known = (directory as usize) < table.len();
        if known && table.get(directory).state == DirectoryState::Present {
            lock(&self.opened).insert(directory);
        }
    }

    /// The directories that were right, but whose content may have changed.
    pub(super) fn opened_directories(&self) -> BTreeSet<u32> {
        lock(&self.opened).clone()
    }

    /// The modes of directories before they were changed, by number.
    pub(super) fn remembered_modes(&self) -> BTreeMap<u32, u32> {
        lock(&self.modes).clone()
    }

    /// Runs what needs access to a directory. If access is refused, gives it to the owner until the
    /// end of the restore, and tries again.
    pub(super) fn with_access<T>(
        &self,
        directory: u32,
        mut action: impl FnMut() -> Result<T, os::Error>,
    ) -> Result<T, os::Error> {
        match action() {
            Err(os::Error::ACCESS) => {
                self.gain_access(directory).map_err(|_| os::Error::ACCESS)?;
                action()
            }
            result => result,
        }
    }

    /// Gives the owner access to a directory and its parents. Succeeds also if another thread has
    /// just done so.
    fn gain_access(&self, directory: u32) -> Result<(), os::Error> {
        let mut modes = lock(&self.modes);
        let mut chain = vec![directory];
        let table = self.table();
        while let Some(number) = chain.last().copied().filter(|number| *number != 0) {
            chain.push(table.get(number).parent);
        }
        let root = self.root.status()?;
        if root.mode() & OWNER_ACCESS != OWNER_ACCESS {
            self.root.set_mode_of_path(root.full_mode | OWNER_ACCESS)?;
            modes.entry(0).or_insert(root.mode());
        }
        let mut current = self.root.open_directory(b"")?;
        for number in chain.into_iter().rev().filter(|number| *number != 0) {
            let name = table.name(number);
            let status = current.status_at(name)?;
            if status.mode() & OWNER_ACCESS != OWNER_ACCESS {
                let mode = status.full_mode | OWNER_ACCESS;
                current.set_mode_at(name, EntryKind::Directory, mode)?;
                modes.entry(number).or_insert(status.mode());
            }
            current = current.open_directory(name)?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is atomic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory that a worker keeps open.
pub(super) struct OpenDirectory {
    pub(super) number: u32,
    pub(super) handle: Handle,
    /// The last mode with which a file was created here, and whether the file got it: the umask or
    /// a default ACL of the directory may remove bits.
    pub(super) created_mode: Option<(u32, bool)>,
}

/// The most recently used directories of a worker. Files come in path order, so a few suffice.
#[derive(Default)]
pub(super) struct DirectoryCache {
    slots: [Option<OpenDirectory>; DirectoryCache::SLOTS],
}

impl DirectoryCache {
    const SLOTS: usize = 16;

    /// The directory with this number, which must exist; 0 is the root.
    pub(super) fn open(
        &mut self,
        shared: &Shared,
        number: u32,
    ) -> Result<&mut OpenDirectory, os::Error> {
        let slot = &mut self.slots[number as usize % Self::SLOTS];
        let open = match slot.take().filter(|open| open.number == number) {
            Some(open) => open,
            None => {
                let path = shared.table().path(number);
                shared.note_opened(number);
                let handle = shared.with_access(number, || shared.root().open_directory(&path))?;
                OpenDirectory { number, handle, created_mode: None }
            }
        };
        Ok(slot.insert(open))
    }
}
