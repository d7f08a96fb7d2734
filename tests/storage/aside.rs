//! Objects that a sweep has set aside.

use crate::backends::{Backend, content, is_young, sweep};
use btdt_host_runtime::codec::Codec;
use btdt_ports::ObjectKind::{Chunk, Manifest};
use btdt_ports::{AsideObject, Damage, ObjectFault, ObjectName, Objects};

const LIMIT: u64 = 1 << 20;

pub(crate) fn an_object_set_aside_can_still_be_read(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    for kind in [Chunk, Manifest] {
        Objects::put(storage, kind, &raw).unwrap();
        assert_eq!(storage.set_aside(kind, &[digest], &sweep(1)), Ok(1));
        assert_eq!(Objects::get(storage, kind, digest, LIMIT).as_ref(), Ok(&raw));
    }
    let size = raw.len() as u32;
    assert_eq!(storage.source().read(&digest, size, &mut Codec::new()), Ok(&raw[..]));
    let name = ObjectName { kind: Chunk, digest, sweep: Some(sweep(1)) };
    let live = ObjectName { sweep: None, ..name.clone() };
    let other = ObjectName { sweep: Some(sweep(2)), ..name.clone() };
    let missing = Some(ObjectFault::Missing);
    assert_eq!(storage.check(&[name, live, other]), [None, missing, missing]);
}

pub(crate) fn an_object_set_aside_counts_as_missing(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    Objects::put(storage, Chunk, &raw).unwrap();
    storage.set_aside(Chunk, &[digest], &sweep(1)).unwrap();
    assert_eq!(storage.missing(Chunk, &[digest]), Ok(vec![digest]));
    assert_eq!(storage.sink().existing(&digest), Ok(None));
    assert_eq!(Objects::list(storage, Chunk, digest.to_bytes()[0]), Ok(vec![]));
    assert!(Objects::put(storage, Chunk, &raw).unwrap().new);
}

pub(crate) fn objects_that_are_gone_are_passed_over(backend: &impl Backend) {
    let storage = backend.storage();
    let digests: Vec<_> = (0..4).map(|seed| content(seed).1).collect();
    assert_eq!(storage.set_aside(Chunk, &digests, &sweep(1)), Ok(0));
    for seed in [1, 3] {
        Objects::put(storage, Chunk, &content(seed).0).unwrap();
    }
    assert_eq!(storage.set_aside(Chunk, &digests, &sweep(2)), Ok(2));
    assert_eq!(storage.set_aside(Chunk, &digests, &sweep(2)), Ok(0));
    let object = |digest| AsideObject { kind: Chunk, digest, sweep: sweep(2), stored_size: 0 };
    let objects: Vec<_> = digests.iter().copied().map(object).collect();
    assert_eq!(storage.recall(&objects), Ok(2));
    assert_eq!(storage.recall(&objects), Ok(0));
    assert_eq!(storage.discard(&objects), Ok(0));
    assert_eq!(storage.missing(Chunk, &digests), Ok(vec![digests[0], digests[2]]));
}

pub(crate) fn one_object_can_be_in_several_sweeps(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    let mut expected = Vec::new();
    for number in 1..=3 {
        let stored_size = Objects::put(storage, Chunk, &raw).unwrap().stored_size;
        assert_eq!(storage.set_aside(Chunk, &[digest], &sweep(number)), Ok(1));
        expected.push(AsideObject { kind: Chunk, digest, sweep: sweep(number), stored_size });
    }
    let mut listed = storage.list_aside().unwrap();
    listed.sort_unstable_by(|a, b| a.sweep.cmp(&b.sweep));
    assert_eq!(listed, expected);
    assert_eq!(storage.discard(&expected[..1]), Ok(1));
    assert_eq!(storage.recall(&expected), Ok(1), "the second stays where the first is live");
    assert_eq!(storage.list_aside(), Ok(vec![]));
    assert_eq!(Objects::get(storage, Chunk, digest, LIMIT), Ok(raw));
}

pub(crate) fn recalled_objects_are_live_and_young(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    Objects::put(storage, Manifest, &raw).unwrap();
    backend.pass_an_hour();
    storage.set_aside(Manifest, &[digest], &sweep(1)).unwrap();
    let aside = storage.list_aside().unwrap();
    assert_eq!(storage.recall(&aside), Ok(1));
    assert_eq!(storage.list_aside(), Ok(vec![]));
    let listed = Objects::list(storage, Manifest, digest.to_bytes()[0]).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(is_young(listed[0].modified, backend.now()));
    assert_eq!(Objects::get(storage, Manifest, digest, LIMIT), Ok(raw));
}

pub(crate) fn a_live_object_stays_when_a_copy_is_recalled(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    for remnant in [false, true] {
        Objects::put(storage, Chunk, &raw).unwrap();
        storage.set_aside(Chunk, &[digest], &sweep(1)).unwrap();
        Objects::put(storage, Chunk, &raw).unwrap();
        if remnant {
            backend.replace_stored(Chunk, digest, b"");
        }
        let aside = storage.list_aside().unwrap();
        assert_eq!(storage.recall(&aside), Ok(u64::from(remnant)));
        assert_eq!(storage.list_aside(), Ok(vec![]));
        assert_eq!(Objects::get(storage, Chunk, digest, LIMIT).as_ref(), Ok(&raw));
    }
}

pub(crate) fn a_damaged_live_object_yields_to_a_copy_aside(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    Objects::put(storage, Chunk, &raw).unwrap();
    storage.set_aside(Chunk, &[digest], &sweep(1)).unwrap();
    Objects::put(storage, Chunk, &raw).unwrap();
    for damaged in [&b""[..], b"something else than an object"] {
        backend.replace_stored(Chunk, digest, damaged);
        assert_eq!(Objects::get(storage, Chunk, digest, LIMIT).as_ref(), Ok(&raw));
    }
    let aside = storage.list_aside().unwrap();
    storage.discard(&aside).unwrap();
    let fault = ObjectFault::Damaged(Damage::Header);
    assert_eq!(Objects::get(storage, Chunk, digest, LIMIT), Err(fault));
}

pub(crate) fn discarded_objects_are_gone_for_good(backend: &impl Backend) {
    let storage = backend.storage();
    for seed in 0..5 {
        Objects::put(storage, Chunk, &content(seed).0).unwrap();
    }
    let digests: Vec<_> = (0..5).map(|seed| content(seed).1).collect();
    storage.set_aside(Chunk, &digests, &sweep(1)).unwrap();
    let aside = storage.list_aside().unwrap();
    assert_eq!(storage.discard(&aside[..2]), Ok(2));
    assert_eq!(storage.list_aside().unwrap().len(), 3);
    assert_eq!(storage.discard(&aside), Ok(3));
    assert_eq!(storage.discard(&aside), Ok(0));
    assert_eq!(storage.list_aside(), Ok(vec![]));
    let missing = Err(ObjectFault::Missing);
    assert_eq!(Objects::get(storage, Chunk, digests[0], LIMIT), missing);
}

pub(crate) fn a_delayed_discard_spares_the_live_object(backend: &impl Backend) {
    let storage = backend.storage();
    let (raw, digest) = content(1);
    Objects::put(storage, Chunk, &raw).unwrap();
    storage.set_aside(Chunk, &[digest], &sweep(1)).unwrap();
    let seen = storage.list_aside().unwrap();
    // A store needs it; then another sweep sets it aside again; then it is stored again.
    storage.recall(&seen).unwrap();
    storage.set_aside(Chunk, &[digest], &sweep(2)).unwrap();
    Objects::put(storage, Chunk, &raw).unwrap();
    assert_eq!(storage.discard(&seen), Ok(0), "its name was never used again");
    assert_eq!(storage.list_aside().unwrap().len(), 1);
    assert_eq!(Objects::get(storage, Chunk, digest, LIMIT), Ok(raw));
}
