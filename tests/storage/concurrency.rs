//! Many at once. Whatever the order, the promises hold; the tests only make it likely that
//! something happens at the same time.

use crate::backends::{Backend, noise};
use btdt_host_runtime::storage::codec::{Codec, sha256};
use btdt_ports::{ObjectKind, Objects, Records};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(crate) fn threads_can_put_the_same_object(backend: &impl Backend) {
    const THREADS: usize = 8;
    let barrier = Barrier::new(THREADS);
    let put_and_read = || {
        let storage = backend.storage();
        let mut codec = Codec::new();
        for size in 1..30 {
            let raw = noise(size * 1000);
            let digest = sha256(&raw);
            barrier.wait();
            storage.sink().put(&digest, &raw, &mut codec).unwrap();
            assert!(storage.sink().existing(&digest).unwrap().is_some());
            let read = storage.source().read(&digest, raw.len() as u32, &mut codec);
            assert_eq!(read, Ok(&raw[..]));
            let put = Objects::put(storage, ObjectKind::Manifest, &raw).unwrap();
            assert_eq!(put.digest, digest);
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(put_and_read);
        }
    });
    let objects = (0..=255)
        .map(|shard| Objects::list(backend.storage(), ObjectKind::Chunk, shard).unwrap().len());
    assert_eq!(objects.sum::<usize>(), 29);
}

pub(crate) fn a_record_put_during_a_deletion_is_never_lost(backend: &impl Backend) {
    const PUTS: u32 = 1000;
    let done = AtomicBool::new(false);
    let storage = backend.storage();
    let names = ["key".to_owned()];
    let read = || Records::get(storage, &names).pop().unwrap().unwrap();
    let delete_what_is_seen = || {
        let mut deleted = Vec::new();
        while !done.load(Ordering::Acquire) {
            if let Some(record) = read()
                && Records::delete(storage, "key", &record.version).unwrap()
            {
                deleted.push(record.value);
            }
        }
        deleted
    };
    let deleted = thread::scope(|scope| {
        let deleters: Vec<_> = (0..2).map(|_| scope.spawn(delete_what_is_seen)).collect();
        for number in 0..PUTS {
            Records::put(storage, "key", number.to_string().as_bytes()).unwrap();
        }
        done.store(true, Ordering::Release);
        let joined = deleters.into_iter().map(|deleter| deleter.join().unwrap());
        joined.flatten().collect::<Vec<_>>()
    });
    let last = (PUTS - 1).to_string().into_bytes();
    let left = read().map(|record| record.value);
    // What was put last is there, unless a deletion says that it is what it deleted.
    assert!(left == Some(last.clone()) || (left.is_none() && deleted.contains(&last)), "{left:?}");
}
