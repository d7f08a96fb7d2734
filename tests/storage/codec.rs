//! The stored form of objects.

use crate::backends::{content, noise};
use btdt_host_runtime::codec::{Codec, HEADER_SIZE, max_stored_size, sha256};
use btdt_ports::{Damage, Digest, ObjectFault};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

const LIMIT: u64 = 1 << 20;
const PAYLOAD: Result<Vec<u8>, ObjectFault> = Err(ObjectFault::Damaged(Damage::Payload));

fn stored_form(codec: u8, raw_size: u32, payload: &[u8]) -> Vec<u8> {
    let mut stored = b"BTDT\x01".to_vec();
    stored.extend([codec, 0, 0]);
    stored.extend(raw_size.to_le_bytes());
    stored.extend((payload.len() as u32).to_le_bytes());
    stored.extend(payload);
    stored
}

fn decode(stored: &[u8], limit: u64) -> Result<Vec<u8>, ObjectFault> {
    Codec::new().decode(stored, limit).map(<[u8]>::to_vec)
}

fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn digests_are_sha_256() {
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Some(sha256(b"abc")), Digest::from_hex(hex));
}

#[test]
fn the_stored_form_is_as_documented() {
    let raw = noise(100);
    assert_eq!(Codec::new().encode(&raw).unwrap(), stored_form(0, 100, &raw));
    let (raw, _) = content(1);
    let mut codec = Codec::new();
    let stored = codec.encode(&raw).unwrap();
    assert_eq!(stored, stored_form(1, raw.len() as u32, &stored[HEADER_SIZE..]));
    let unpacked = zstd::bulk::decompress(&stored[HEADER_SIZE..], raw.len()).unwrap();
    assert_eq!(unpacked, raw);
}

#[test]
fn all_codecs_are_read() {
    let (raw, digest) = content(1);
    let size = raw.len() as u32;
    let zstd_frame = zstd::bulk::compress(&raw, 19).unwrap();
    // A stream does not know its size at the start.
    let zstd_stream = zstd::stream::encode_all(&raw[..], 1).unwrap();
    let mut codec = Codec::new();
    for (number, payload) in [(0, raw.clone()), (1, zstd_frame), (1, zstd_stream), (2, gzip(&raw))]
    {
        let stored = stored_form(number, size, &payload);
        assert_eq!(codec.decode_verified(&digest, &stored, LIMIT), Ok(&raw[..]));
        codec.load().extend_from_slice(&stored);
        assert_eq!(codec.decode_loaded(&digest, LIMIT), Ok(&raw[..]));
        assert_eq!(decode(&stored, raw.len() as u64 - 1), Err(ObjectFault::TooLarge));
        assert_eq!(codec.decode_verified(&sha256(b""), &stored, LIMIT), damaged(Damage::Content));
    }
    assert_eq!(decode(&stored_form(3, size, &raw), LIMIT), Err(fault(Damage::Header)));
}

fn fault(damage: Damage) -> ObjectFault {
    ObjectFault::Damaged(damage)
}

fn damaged<'a>(damage: Damage) -> Result<&'a [u8], ObjectFault> {
    Err(fault(damage))
}

#[test]
fn the_stated_length_must_be_exact() {
    let (raw, _) = content(1);
    let size = raw.len() as u32;
    let frame = zstd::bulk::compress(&raw, 3).unwrap();
    let stream = zstd::stream::encode_all(&raw[..], 1).unwrap();
    for (codec, payload) in [(1, frame), (1, stream), (2, gzip(&raw))] {
        for wrong in [0, size - 1, size + 1, size + 1000] {
            assert_eq!(decode(&stored_form(codec, wrong, &payload), LIMIT), PAYLOAD, "{wrong}");
        }
        let trailing = [&payload[..], b"more"].concat();
        assert_eq!(decode(&stored_form(codec, size, &trailing), LIMIT), PAYLOAD);
        let truncated = &payload[..payload.len() - 1];
        assert_eq!(decode(&stored_form(codec, size, truncated), LIMIT), PAYLOAD);
    }
    assert_eq!(decode(&stored_form(0, size + 1, &raw), LIMIT), Err(fault(Damage::Length)));
}

#[test]
fn a_header_cannot_demand_memory() {
    // The limit allows this size, but a payload of this length does not.
    let frame = zstd::bulk::compress(b"tiny", 3).unwrap();
    for codec in [1, 2] {
        assert_eq!(decode(&stored_form(codec, u32::MAX, &frame), u64::MAX), PAYLOAD);
    }
    // The frame itself claims this size: single segment, 8 bytes of content size, one empty last
    // block.
    let mut liar = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    liar.extend(u64::from(u32::MAX).to_le_bytes());
    liar.extend([1, 0, 0]);
    assert_eq!(decode(&stored_form(1, u32::MAX, &liar), u64::MAX), PAYLOAD);
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb = gzip(&vec![0; 10 << 20]);
    assert_eq!(decode(&stored_form(2, 1000, &bomb), LIMIT), PAYLOAD);
    let bomb = zstd::bulk::compress(&vec![0; 10 << 20], 3).unwrap();
    assert_eq!(decode(&stored_form(1, 1000, &bomb), LIMIT), PAYLOAD);
}

#[test]
fn one_codec_serves_for_many_objects() {
    let mut codec = Codec::new();
    for size in [1 << 20, 10, 100_000, 0, 1 << 16] {
        for raw in [noise(size), vec![1; size]] {
            let stored = codec.encode(&raw).unwrap().to_vec();
            assert!(stored.len() > HEADER_SIZE);
            assert!(stored.len() as u64 <= max_stored_size(size as u64));
            assert_eq!(codec.decode_verified(&sha256(&raw), &stored, size as u64), Ok(&raw[..]));
        }
    }
}

/// Content with compressible and incompressible parts.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0_usize..5000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_is_encoded_can_be_decoded(raw in contents()) {
        let mut codec = Codec::new();
        let stored = codec.encode(&raw).unwrap().to_vec();
        prop_assert_eq!(codec.decode_verified(&sha256(&raw), &stored, raw.len() as u64), Ok(&raw[..]));
    }

    #[test]
    fn a_changed_byte_never_changes_the_content(
        raw in contents(), at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let mut codec = Codec::new();
        let mut stored = codec.encode(&raw).unwrap().to_vec();
        let at = at.index(stored.len());
        stored[at] ^= mask;
        // A zstd frame has bits that mean nothing; the header has none.
        let decoded = codec.decode_verified(&sha256(&raw), &stored, LIMIT);
        prop_assert!(decoded.is_err() || (at >= HEADER_SIZE && decoded == Ok(&raw[..])));
    }

    #[test]
    fn a_cut_is_detected(raw in contents(), at in any::<prop::sample::Index>()) {
        let mut codec = Codec::new();
        let stored = codec.encode(&raw).unwrap().to_vec();
        let cut = &stored[..at.index(stored.len())];
        prop_assert_eq!(decode(cut, LIMIT), Err(fault(Damage::Length)));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        codec in 0_u8..4, size in prop_oneof![0_u32..2000, any::<u32>()],
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        magic in any::<bool>(), limit in 0_u64..3000,
    ) {
        let mut payload = payload;
        if magic {
            let bytes: &[u8] = if codec == 1 { &[0x28, 0xb5, 0x2f, 0xfd] } else { &[0x1f, 0x8b, 8] };
            payload.splice(..0, bytes.iter().copied());
        }
        if let Ok(raw) = decode(&stored_form(codec, size, &payload), limit) {
            prop_assert!(raw.len() as u64 <= limit);
        }
        let _ = decode(&payload, limit);
    }
}
