//! Objects in their stored form, as a server receives and sends them.

use crate::backends::{Backend, content, is_young, noise, sweep};
use btdt_host_runtime::chunk_io::{StoredForms, StoredObject, StoredPutError};
use btdt_host_runtime::codec::{
    Codec, Compression, HEADER_SIZE, StoredHeader, max_stored_size, sha256,
};
use btdt_ports::ObjectKind::{Chunk, Manifest};
use btdt_ports::{Damage, Digest, ObjectFault, Objects, PutOutcome};
use std::io::Write;

const LIMIT: u64 = 1 << 20;

fn encode(raw: &[u8]) -> Vec<u8> {
    Codec::new().encode(raw).unwrap().to_vec()
}

/// A stored form from a writer that makes other choices.
fn stored(codec: u8, raw_size: usize, payload: &[u8]) -> Vec<u8> {
    let mut stored = b"BTDT\x01".to_vec();
    stored.extend_from_slice(&[codec, 0, 0]);
    stored.extend_from_slice(&(raw_size as u32).to_le_bytes());
    stored.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    stored.extend_from_slice(payload);
    stored
}

fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

fn put(
    backend: &impl Backend,
    digest: &Digest,
    stored: &[u8],
) -> Result<PutOutcome, StoredPutError> {
    backend.storage().put_stored(Chunk, digest, stored, LIMIT, &mut Codec::new())
}

fn read(object: &dyn StoredObject) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 7];
    loop {
        let length = object.read_at(&mut buffer, bytes.len() as u64).unwrap();
        if length == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..length]);
    }
}

/// Asserts that nothing of a chunk is visible.
fn assert_invisible(backend: &impl Backend, digest: Digest) {
    assert_eq!(backend.storage().missing(Chunk, &[digest]), Ok(vec![digest]));
    assert_eq!(Objects::list(backend.storage(), Chunk, digest.to_bytes()[0]), Ok(vec![]));
    let fault = backend.storage().open_stored(Chunk, &digest).err();
    assert_eq!(fault, Some(ObjectFault::Missing));
}

pub(crate) fn a_stored_form_is_read_as_it_is(backend: &impl Backend) {
    for (raw, codec) in [
        (content(1).0, Compression::Zstd),
        (noise(5000), Compression::None),
        (vec![], Compression::Zstd),
    ] {
        for kind in [Chunk, Manifest] {
            let digest = Objects::put(backend.storage(), kind, &raw).unwrap().digest;
            let object = backend.storage().open_stored(kind, &digest).unwrap();
            let stored = backend.stored(kind, digest);
            assert_eq!(object.size(), stored.len() as u64);
            let payload_size = (stored.len() - HEADER_SIZE) as u32;
            let header = StoredHeader { codec, raw_size: raw.len() as u32, payload_size };
            assert_eq!(object.header(), header);
            assert_eq!(read(&*object), stored);
            let mut buffer = [0; 100];
            for offset in [object.size(), object.size() + 1, i64::MAX as u64] {
                assert_eq!(object.read_at(&mut buffer, offset), Ok(0));
            }
        }
    }
}

pub(crate) fn a_stored_form_set_aside_is_found(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Chunk, &raw).unwrap();
    let stored = backend.stored(Chunk, digest);
    let before = backend.storage().open_stored(Chunk, &digest).unwrap();
    backend.storage().set_aside(Chunk, &[digest], &sweep(1)).unwrap();
    let aside = backend.storage().open_stored(Chunk, &digest).unwrap();
    assert_eq!(read(&*aside), stored);
    backend.replace_stored(Chunk, digest, &[b'?'; 100]);
    let instead = backend.storage().open_stored(Chunk, &digest).unwrap();
    assert_eq!(read(&*instead), stored, "the live one is no stored form");
    let objects = backend.storage().list_aside().unwrap();
    backend.storage().discard(&objects).unwrap();
    let fault = backend.storage().open_stored(Chunk, &digest).err();
    assert_eq!(fault, Some(ObjectFault::Damaged(Damage::Header)));
    assert_eq!(read(&*before), stored, "it was open before");
    assert_eq!(read(&*aside), stored);
}

pub(crate) fn what_is_not_intact_is_not_opened(backend: &impl Backend) {
    let (raw, digest) = content(1);
    Objects::put(backend.storage(), Chunk, &raw).unwrap();
    let stored = backend.stored(Chunk, digest);
    let open = || backend.storage().open_stored(Chunk, &digest).err();
    for at in 0..8 {
        let mut damaged = stored.clone();
        damaged[at] ^= 0x55;
        backend.replace_stored(Chunk, digest, &damaged);
        assert_eq!(open(), Some(ObjectFault::Damaged(Damage::Header)), "{at}");
    }
    for damaged in [&stored[..stored.len() - 1], &[&stored[..], b"x"].concat()] {
        backend.replace_stored(Chunk, digest, damaged);
        assert_eq!(open(), Some(ObjectFault::Damaged(Damage::Length)));
    }
    for remnant in [&b""[..], &stored[..5], &stored[..HEADER_SIZE]] {
        backend.replace_stored(Chunk, digest, remnant);
        assert_eq!(open(), Some(ObjectFault::Missing));
    }
    assert_eq!(backend.storage().open_stored(Manifest, &digest).err(), Some(ObjectFault::Missing));
}

pub(crate) fn a_stored_form_is_kept_as_it_is(backend: &impl Backend) {
    let raws = [content(1).0, noise(3000), content(2).0, content(3).0, Vec::new()];
    let forms = [
        encode(&raws[0]),
        encode(&raws[1]),
        stored(0, raws[2].len(), &raws[2]),
        stored(2, raws[3].len(), &gzip(&raws[3])),
        encode(&raws[4]),
    ];
    for (raw, form) in raws.iter().zip(&forms) {
        let digest = sha256(raw);
        let outcome = PutOutcome { digest, stored_size: form.len() as u64, new: true };
        assert_eq!(put(backend, &digest, form), Ok(outcome));
        assert_eq!(backend.stored(Chunk, digest), *form);
        let got = Objects::get(backend.storage(), Chunk, digest, LIMIT);
        assert_eq!(got.as_ref(), Ok(raw));
    }
}

pub(crate) fn a_stored_form_that_is_there_is_not_new(backend: &impl Backend) {
    let (raw, digest) = content(1);
    let first = Objects::put(backend.storage(), Chunk, &raw).unwrap();
    let kept = backend.stored(Chunk, digest);
    backend.pass_an_hour();
    let other = stored(0, raw.len(), &raw);
    let again = PutOutcome { new: false, ..first };
    assert_eq!(put(backend, &digest, &other), Ok(again));
    assert_eq!(backend.stored(Chunk, digest), kept, "the one that was there stays");
    let listed = Objects::list(backend.storage(), Chunk, digest.to_bytes()[0]).unwrap();
    assert!(is_young(listed[0].modified, backend.now()), "it was used just now");
}

pub(crate) fn a_damaged_object_is_replaced_by_a_stored_form(backend: &impl Backend) {
    let (raw, digest) = content(1);
    let form = encode(&raw);
    for at in [0, 12, HEADER_SIZE, form.len() - 1] {
        put(backend, &digest, &form).unwrap();
        let mut damaged = form.clone();
        damaged[at] ^= 0xff;
        backend.replace_stored(Chunk, digest, &damaged);
        assert!(put(backend, &digest, &form).unwrap().new);
        assert_eq!(backend.stored(Chunk, digest), form);
    }
    let other = encode(&content(2).0);
    backend.replace_stored(Chunk, digest, &other);
    assert!(put(backend, &digest, &form).unwrap().new);
    assert_eq!(Objects::get(backend.storage(), Chunk, digest, LIMIT), Ok(raw));
}

pub(crate) fn a_remnant_is_replaced_by_a_stored_form(backend: &impl Backend) {
    let (raw, digest) = content(1);
    let form = encode(&raw);
    put(backend, &digest, &form).unwrap();
    for remnant in [&b""[..], &form[..HEADER_SIZE]] {
        backend.replace_stored(Chunk, digest, remnant);
        assert!(put(backend, &digest, &form).unwrap().new);
        assert_eq!(backend.stored(Chunk, digest), form);
    }
}

pub(crate) fn a_stored_form_damaged_in_any_byte_is_refused(backend: &impl Backend) {
    // As few bytes as possible, each of which matters.
    for raw in [content(1).0, noise(200)] {
        let (form, digest) = (encode(&raw), sha256(&raw));
        for at in 0..form.len() {
            let mut damaged = form.clone();
            damaged[at] ^= 0xff;
            let refused = put(backend, &digest, &damaged).unwrap_err();
            let expected = matches!(
                refused,
                StoredPutError::Fault(ObjectFault::Damaged(_) | ObjectFault::TooLarge)
            );
            assert!(expected, "byte {at}: {refused}");
            assert_invisible(backend, digest);
        }
        let other = content(2).1;
        let fault = StoredPutError::Fault(ObjectFault::Damaged(Damage::Content));
        assert_eq!(put(backend, &other, &form), Err(fault));
        assert_invisible(backend, other);
        // An existing object stays as it is.
        put(backend, &digest, &form).unwrap();
        assert!(put(backend, &digest, &form[..form.len() - 1]).is_err());
        assert_eq!(backend.stored(Chunk, digest), form);
    }
}

pub(crate) fn a_stored_form_of_another_size_is_refused(backend: &impl Backend) {
    let raw = content(1).0;
    let (form, digest) = (encode(&raw), sha256(&raw));
    let fault = StoredPutError::Fault(ObjectFault::Damaged(Damage::Length));
    for length in 0..form.len() {
        assert_eq!(put(backend, &digest, &form[..length]), Err(fault), "{length}");
    }
    assert_eq!(put(backend, &digest, &[&form[..], b"x"].concat()), Err(fault));
    assert_invisible(backend, digest);
    // Without a payload, it would look like the leftovers of a power failure.
    assert_eq!(put(backend, &sha256(b""), &stored(0, 0, b"")), Err(fault));
    assert_invisible(backend, sha256(b""));
}

pub(crate) fn a_stored_form_beyond_the_limit_is_refused(backend: &impl Backend) {
    let bomb = vec![0; LIMIT as usize + 1];
    let digest = sha256(&bomb);
    let fault = StoredPutError::Fault(ObjectFault::TooLarge);
    assert_eq!(put(backend, &digest, &encode(&bomb)), Err(fault));
    assert_invisible(backend, digest);
    // It claims to be smaller than it is.
    let mut liar = encode(&bomb);
    liar[8..12].copy_from_slice(&1000_u32.to_le_bytes());
    assert!(matches!(put(backend, &digest, &liar), Err(StoredPutError::Fault(_))));
    assert_invisible(backend, digest);
    let raw = &bomb[1..];
    assert!(put(backend, &sha256(raw), &encode(raw)).unwrap().new);
}

pub(crate) fn a_stored_form_longer_than_it_need_be_is_refused(backend: &impl Backend) {
    let (raw, digest) = content(1);
    // An empty frame, which zstd decoders skip.
    let mut payload = encode(&raw)[HEADER_SIZE..].to_vec();
    let rest = max_stored_size(raw.len() as u64) as usize - HEADER_SIZE - payload.len() - 8;
    for (more, ok) in [(1, false), (0, true)] {
        let mut longer = payload.clone();
        longer.extend_from_slice(&0x184d_2a50_u32.to_le_bytes());
        longer.extend_from_slice(&((rest + more) as u32).to_le_bytes());
        longer.resize(longer.len() + rest + more, 7);
        let outcome = put(backend, &digest, &stored(1, raw.len(), &longer));
        assert_eq!(outcome.is_ok(), ok, "{outcome:?}");
    }
    payload.clear();
    assert_eq!(Objects::get(backend.storage(), Chunk, digest, LIMIT), Ok(raw), "it can be read");
}
