//! Outgoing archives.

use super::support::{NOW, Outgoing, blocks, content, expected, plan, receive, short};
use crate::archive::{Compression, ReadAhead, StreamFault, TarPlan};
use crate::chunk_io::ChunkSource;
use crate::codec::{Codec, sha256};
use btdt_ports::{
    ArchiveBatch, ArchiveChunk, ArchiveExtent, ArchiveNode, ArchiveNodeContent, ArchivePlan,
    Damage, Digest, ObjectFault, ObjectKind, Objects, Timestamp,
};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A tree with files of all sizes, of which some are larger than a block and a chunk.
fn tree() -> (Outgoing, Vec<Vec<u8>>) {
    let mut tree = Outgoing::new();
    let mut contents = vec![Vec::new()];
    for (index, size) in
        [0, 1, 511, 512, 513, 100_000, 255_999, 300_000, 1 << 20, 3_000_001, 5, 0, 7_777_777, 9]
            .into_iter()
            .enumerate()
    {
        let directory = tree.directory(0, format!("directory {index}").as_bytes());
        let content = content(index as u64, size);
        tree.file(directory, b"file", &content);
        contents.extend([Vec::new(), content]);
    }
    (tree, contents)
}

#[test]
fn a_tree_comes_back() {
    let (mut tree, contents) = tree();
    let stream = tree.stream();
    let received = receive(&stream, Compression::None).unwrap();
    let (entries, got): (Vec<_>, Vec<_>) = received.into_iter().unzip();
    assert_eq!(entries, expected(&tree.batch));
    for (got, content) in got.iter().zip(&contents) {
        assert_eq!(short(got), short(content));
    }
    assert_eq!(got.len(), contents.len());
    assert_eq!(&stream[stream.len() - 1024..], [0; 1024]);
}

#[test]
fn every_way_to_read_gives_the_same() {
    let (mut tree, _) = tree();
    let stream = tree.stream();
    for slots in [0, 1, 2, 3, 10] {
        let read_ahead = Arc::new(ReadAhead::new(slots));
        let shared = tree.plan().sharing(Arc::clone(&read_ahead)).into_reader().unwrap();
        assert!(blocks(shared) == stream, "{slots} chunks ahead");
        let again = tree.plan().sharing(read_ahead).into_reader().unwrap();
        assert!(blocks(again) == stream, "what was taken has been given back");
    }
    for size in [1000, 512, 70_000, 1 << 22] {
        let mut reader = tree.plan().into_reader().unwrap();
        let mut read = Vec::new();
        let mut buffer = vec![0; size];
        loop {
            let length = reader.read(&mut buffer).unwrap();
            if length == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..length]);
        }
        assert!(read == stream, "{size} bytes at once");
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    }
}

#[test]
fn an_empty_tree_is_an_archive() {
    let mut tree = Outgoing::new();
    assert_eq!(tree.stream().len(), 512 + 1024);
    let without = tree.plan().without_root();
    assert_eq!(without.content_length(), Ok(1024));
    assert_eq!(blocks(without.into_reader().unwrap()), vec![0; 1024]);
}

#[test]
fn a_small_archive_is_whole_and_a_large_one_is_none() {
    let mut tree = Outgoing::new();
    tree.file(0, b"file", &content(1, 5000));
    let stream = tree.stream();
    let length = stream.len() as u64;
    assert_eq!(tree.plan().small(length), Some(stream));
    assert_eq!(tree.plan().small(length - 1), None);
    let (mut many, _) = self::tree();
    assert_eq!(many.plan().small(u64::MAX), None);
}

/// Counts how often chunks are read.
struct Counting {
    source: crate::chunk_io::Source,
    reads: AtomicUsize,
    workers: usize,
}

impl ChunkSource for Counting {
    fn read<'codec>(
        &self,
        digest: &Digest,
        raw_size: u32,
        codec: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.source.read(digest, raw_size, codec)
    }

    fn suitable_workers(&self) -> usize {
        self.workers
    }
}

#[test]
fn chunks_that_take_turns_are_read_once() {
    let tree = Outgoing::new();
    let raws = [content(1, 1000), content(2, 1000)];
    let mut batch = tree.batch.clone();
    for raw in &raws {
        let digest = Objects::put(&tree.storage, ObjectKind::Chunk, raw).unwrap().digest;
        batch.chunks.push(ArchiveChunk { digest, raw_size: 1000 });
    }
    for number in 0..100_u32 {
        batch.extents.push(ArchiveExtent { chunk: number % 2, offset: number * 9, length: 9 });
        batch.nodes.push(ArchiveNode {
            parent: 0,
            name: number.to_string().into_bytes(),
            mode: 0o600,
            modified: NOW,
            content: ArchiveNodeContent::File(1),
        });
    }
    for workers in [1, 2, 40] {
        let reads = AtomicUsize::new(0);
        let source = Arc::new(Counting { source: tree.storage.source(), reads, workers });
        let stream = blocks(plan(source.clone(), &batch).into_reader().unwrap());
        assert_eq!(source.reads.load(Ordering::Relaxed), 2);
        for (number, (_, got)) in
            receive(&stream, Compression::None).unwrap().into_iter().skip(1).enumerate()
        {
            assert_eq!(got, raws[number % 2][number * 9..][..9]);
        }
    }
}

#[test]
fn a_chunk_that_is_missing_ends_the_stream() {
    let (mut tree, _) = tree();
    let stream = tree.stream();
    let chunk = tree.batch.chunks[5];
    let damage = |storage: &crate::storage::MemoryStorage| {
        storage.replace_stored(ObjectKind::Chunk, chunk.digest, b"this is no stored form at all");
    };
    for slots in [0, 1, 100] {
        damage(&tree.storage);
        let fault = ObjectFault::Damaged(Damage::Header);
        let expected = StreamFault::Chunk { digest: chunk.digest, fault };
        let ahead = Arc::new(ReadAhead::new(slots));
        let mut reader = tree.plan().sharing(ahead).into_reader().unwrap();
        let mut sent = Vec::new();
        let mut block = Vec::new();
        let fault = loop {
            match reader.next_block(&mut block) {
                Ok(true) => sent.extend_from_slice(&block),
                Ok(false) => panic!("it ended as if it were complete"),
                Err(fault) => break fault,
            }
        };
        sent.extend_from_slice(&block);
        assert_eq!(fault, expected);
        assert_eq!(reader.next_block(&mut block), Err(expected));
        assert!(stream.starts_with(&sent) && sent.len() < stream.len());
        let mut read = Vec::new();
        let mut reader = tree.plan().into_reader().unwrap();
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(&expected));
        assert!(read == sent);
    }
}

struct Panicking;

impl ChunkSource for Panicking {
    fn read<'codec>(
        &self,
        _: &Digest,
        _: u32,
        _: &'codec mut Codec,
    ) -> Result<&'codec [u8], ObjectFault> {
        panic!("a panic on purpose")
    }
}

#[test]
fn a_panic_is_an_error_and_never_a_hang() {
    let (mut tree, _) = tree();
    tree.stream();
    for slots in [0, 1, 2, 100] {
        let plan = plan(Arc::new(Panicking), &tree.batch);
        let mut reader = plan.sharing(Arc::new(ReadAhead::new(slots))).into_reader().unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("sha256:"), "{error}");
    }
}

#[test]
fn a_plan_that_contradicts_itself_is_not_streamed() {
    let file = |extents| ArchiveNode {
        parent: 0,
        name: b"file".to_vec(),
        mode: 0o644,
        modified: NOW,
        content: ArchiveNodeContent::File(extents),
    };
    let raw = content(1, 100);
    let sound = |tree: &Outgoing| {
        let mut batch = tree.batch.clone();
        batch.chunks.push(ArchiveChunk { digest: sha256(&raw), raw_size: 100 });
        batch.extents.push(ArchiveExtent { chunk: 0, offset: 10, length: 90 });
        batch.nodes.push(file(1));
        batch
    };
    let hard_link = move |to| ArchiveNode { content: ArchiveNodeContent::HardLink(to), ..file(0) };
    type Change = Box<dyn Fn(&mut ArchiveBatch)>;
    let changes: Vec<Change> = vec![
        Box::new(|batch| batch.nodes.clear()),
        Box::new(|batch| batch.nodes[0].content = ArchiveNodeContent::File(0)),
        Box::new(|batch| batch.nodes[0].parent = 1),
        Box::new(|batch| batch.nodes[1].parent = 1),
        Box::new(|batch| batch.nodes[1].parent = 2),
        Box::new(|batch| batch.nodes[1].name.clear()),
        Box::new(|batch| batch.nodes[1].name = vec![b'x'; 70_000]),
        Box::new(|batch| batch.nodes[1].modified.nanoseconds = 1_000_000_000),
        Box::new(|batch| batch.nodes[1].content = ArchiveNodeContent::File(0)),
        Box::new(|batch| batch.nodes[1].content = ArchiveNodeContent::File(2)),
        Box::new(|batch| batch.nodes[1].content = ArchiveNodeContent::File(u32::MAX)),
        Box::new(move |batch| batch.nodes.push(hard_link(0))),
        Box::new(|batch| {
            let mut child = batch.nodes[1].clone();
            child.parent = 1;
            child.content = ArchiveNodeContent::Directory;
            batch.nodes.push(child);
        }),
        Box::new(|batch| batch.extents[0].chunk = 1),
        Box::new(|batch| batch.extents[0].length = 91),
        Box::new(|batch| batch.extents[0].length = 0),
        Box::new(|batch| batch.extents[0].offset = u32::MAX),
        Box::new(|batch| batch.chunks[0].raw_size = u32::MAX),
    ];
    let tree = Outgoing::new();
    Objects::put(&tree.storage, ObjectKind::Chunk, &raw).unwrap();
    let source = tree.storage.source();
    assert!(plan(source.clone(), &sound(&tree)).into_reader().is_ok());
    for (number, change) in changes.iter().enumerate() {
        let mut batch = sound(&tree);
        change(&mut batch);
        let plan = plan(source.clone(), &batch);
        assert_eq!(plan.content_length(), Err(StreamFault::Plan), "{number}");
        assert_eq!(plan.into_reader().err(), Some(StreamFault::Plan), "{number}");
    }
}

#[test]
fn a_plan_of_many_files_is_small() {
    let tree = Outgoing::new();
    let mut plan = TarPlan::new(tree.storage.source());
    plan.submit(tree.batch.clone());
    let chunk = ArchiveChunk { digest: sha256(b""), raw_size: 1 << 20 };
    plan.submit(ArchiveBatch { chunks: vec![chunk; 640], ..ArchiveBatch::default() });
    let mut number = 0;
    // As the core does it: some thousand at once.
    for _ in 0..12 {
        let mut batch = ArchiveBatch::default();
        for _ in 0..3_600 {
            number += 1;
            let is_file = number % 8 > 0;
            batch.nodes.push(ArchiveNode {
                parent: 0,
                name: format!("some-module-{number:06}.js").into_bytes(),
                mode: 0o644,
                modified: Timestamp { nanoseconds: 123, ..NOW },
                content: match is_file {
                    true => ArchiveNodeContent::File(1),
                    false => ArchiveNodeContent::Directory,
                },
            });
            if is_file {
                batch.extents.push(ArchiveExtent { chunk: number % 640, offset: 5, length: 9 });
            }
        }
        plan.submit(batch);
    }
    assert!(plan.approximate_memory() < 4 << 20, "{}", plan.approximate_memory());
    assert!(plan.content_length().unwrap() > 43_000 * 512);
}
