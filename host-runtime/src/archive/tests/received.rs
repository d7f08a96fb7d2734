//! Incoming archives: limits, and what becomes of contents.

use super::support::{
    NOW, Outgoing, SIZES, archive, content, gzip, header, receive, receive_into, storage, with,
    zstd,
};
use crate::archive::{Compression, TarArchive};
use crate::chunk_cutting;
use crate::chunk_io::{ChunkSink, Sink};
use crate::codec::{Codec, sha256};
use crate::tree::filesystem::FilesystemTree;
use btdt_ports::{
    ArchiveContent, ArchiveEntry, ArchiveFault, ArchiveReader, Cut, CutSizes, Digest, Group,
    IoError, IoErrorKind, Objects, PackBatch, PackFile, Packed, Packer, PutOutcome, Timestamp,
    Tree,
};
use std::io::Cursor;
use std::sync::Arc;

fn open(bytes: &[u8], sink: Sink) -> TarArchive {
    let read = Box::new(Cursor::new(bytes.to_vec()));
    TarArchive::new(read, Compression::None, sink, 1 << 40).unwrap()
}

fn one_file(content: &[u8]) -> Vec<u8> {
    archive(&[(header("file", b'0', content.len() as u64), content)])
}

#[test]
fn cuts_are_those_of_a_file_on_disk() {
    let raw = content(5, 9_000_000);
    let sizes = CutSizes { minimum: 64 << 10, average: 256 << 10, maximum: 1 << 20 };
    let ranges = [(0, 5_000_000), (5_000_000, 3_999_999), (8_999_999, 1)];
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), &raw).unwrap();
    let tree = FilesystemTree::new(directory.path().to_owned());
    let listed = tree.read_directories(&[Vec::new()], btdt_ports::FollowLinks::Never);
    let listed = listed[0].as_ref().unwrap()[0].clone();
    let file = PackFile {
        directory: Some(0),
        name: b"file".to_vec(),
        size: listed.size,
        modified: listed.modified,
    };
    let groups =
        ranges.map(|(offset, length)| Group::Cut(Cut { file: 0, offset, length })).to_vec();
    let batch = PackBatch { directories: vec![Vec::new()], files: vec![file], groups };
    let mut packer = tree.pack(&storage().sink(), sizes).unwrap();
    packer.submit(batch).unwrap();
    let packed: Vec<_> = packer.finish().unwrap();
    let mut incoming = open(&one_file(&raw), storage().sink());
    incoming.next().unwrap();
    for (_, length) in ranges {
        incoming.cut(length, sizes).unwrap();
    }
    let received = incoming.finish().unwrap().into_iter().map(Packed::Chunks);
    assert_eq!(received.collect::<Vec<_>>(), packed);
    let Packed::Chunks(first) = &packed[0] else { panic!("{packed:?}") };
    assert!(first.len() > 5, "{}", first.len());
}

#[test]
fn groups_come_in_the_order_of_the_calls() {
    let raws: Vec<_> = (0..40).map(|seed| content(seed, 10_000 + seed as usize)).collect();
    let names: Vec<_> = (0..40).map(|seed| seed.to_string()).collect();
    let members: Vec<_> = raws
        .iter()
        .zip(&names)
        .map(|(raw, name)| (header(name, b'0', raw.len() as u64), &raw[..]))
        .collect();
    let storage = storage();
    let mut incoming = open(&archive(&members), storage.sink());
    let mut expected = Vec::new();
    for (index, raw) in raws.iter().enumerate() {
        incoming.next().unwrap().unwrap();
        match index % 4 {
            0 => {
                incoming.append().unwrap();
                incoming.seal().unwrap();
                expected.push(sha256(raw));
            }
            1 => {
                incoming.cut(raw.len() as u64, SIZES).unwrap();
                expected.push(sha256(raw));
            }
            2 => {
                // Apart from the chunk that is open meanwhile.
                incoming.cut(5000, SIZES).unwrap();
                incoming.append().unwrap();
                incoming.seal().unwrap();
                expected.extend([sha256(&raw[..5000]), sha256(&raw[5000..])]);
            }
            _ => {}
        }
    }
    assert_eq!(incoming.next(), Ok(None));
    assert_eq!(incoming.next(), Ok(None));
    let groups = incoming.finish().unwrap();
    let digests: Vec<_> = groups.iter().map(|group| group[0].digest).collect();
    assert_eq!(digests, expected);
    assert!(groups.iter().all(|group| group.len() == 1 && group[0].new));
    assert_eq!(storage.missing(btdt_ports::ObjectKind::Chunk, &digests), Ok(vec![]));
}

#[test]
fn a_chunk_has_a_largest_size() {
    let raw = content(1, (4 << 20) - 1);
    let members = [
        (header("a", b'0', raw.len() as u64), &raw[..]),
        (header("b", b'0', 1), &b"b"[..]),
        (header("c", b'0', 1), &b"c"[..]),
    ];
    let mut incoming = open(&archive(&members), storage().sink());
    for expected in [Ok(()), Ok(()), Err(ArchiveFault::TooLarge)] {
        incoming.next().unwrap().unwrap();
        assert_eq!(incoming.append(), expected);
    }
    assert_eq!(incoming.next(), Err(ArchiveFault::TooLarge), "it does not go on after a fault");
    assert_eq!(incoming.finish(), Err(ArchiveFault::TooLarge));
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let bytes = one_file(b"content");
    let start = || {
        let mut incoming = open(&bytes, storage().sink());
        incoming.next().unwrap().unwrap();
        incoming
    };
    assert!(start().seal().is_err(), "nothing is open");
    assert!(start().cut(8, SIZES).is_err(), "there are only seven bytes");
    assert!(start().cut(0, SIZES).is_err());
    assert!(start().cut(7, CutSizes { maximum: 8 << 20, ..SIZES }).is_err());
    assert!(start().cut(7, CutSizes { minimum: 3, ..SIZES }).is_err());
    let mut incoming = start();
    incoming.append().unwrap();
    assert!(incoming.finish().is_err(), "a chunk is open");
}

/// A sink that is full after so many chunks.
struct Full(std::sync::atomic::AtomicUsize);

impl ChunkSink for Full {
    fn existing(&self, _: &Digest) -> Result<Option<PutOutcome>, IoError> {
        Ok(None)
    }

    fn put(&self, digest: &Digest, _: &[u8], _: &mut Codec) -> Result<PutOutcome, IoError> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
            return Err(IoError::new(IoErrorKind::NoSpace));
        }
        Ok(PutOutcome { digest: *digest, stored_size: 1, new: true })
    }
}

struct Panicking;

impl ChunkSink for Panicking {
    fn existing(&self, _: &Digest) -> Result<Option<PutOutcome>, IoError> {
        panic!("a panic on purpose")
    }

    fn put(&self, _: &Digest, _: &[u8], _: &mut Codec) -> Result<PutOutcome, IoError> {
        unreachable!()
    }
}

#[test]
fn a_sink_that_fails_is_a_fault_and_never_a_hang() {
    let raw = content(1, 30 << 20);
    let receive = |sink: Sink| {
        let read = Box::new(Cursor::new(one_file(&raw)));
        receive_into(read, Compression::None, sink, 1 << 40).err()
    };
    for chunks in [0, 1, 5] {
        let full = ArchiveFault::Sink(IoError::new(IoErrorKind::NoSpace));
        assert_eq!(receive(Arc::new(Full(chunks.into()))), Some(full));
    }
    let other = ArchiveFault::Sink(IoError::new(IoErrorKind::Other));
    assert_eq!(receive(Arc::new(Panicking)), Some(other));
}

#[test]
fn the_limit_counts_what_is_decompressed() {
    let bytes = one_file(&vec![0; 2_000_000]);
    for (compressed, compression) in [
        (bytes.clone(), Compression::None),
        (gzip(&bytes), Compression::Gzip),
        (zstd(&bytes), Compression::Zstd),
    ] {
        let receive = |limit| {
            let read = Box::new(Cursor::new(compressed.clone()));
            receive_into(read, compression, storage().sink(), limit).err()
        };
        assert_eq!(receive(bytes.len() as u64), None);
        for limit in [bytes.len() as u64 - 1, 1_000_000, 512, 511, 0] {
            assert_eq!(receive(limit), Some(ArchiveFault::TooLarge), "{limit}");
        }
    }
}

#[test]
fn a_window_that_is_too_large_is_refused() {
    let bytes = one_file(&content(1, 40 << 20));
    let compress = |window_log| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        std::io::copy(&mut &bytes[..], &mut encoder).unwrap();
        encoder.finish().unwrap()
    };
    assert!(receive(&compress(23), Compression::Zstd).is_ok());
    assert_eq!(receive(&compress(24), Compression::Zstd), Err(ArchiveFault::Malformed));
}

#[test]
fn entries_are_what_the_headers_say() {
    let directory = with(header("dir", b'5', 0), |bytes| bytes[100..108].fill(0));
    let old_directory = header("old/", b'0', 0);
    let link = with(header("link", b'2', 0), |bytes| bytes[157..163].copy_from_slice(b"a/../b"));
    let hard = with(header("hard", b'1', 0), |bytes| bytes[157..161].copy_from_slice(b"file"));
    let set_id =
        with(header("set-id", b'7', 2), |bytes| bytes[100..108].copy_from_slice(b"0006755\0"));
    let times = with(header("before", b'0', 0), |bytes| {
        bytes[136..148].copy_from_slice(&[0xff; 12]);
    });
    let members = [
        (header("volume", b'V', 0), &b""[..]),
        (header("pax", b'g', 13), b"13 comment=x\n"),
        (directory, b""),
        (old_directory, b""),
        (link, b""),
        (hard, b""),
        (set_id, b"hi"),
        (header("device", b'3', 0), b""),
        (header("fifo", b'6', 0), b""),
        (header("incremental/", b'D', 5), b"names"),
        (times, b""),
    ];
    let received = receive(&archive(&members), Compression::None).unwrap();
    let entry = |path: &[u8], content, mode| ArchiveEntry {
        path: path.to_vec(),
        content,
        mode,
        modified: NOW,
    };
    let expected = [
        entry(b"dir", ArchiveContent::Directory, 0o755),
        entry(b"old/", ArchiveContent::Directory, 0o644),
        entry(b"link", ArchiveContent::Symlink(b"a/../b".to_vec()), 0o644),
        entry(b"hard", ArchiveContent::HardLink(b"file".to_vec()), 0o644),
        entry(b"set-id", ArchiveContent::File(2), 0o755),
        entry(b"device", ArchiveContent::Special, 0o644),
        entry(b"fifo", ArchiveContent::Special, 0o644),
        entry(b"incremental/", ArchiveContent::Directory, 0o644),
        ArchiveEntry {
            modified: Timestamp { seconds: -1, nanoseconds: 0 },
            ..entry(b"before", ArchiveContent::File(0), 0o644)
        },
    ];
    let entries: Vec<_> = received.into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(entries, expected);
}

#[test]
fn what_is_ambiguous_is_refused() {
    let longer = |length: usize| vec![b'x'; length];
    let name = |text: &str| format!("{text}\0").into_bytes();
    let too_long = longer((1 << 20) + 1);
    let file = || (header("file", b'0', 0), Vec::new());
    let record =
        |kind, content: &[u8]| (header("record", kind, content.len() as u64), content.to_vec());
    let cases: Vec<Vec<(tar::Header, Vec<u8>)>> = vec![
        vec![(header("sparse", b'S', 0), vec![])],
        vec![(header("part", b'M', 0), vec![])],
        vec![(header("unknown", b'Z', 0), vec![])],
        vec![(header("solaris", b'X', 0), vec![])],
        vec![record(b'x', b"22 GNU.sparse.major=1\n"), file()],
        vec![record(b'g', b"22 GNU.sparse.major=1\n"), file()],
        vec![(header("dir", b'5', 512), longer(512))],
        vec![(header("dir/", b'0', 512), longer(512))],
        vec![(header("link", b'2', 512), longer(512))],
        vec![(header("hard", b'1', 512), longer(512))],
        vec![record(b'L', &name("a")), record(b'L', &name("b")), file()],
        vec![record(b'K', &name("a")), record(b'K', &name("b")), file()],
        vec![record(b'x', b"10 path=a\n"), record(b'x', b"10 path=b\n"), file()],
        vec![record(b'x', b"10 path=a\n"), record(b'g', b"10 path=b\n"), file()],
        vec![record(b'L', &name("a")), record(b'x', b"10 path=b\n"), file()],
        vec![record(b'L', &name("a"))],
        vec![record(b'x', b"10 path=a\n")],
        vec![record(b'x', b"11 path=a\n"), file()],
        vec![(with(header("a", b'0', 0), |bytes| bytes[124..136].fill(0xff)), vec![])],
        vec![(with(header("a", b'0', 0), |bytes| bytes[124] = b'9'), vec![])],
    ];
    for (number, case) in cases.iter().enumerate() {
        let members: Vec<_> =
            case.iter().map(|(header, content)| (header.clone(), &content[..])).collect();
        let received = receive(&archive(&members), Compression::None);
        assert_eq!(received.err(), Some(ArchiveFault::Malformed), "{number}");
    }
    for kind in [b'L', b'K', b'x', b'g'] {
        let members = [(header("record", kind, too_long.len() as u64), &too_long[..])];
        let received = receive(&archive(&members), Compression::None);
        assert_eq!(received.err(), Some(ArchiveFault::TooLarge));
    }
    let huge = with(header("huge", b'0', 0), |bytes| {
        bytes[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    });
    let received = receive(&archive(&[(huge, b"")]), Compression::None);
    assert_eq!(received.err(), Some(ArchiveFault::TooLarge));
}

#[test]
fn a_worker_does_what_a_packer_does() {
    let raw = content(3, 1000);
    let sink = storage().sink();
    let kept = chunk_cutting::keep(&sink, &raw, &mut Codec::new()).unwrap();
    assert_eq!((kept.digest, kept.raw_size, kept.new), (sha256(&raw), 1000, true));
    let mut tree = Outgoing::new();
    tree.file(0, b"file", &raw);
    let read = Box::new(Cursor::new(tree.stream()));
    let (_, groups) = receive_into(read, Compression::None, sink, 1 << 40).unwrap();
    assert_eq!(groups, [[btdt_ports::PackedChunk { new: false, ..kept }]]);
}
