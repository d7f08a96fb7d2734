//! Properties of a cache in a directory: layout, crashes, and permissions.

use crate::backends::{Backend, FilesystemBackend, HOUR, content, sweep, walk};
use btdt_host_runtime::codec::{Codec, sha256};
use btdt_host_runtime::storage::{FilesystemStorage, OpenError};
use btdt_ports::ObjectKind::{Chunk, Manifest};
use btdt_ports::{
    IoErrorKind, Leftovers, LockMode, ObjectFault, Objects, Records, SweepId, Timestamp,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

const LIMIT: u64 = 1 << 20;

/// Half an hour ago: later than everything that [`Backend::pass_an_hour`] has made older.
fn half_an_hour_ago(backend: &FilesystemBackend) -> Timestamp {
    let now = backend.now();
    Timestamp { seconds: now.seconds - HOUR as i64 / 2, ..now }
}

fn record(storage: &FilesystemStorage, name: &str) -> Option<Vec<u8>> {
    let record = Records::get(storage, &[name.to_owned()]).pop().unwrap().unwrap();
    record.map(|record| record.value)
}

#[test]
fn opening_and_reading_write_nothing() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    let digest = content(1).1;
    assert_eq!(Objects::get(storage, Chunk, digest, LIMIT), Err(ObjectFault::Missing));
    assert_eq!(storage.list_aside(), Ok(vec![]));
    assert_eq!(Objects::list(storage, Chunk, 0), Ok(vec![]));
    assert_eq!(Records::list(storage, "", None, 10), Ok(vec![]));
    assert_eq!(record(storage, "key"), None);
    Objects::touch(storage, Chunk, &[digest]);
    Records::touch(storage, "key");
    assert_eq!(Records::delete(storage, "key", &digest), Ok(false));
    assert_eq!(storage.clear_leftovers(backend.now()), Ok(Leftovers::default()));
    assert_eq!(backend.files(), [""; 0]);
}

#[test]
fn the_layout_is_as_documented() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    let (raw, digest) = content(1);
    let hex = digest.to_hex();
    Objects::put(storage, Chunk, &raw).unwrap();
    Objects::put(storage, Manifest, &raw).unwrap();
    Records::put(storage, "a~key", b"value").unwrap();
    storage.set_aside(Chunk, &[digest], &sweep(1)).unwrap();
    drop(storage.lock(LockMode::Shared));
    let sweep = sweep(1);
    let aside = format!("aside/{}", sweep.as_str());
    let mut expected = vec![
        "CACHEDIR.TAG".to_owned(),
        "format".to_owned(),
        "aside".to_owned(),
        aside.clone(),
        format!("{aside}/chunks"),
        format!("{aside}/chunks/{hex}"),
        "chunks".to_owned(),
        format!("chunks/{}", &hex[..2]),
        "keys".to_owned(),
        "keys/a~key".to_owned(),
        "lock".to_owned(),
        "manifests".to_owned(),
        format!("manifests/{}", &hex[..2]),
        format!("manifests/{}/{hex}", &hex[..2]),
        "tmp".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(backend.files(), expected);
    assert_eq!(fs::read(backend.path("format")).unwrap(), b"btdt cache 1\n");
    assert_eq!(fs::read(backend.path("keys/a~key")).unwrap(), b"value");
    let tag = fs::read_to_string(backend.path("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    let aside = storage.list_aside().unwrap();
    storage.discard(&aside).unwrap();
    assert!(!backend.path(&format!("aside/{}", sweep.as_str())).exists());
}

#[test]
fn the_format_decides_who_may_use_it() {
    let backend = FilesystemBackend::new();
    let open = || FilesystemStorage::open(backend.path("")).map(|_| ());
    for (format, expected) in [
        ("btdt cache 1\n", Ok(())),
        ("btdt cache 1", Ok(())),
        ("", Ok(())),
        ("btdt cache 2\n", Err(OpenError::UnsupportedFormat { found: 2, supported: 1 })),
        ("btdt cache \n", Err(OpenError::UnknownFormat)),
        ("something else", Err(OpenError::UnknownFormat)),
        (&"x".repeat(1000), Err(OpenError::UnknownFormat)),
    ] {
        fs::write(backend.path("format"), format).unwrap();
        assert_eq!(open(), expected, "{format}");
    }
    fs::write(backend.path("format"), "btdt cache 2\n").unwrap();
    let error = Records::put(backend.storage(), "key", b"").unwrap_err();
    assert_eq!(error.kind, IoErrorKind::Unsupported, "it was opened when it was empty");
    fs::write(backend.path("format"), "").unwrap();
    Records::put(backend.storage(), "key", b"").unwrap();
    assert_eq!(fs::read(backend.path("format")).unwrap(), b"btdt cache 1\n");
}

#[test]
fn only_a_directory_is_opened() {
    let backend = FilesystemBackend::new();
    fs::write(backend.path("file"), "").unwrap();
    let kind = |path| match FilesystemStorage::open(backend.path(path)) {
        Err(OpenError::Io(error)) => error.kind,
        _ => panic!("{path} was opened"),
    };
    assert_eq!(kind("absent"), IoErrorKind::NotFound);
    assert_eq!(kind("file"), IoErrorKind::NotADirectory);
    let error = FilesystemStorage::open(backend.path("absent")).err().unwrap();
    assert_eq!(error.to_string(), "No such file or directory (os error 2)");
}

#[test]
fn a_cache_of_the_original_stays_as_it_is() {
    let backend = FilesystemBackend::new();
    fs::create_dir_all(backend.path("blob/ab")).unwrap();
    fs::create_dir_all(backend.path("meta")).unwrap();
    fs::write(backend.path("blob/ab/cdef"), "blob").unwrap();
    fs::write(backend.path("meta/key"), "meta").unwrap();
    Objects::put(backend.storage(), Chunk, &content(1).0).unwrap();
    backend.storage().clear_leftovers(backend.now()).unwrap();
    assert_eq!(fs::read(backend.path("blob/ab/cdef")).unwrap(), b"blob");
    assert_eq!(fs::read(backend.path("meta/key")).unwrap(), b"meta");
}

#[test]
fn foreign_files_are_ignored() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    let (raw, digest) = content(1);
    let shard = digest.to_bytes()[0];
    Objects::put(storage, Chunk, &raw).unwrap();
    Records::put(storage, "key", b"value").unwrap();
    storage.set_aside(Chunk, &[digest], &sweep(1)).unwrap();
    Objects::put(storage, Chunk, &raw).unwrap();
    let hex = digest.to_hex();
    let sweep = format!("aside/{}", sweep(1).as_str());
    for directory in [&format!("chunks/{}", &hex[..2]), "keys", "aside", &sweep, &sweep_of(&sweep)]
    {
        for name in [".nfs0001", "lost+found", "ä", &hex.to_uppercase(), &"f".repeat(64)[..63]] {
            fs::write(backend.path(directory).join(name), "foreign").unwrap();
        }
        let dangling = backend.path(directory).join(format!("{}00", &hex[..62]));
        symlink("nowhere", dangling).unwrap();
        fs::create_dir(backend.path(directory).join(format!("{}01", &hex[..62]))).unwrap();
    }
    let listed = Objects::list(storage, Chunk, shard).unwrap();
    assert_eq!(listed.iter().map(|object| object.digest).collect::<Vec<_>>(), [digest]);
    let aside: Vec<_> = storage.list_aside().unwrap();
    assert_eq!(aside.iter().map(|object| object.digest).collect::<Vec<_>>(), [digest]);
    let names = Records::list(storage, "", None, 100).unwrap();
    assert!(names.contains(&"key".to_owned()) && !names.contains(&".nfs0001".to_owned()));
}

fn sweep_of(sweep: &str) -> String {
    format!("{sweep}/chunks")
}

#[test]
fn what_is_no_file_is_a_fault_in_its_place() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    let (raw, digest) = content(1);
    Objects::put(storage, Chunk, &raw).unwrap();
    Records::put(storage, "key", b"value").unwrap();
    let path = backend.object_path(Chunk, digest);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::create_dir(backend.path("keys/directory")).unwrap();
    symlink("key", backend.path("keys/link")).unwrap();
    let fault = Objects::get(storage, Chunk, digest, LIMIT).unwrap_err();
    assert!(matches!(fault, ObjectFault::Unreadable(_)), "{fault}");
    assert_eq!(storage.missing(Chunk, &[digest]), Ok(vec![digest]));
    let answers = Records::get(storage, &["directory", "link", "key"].map(str::to_owned));
    assert!(answers[0].is_err() && answers[1].is_err() && answers[2].is_ok());
    fs::write(backend.path("keys/large"), vec![b'x'; (64 << 10) + 1]).unwrap();
    let large = Records::get(storage, &["large".to_owned()]).pop().unwrap();
    assert_eq!(large.unwrap_err().kind, IoErrorKind::TooLarge);
}

#[test]
fn a_fifo_does_not_stop_the_world() {
    let backend = FilesystemBackend::new();
    Records::put(backend.storage(), "key", b"value").unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let kind = rustix::fs::FileType::Fifo;
    let path = backend.path("keys/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    assert!(Records::get(backend.storage(), &["fifo".to_owned()])[0].is_err());
}

#[test]
fn files_that_a_crash_left_are_removed_when_they_are_old() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    Records::put(storage, "key", b"value").unwrap();
    fs::write(backend.path("tmp/old"), "12345").unwrap();
    fs::write(backend.path("tmp/older"), "678").unwrap();
    backend.pass_an_hour();
    fs::write(backend.path("tmp/new"), "1").unwrap();
    let leftovers = storage.clear_leftovers(half_an_hour_ago(&backend));
    assert_eq!(leftovers, Ok(Leftovers { files: 2, bytes: 8 }));
    assert!(backend.path("tmp/new").exists());
    assert_eq!(record(storage, "key").unwrap(), b"value");
}

/// The leftovers of a deletion of `key` that died after it had moved the record away.
fn abandon_deletion(backend: &FilesystemBackend) {
    let eviction = format!("tmp/evict-{}/0123-4", sha256(b"key").to_hex());
    fs::create_dir_all(backend.path(&eviction)).unwrap();
    let taken = backend.path(&eviction).join("key");
    fs::rename(backend.path("keys/key"), taken).unwrap();
}

#[test]
fn a_record_comes_back_whose_deletion_has_died() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    Records::put(storage, "key", b"value").unwrap();
    abandon_deletion(&backend);
    assert_eq!(record(storage, "key").unwrap(), b"value", "it counts until it is gone");
    assert_eq!(Records::list(storage, "", None, 10).unwrap(), ["key"]);
    storage.clear_leftovers(half_an_hour_ago(&backend)).unwrap();
    assert!(backend.path("keys/key").exists(), "however young the deletion is");
    assert!(!backend.path(&format!("tmp/evict-{}", sha256(b"key").to_hex())).exists());
    assert_eq!(record(storage, "key").unwrap(), b"value");
    assert_eq!(Records::delete(storage, "key", &sha256(b"value")), Ok(true));
    assert_eq!(walk(&backend.path("tmp")), [""; 0].map(|_| Path::new("").to_owned()));
}

#[test]
fn a_newer_record_stays_when_an_old_one_comes_back() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    Records::put(storage, "key", b"old").unwrap();
    abandon_deletion(&backend);
    Records::put(storage, "key", b"new").unwrap();
    let version = sha256(b"new");
    assert_eq!(Records::delete(storage, "key", &version), Ok(false), "one deletion at a time");
    backend.pass_an_hour();
    storage.clear_leftovers(half_an_hour_ago(&backend)).unwrap();
    assert_eq!(record(storage, "key").unwrap(), b"new");
    assert_eq!(Records::delete(storage, "key", &version), Ok(true));
}

#[test]
fn empty_directories_of_sweeps_go() {
    let backend = FilesystemBackend::new();
    let sweep = SweepId::new(backend.now(), 5);
    let path = backend.path(&format!("aside/{}/manifests", sweep.as_str()));
    fs::create_dir_all(path).unwrap();
    backend.storage().clear_leftovers(backend.now()).unwrap();
    assert!(!backend.path(&format!("aside/{}", sweep.as_str())).exists());
    assert!(backend.path("aside").exists());
}

#[test]
fn a_clean_without_grace_stops_no_store() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    let future = backend.now().plus_seconds(HOUR);
    Records::put(storage, "key", b"value").unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for seed in 0..200 {
                Objects::put(storage, Chunk, &content(seed).0).unwrap();
                Records::put(storage, "key", &seed.to_le_bytes()).unwrap();
            }
        });
        while !writer.is_finished() {
            storage.clear_leftovers(future).unwrap();
        }
    });
    let digests: Vec<_> = (0..200).map(|seed| content(seed).1).collect();
    assert_eq!(storage.missing(Chunk, &digests), Ok(vec![]));
    assert_eq!(record(storage, "key").unwrap(), 199_u32.to_le_bytes());
}

#[test]
fn directories_that_vanish_are_made_again() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    Objects::put(storage, Chunk, &content(1).0).unwrap();
    for name in ["chunks", "tmp", "aside"] {
        fs::remove_dir_all(backend.path(name)).unwrap();
    }
    Objects::put(storage, Chunk, &content(1).0).unwrap();
    fs::remove_dir_all(backend.path("aside")).unwrap();
    assert_eq!(storage.set_aside(Chunk, &[content(1).1], &sweep(1)), Ok(1));
    fs::remove_dir_all(backend.path("chunks")).unwrap();
    assert_eq!(storage.recall(&storage.list_aside().unwrap()), Ok(1));
    fs::remove_dir_all(backend.path("keys")).unwrap();
    Records::put(storage, "key", b"value").unwrap();
}

#[test]
fn nothing_is_left_in_tmp() {
    let backend = FilesystemBackend::new();
    let storage = backend.storage();
    Records::put(storage, "key", b"value").unwrap();
    assert_eq!(Records::delete(storage, "key", &sha256(b"value")), Ok(true));
    assert_eq!(fs::read_dir(backend.path("tmp")).unwrap().count(), 0);
    // A file cannot replace a directory, so the directory is moved out of the way.
    fs::create_dir(backend.path("keys/directory")).unwrap();
    Records::put(storage, "directory", b"value").unwrap();
    assert_eq!(record(storage, "directory").unwrap(), b"value");
    backend.pass_an_hour();
    storage.clear_leftovers(backend.now()).unwrap();
    assert_eq!(fs::read_dir(backend.path("tmp")).unwrap().count(), 0);
}

/// Runs `work` as a user who can read everything in `backend` and change nothing.
fn as_a_reader(backend: &FilesystemBackend, work: impl FnOnce() + Send) {
    let directories = [backend.path("")].into_iter().chain(walk(&backend.path("")));
    let directories: Vec<_> = directories.filter(|path| path.is_dir()).collect();
    let set_mode = |mode| {
        for path in &directories {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set_mode(0o555);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Permissions do not restrict root, so give it up. A single thread can only change its
            // file system identity. Unless we are root, this does nothing.
            // SAFETY: this call has no preconditions.
            #[cfg(target_os = "linux")]
            unsafe {
                libc::setfsgid(65534);
                libc::setfsuid(65534);
            }
            work();
        });
        reader.join().unwrap();
    });
    set_mode(0o755);
}

#[test]
fn a_cache_can_be_read_where_nothing_may_be_written() {
    let backend = FilesystemBackend::new();
    let (raw, digest) = content(1);
    let (set_aside, aside_digest) = content(2);
    for raw in [&raw, &set_aside] {
        Objects::put(backend.storage(), Chunk, raw).unwrap();
    }
    backend.storage().set_aside(Chunk, &[aside_digest], &sweep(1)).unwrap();
    Records::put(backend.storage(), "key", b"value").unwrap();
    let before = backend.files();
    as_a_reader(&backend, || {
        let storage = FilesystemStorage::open(backend.path("")).unwrap();
        let mut codec = Codec::new();
        let size = raw.len() as u32;
        assert_eq!(storage.source().read(&digest, size, &mut codec), Ok(&raw[..]));
        assert_eq!(Objects::get(&storage, Chunk, aside_digest, LIMIT).as_ref(), Ok(&set_aside));
        assert_eq!(record(&storage, "key").unwrap(), b"value");
        assert_eq!(Records::list(&storage, "", None, 10).unwrap(), ["key"]);
        assert!(storage.sink().existing(&digest).unwrap().is_some());
        Objects::touch(&storage, Chunk, &[digest]);
        Records::touch(&storage, "key");
        assert!(storage.lock(LockMode::Shared).is_none(), "there is no file to lock");
        let denied = |kind| matches!(kind, IoErrorKind::AccessDenied | IoErrorKind::ReadOnly);
        let put = Objects::put(&storage, Chunk, b"new").unwrap_err();
        assert!(denied(put.kind), "{put}");
        let put = Records::put(&storage, "key", b"new").unwrap_err();
        assert!(denied(put.kind), "{put}");
        let deleted = Records::delete(&storage, "key", &sha256(b"value")).unwrap_err();
        assert!(denied(deleted.kind), "{deleted}");
        assert!(storage.set_aside(Chunk, &[digest], &sweep(2)).is_err());
    });
    assert_eq!(backend.files(), before);
}

#[test]
fn a_lock_that_is_there_can_be_shared_by_readers() {
    let backend = FilesystemBackend::new();
    drop(backend.storage().lock(LockMode::Exclusive));
    as_a_reader(&backend, || {
        let storage = FilesystemStorage::open(backend.path("")).unwrap();
        let lock = storage.lock(LockMode::Shared);
        assert!(lock.is_some());
        assert!(backend.storage().lock(LockMode::Exclusive).is_none());
    });
}
