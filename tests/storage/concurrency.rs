//! Concurrent operations. The guarantees hold in any order; the tests only make it likely that
//! operations overlap.

use crate::backends::{Backend, noise};
use btdt_host_runtime::codec::{Codec, sha256};
use btdt_ports::{ObjectKind, Objects, Records};
use std::sync::Barrier;
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
    const ROUNDS: u32 = 500;
    const DELETERS: usize = 2;
    let storage = backend.storage();
    let old_value = |round: u32| format!("old {round}");
    let barrier = Barrier::new(DELETERS + 1);
    // A panic between two barriers would leave the other threads waiting, so failures are
    // collected.
    let delete_the_old_one = || {
        let mut errors = Vec::new();
        for round in 0..ROUNDS {
            barrier.wait();
            let version = sha256(old_value(round).as_bytes());
            errors.extend(Records::delete(storage, "key", &version).err());
            barrier.wait();
        }
        errors
    };
    let put_both = || {
        let mut lost = Vec::new();
        for round in 0..ROUNDS {
            let old = Records::put(storage, "key", old_value(round).as_bytes());
            let new_value = format!("new {round}");
            barrier.wait();
            let new = Records::put(storage, "key", new_value.as_bytes());
            barrier.wait();
            let left = Records::get(storage, &["key".to_owned()]).pop();
            let kept = matches!(left, Some(Ok(Some(left))) if left.value == new_value.as_bytes());
            if old.is_err() || new.is_err() || !kept {
                lost.push(round);
            }
        }
        lost
    };
    thread::scope(|scope| {
        let deleters: Vec<_> = (0..DELETERS).map(|_| scope.spawn(delete_the_old_one)).collect();
        assert_eq!(put_both(), [0; 0]);
        for deleter in deleters {
            assert_eq!(deleter.join().unwrap(), []);
        }
    });
}
