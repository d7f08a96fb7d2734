//! Live objects.

use crate::backends::{Backend, content, is_young, noise};
use btdt_host_runtime::codec::{Codec, HEADER_SIZE, sha256};
use btdt_ports::ObjectKind::{Chunk, Manifest};
use btdt_ports::{
    Damage, Digest, LockMode, ObjectFault, ObjectKind, ObjectName, Objects, PutOutcome,
};

const LIMIT: u64 = 1 << 20;

fn name(kind: ObjectKind, digest: Digest) -> ObjectName {
    ObjectName { kind, digest, sweep: None }
}

pub(crate) fn what_is_put_can_be_got(backend: &impl Backend) {
    let (raw, digest) = content(1);
    let outcome = Objects::put(backend.storage(), Manifest, &raw).unwrap();
    let stored_size = backend.stored(Manifest, digest).len() as u64;
    assert_eq!(outcome, PutOutcome { digest, stored_size, new: true });
    assert!(stored_size < raw.len() as u64 / 2, "it is compressed");
    assert_eq!(Objects::get(backend.storage(), Manifest, digest, LIMIT), Ok(raw));
}

pub(crate) fn content_of_every_size_survives(backend: &impl Backend) {
    for size in [0, 1, 15, 16, 17, 1000, 65_536, 1 << 20] {
        for raw in [vec![7; size], noise(size)] {
            let digest = Objects::put(backend.storage(), Chunk, &raw).unwrap().digest;
            assert_eq!(digest, sha256(&raw));
            assert_eq!(backend.storage().missing(Chunk, &[digest]), Ok(vec![]), "{size}");
            assert_eq!(Objects::get(backend.storage(), Chunk, digest, size as u64), Ok(raw));
        }
    }
}

pub(crate) fn an_object_that_is_put_again_is_not_new(backend: &impl Backend) {
    let (raw, digest) = content(1);
    let first = Objects::put(backend.storage(), Manifest, &raw).unwrap();
    backend.pass_an_hour();
    let second = Objects::put(backend.storage(), Manifest, &raw).unwrap();
    assert_eq!(second, PutOutcome { new: false, ..first });
    let listed = Objects::list(backend.storage(), Manifest, digest.to_bytes()[0]).unwrap();
    assert!(is_young(listed[0].modified, backend.now()), "it was used just now");
}

pub(crate) fn the_kinds_live_apart(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Manifest, &raw).unwrap();
    let missing = Err(ObjectFault::Missing);
    assert_eq!(Objects::get(backend.storage(), Chunk, digest, LIMIT), missing);
    assert_eq!(backend.storage().missing(Chunk, &[digest]), Ok(vec![digest]));
    assert_eq!(Objects::list(backend.storage(), Chunk, digest.to_bytes()[0]), Ok(vec![]));
}

pub(crate) fn what_is_not_there_is_missing(backend: &impl Backend) {
    let (_, digest) = content(1);
    let missing = Err(ObjectFault::Missing);
    assert_eq!(Objects::get(backend.storage(), Chunk, digest, LIMIT), missing);
    let source = backend.storage().source();
    assert_eq!(source.read(&digest, 1, &mut Codec::new()), Err(ObjectFault::Missing));
    assert_eq!(backend.storage().sink().existing(&digest), Ok(None));
    assert_eq!(backend.storage().list_aside(), Ok(vec![]));
    assert_eq!(backend.storage().clear_leftovers(backend.now()), Ok(Default::default()));
}

pub(crate) fn missing_keeps_the_order(backend: &impl Backend) {
    let digests: Vec<_> = (0..6).map(|seed| content(seed).1).collect();
    for seed in [1, 4] {
        Objects::put(backend.storage(), Chunk, &content(seed).0).unwrap();
    }
    let missing = [digests[0], digests[2], digests[3], digests[5]];
    assert_eq!(backend.storage().missing(Chunk, &digests), Ok(missing.to_vec()));
}

pub(crate) fn a_limit_is_observed(backend: &impl Backend) {
    for raw in [vec![0; 100_000], noise(100_000)] {
        let digest = Objects::put(backend.storage(), Manifest, &raw).unwrap().digest;
        let get = |limit| Objects::get(backend.storage(), Manifest, digest, limit);
        assert_eq!(get(99_999), Err(ObjectFault::TooLarge));
        assert_eq!(get(0), Err(ObjectFault::TooLarge));
        assert_eq!(get(100_000), Ok(raw));
    }
}

pub(crate) fn a_sink_keeps_what_a_source_reads(backend: &impl Backend) {
    let (sink, source) = (backend.storage().sink(), backend.storage().source());
    let mut codec = Codec::new();
    for raw in [content(1).0, noise(50_000)] {
        let digest = sha256(&raw);
        let outcome = sink.put(&digest, &raw, &mut codec).unwrap();
        let stored_size = backend.stored(Chunk, digest).len() as u64;
        assert_eq!(outcome, PutOutcome { digest, stored_size, new: true });
        let again = PutOutcome { new: false, ..outcome };
        assert_eq!(sink.existing(&digest), Ok(Some(again)));
        assert_eq!(sink.put(&digest, &raw, &mut codec), Ok(again));
        assert_eq!(source.read(&digest, raw.len() as u32, &mut codec), Ok(&raw[..]));
    }
}

pub(crate) fn a_source_insists_on_the_size(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Chunk, &raw).unwrap();
    let source = backend.storage().source();
    let mut codec = Codec::new();
    let size = raw.len() as u32;
    assert_eq!(source.read(&digest, size - 1, &mut codec), Err(ObjectFault::TooLarge));
    let damaged = Err(ObjectFault::Damaged(Damage::Length));
    assert_eq!(source.read(&digest, size + 1, &mut codec), damaged);
}

pub(crate) fn looking_for_a_chunk_marks_it_as_used(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Chunk, &raw).unwrap();
    backend.pass_an_hour();
    let modified = || {
        let listed = Objects::list(backend.storage(), Chunk, digest.to_bytes()[0]).unwrap();
        listed[0].modified
    };
    backend.storage().missing(Chunk, &[digest]).unwrap();
    assert!(!is_young(modified(), backend.now()));
    backend.storage().sink().existing(&digest).unwrap();
    assert!(is_young(modified(), backend.now()));
}

/// Ways to damage a stored form, each with the expected fault.
fn damages(stored: &[u8]) -> Vec<(Vec<u8>, Damage)> {
    let changed = |at: usize| {
        let mut stored = stored.to_vec();
        stored[at] ^= 0x10;
        stored
    };
    let longer = [stored, b"x"].concat();
    let mut other = Codec::new();
    let other = other.encode(&content(2).0).unwrap().to_vec();
    let mut no_payload = stored.to_vec();
    no_payload[HEADER_SIZE..].fill(0);
    vec![
        (changed(0), Damage::Header),
        (changed(4), Damage::Header),
        (changed(5), Damage::Header),
        (changed(7), Damage::Header),
        (changed(12), Damage::Length),
        (stored[..HEADER_SIZE + 1].to_vec(), Damage::Length),
        (stored[..stored.len() - 1].to_vec(), Damage::Length),
        (longer, Damage::Length),
        ([stored, &vec![0; 5 << 20]].concat(), Damage::Length),
        (no_payload, Damage::Payload),
        (other, Damage::Content),
    ]
}

pub(crate) fn every_damage_is_told_apart(backend: &impl Backend) {
    let (raw, digest) = content(1);
    for kind in [Chunk, Manifest] {
        Objects::put(backend.storage(), kind, &raw).unwrap();
        for (number, (stored, damage)) in
            damages(&backend.stored(kind, digest)).into_iter().enumerate()
        {
            backend.replace_stored(kind, digest, &stored);
            let fault = ObjectFault::Damaged(damage);
            let got = Objects::get(backend.storage(), kind, digest, LIMIT);
            assert_eq!(got, Err(fault), "{number}");
            let checked = backend.storage().check(&[name(kind, digest)]);
            assert_eq!(checked, [Some(fault)], "{number}");
        }
    }
    let source = backend.storage().source();
    let fault = Err(ObjectFault::Damaged(Damage::Content));
    assert_eq!(source.read(&digest, raw.len() as u32, &mut Codec::new()), fault);
}

pub(crate) fn a_remnant_counts_as_missing(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Chunk, &raw).unwrap();
    let header = backend.stored(Chunk, digest)[..HEADER_SIZE].to_vec();
    for remnant in [&b""[..], &header] {
        backend.replace_stored(Chunk, digest, remnant);
        let got = Objects::get(backend.storage(), Chunk, digest, LIMIT);
        assert_eq!(got, Err(ObjectFault::Missing));
        let checked = backend.storage().check(&[name(Chunk, digest)]);
        assert_eq!(checked, [Some(ObjectFault::Missing)]);
        assert_eq!(backend.storage().missing(Chunk, &[digest]), Ok(vec![digest]));
        assert_eq!(backend.storage().sink().existing(&digest), Ok(None));
        let listed = Objects::list(backend.storage(), Chunk, digest.to_bytes()[0]).unwrap();
        assert_eq!(listed[0].stored_size, remnant.len() as u64, "a sweep can remove it");
        let outcome = Objects::put(backend.storage(), Chunk, &raw).unwrap();
        assert!(outcome.new);
        assert_eq!(Objects::get(backend.storage(), Chunk, digest, LIMIT).as_ref(), Ok(&raw));
    }
}

pub(crate) fn a_damaged_object_gets_well_when_it_is_put_again(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Manifest, &raw).unwrap();
    backend.replace_stored(Manifest, digest, b"this is no stored form of anything");
    assert!(Objects::put(backend.storage(), Manifest, &raw).unwrap().new);
    assert_eq!(Objects::get(backend.storage(), Manifest, digest, LIMIT), Ok(raw));
}

pub(crate) fn checks_name_the_fault_in_its_place(backend: &impl Backend) {
    let digests: Vec<_> = (0..100).map(|seed| content(seed).1).collect();
    let mut expected = vec![None; 100];
    for seed in (0..100).filter(|seed| seed % 7 != 0) {
        Objects::put(backend.storage(), Chunk, &content(seed).0).unwrap();
    }
    for at in (0..100).filter(|at| at % 7 == 0) {
        expected[at] = Some(ObjectFault::Missing);
    }
    backend.replace_stored(Chunk, digests[50], &[b'?'; 100]);
    expected[50] = Some(ObjectFault::Damaged(Damage::Header));
    let names: Vec<_> = digests.iter().map(|digest| name(Chunk, *digest)).collect();
    assert_eq!(backend.storage().check(&names), expected);
    assert_eq!(backend.storage().check(&[]), []);
}

pub(crate) fn listings_are_by_shard(backend: &impl Backend) {
    let mut expected: Vec<_> = (0..300).map(|seed| content(seed).1).collect();
    for seed in 0..300 {
        Objects::put(backend.storage(), Chunk, &content(seed).0).unwrap();
    }
    let mut listed = Vec::new();
    for shard in 0..=255 {
        for object in Objects::list(backend.storage(), Chunk, shard).unwrap() {
            assert_eq!(object.digest.to_bytes()[0], shard);
            assert_eq!(object.stored_size, backend.stored(Chunk, object.digest).len() as u64);
            assert!(is_young(object.modified, backend.now()));
            listed.push(object.digest);
        }
    }
    expected.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, expected);
}

pub(crate) fn touched_objects_are_young(backend: &impl Backend) {
    for seed in 0..3 {
        Objects::put(backend.storage(), Manifest, &content(seed).0).unwrap();
    }
    backend.pass_an_hour();
    let absent = content(77).1;
    Objects::touch(backend.storage(), Manifest, &[content(0).1, absent, content(2).1]);
    for seed in 0..3 {
        let digest = content(seed).1;
        let listed = Objects::list(backend.storage(), Manifest, digest.to_bytes()[0]).unwrap();
        let object = listed.iter().find(|object| object.digest == digest).unwrap();
        assert_eq!(is_young(object.modified, backend.now()), seed != 1);
    }
    assert_eq!(backend.storage().missing(Manifest, &[absent]), Ok(vec![absent]));
}

pub(crate) fn locks_exclude_each_other(backend: &impl Backend) {
    let storage = backend.storage();
    let first = storage.lock(LockMode::Shared);
    let second = storage.lock(LockMode::Shared);
    assert!(first.is_some() && second.is_some());
    assert!(storage.lock(LockMode::Exclusive).is_none());
    drop((first, second));
    let alone = storage.lock(LockMode::Exclusive);
    assert!(alone.is_some());
    assert!(storage.lock(LockMode::Shared).is_none());
    assert!(storage.lock(LockMode::Exclusive).is_none());
    drop(alone);
    assert!(storage.lock(LockMode::Shared).is_some());
}
