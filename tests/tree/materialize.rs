//! Materializing, on both kinds of trees.

use super::support::*;
use btdt_ports::*;

macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_disk { $( #[test] fn $name() { super::$name::<super::OnDisk>() } )* }
        mod in_memory { $( #[test] fn $name() { super::$name::<super::InMemory>() } )* }
    };
}

on_both! {
    hostile_names_are_refused_before_anything_is_written
    segments_must_cover_each_file_once
    what_is_there_unexpectedly_is_an_error
    hard_links_are_not_written_through
    a_right_file_is_kept_and_gets_its_metadata
    a_link_at_the_place_of_a_file_is_replaced
    removals_take_all_but_what_links_point_to
    a_file_is_assembled_from_many_chunks
    a_missing_chunk_leaves_nothing
    obstacles_make_way_for_directories
    metadata_changes_alone
    a_staged_tree_needs_a_free_place
}

fn with_root<F: Fixture>() -> F {
    let fixture = F::new();
    fixture.directory("", 0o755, at(77, 7));
    fixture
}

fn in_place<F: Fixture>(
    fixture: &F,
    store: &std::sync::Arc<TestStore>,
    batch: MaterializeBatch,
) -> Result<MaterializeSummary, MaterializeError> {
    carry_out(&fixture.tree(), store, Placement::InPlace, vec![batch])
}

fn hostile_names_are_refused_before_anything_is_written<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    let before = contents(&fixture.tree());
    let hostile: [&[u8]; 8] = [b"", b".", b"..", b"/etc", b"a/b", b"../x", b"a\0b", b"a/"];
    for name in hostile {
        let good = || one_file_batch(&store, b"good", b"content", Existing::Absent);
        let name = name.to_vec();
        let mut batches = vec![good(); 6];
        batches[0].files[0].name = name.clone();
        batches[1].directories.push(DirectoryPlan { name: name.clone(), ..present_root() });
        batches[2].removals.push(RemovalPlan { directory: 0, name: name.clone() });
        batches[3].symlinks.push(SymlinkPlan {
            directory: 0,
            name: name.clone(),
            replace: true,
            target: b"t".to_vec(),
            modified: at(0, 0),
        });
        batches[4].metadata.push(MetadataPlan {
            directory: 0,
            name: name.clone(),
            mode: None,
            modified: at(0, 0),
        });
        batches[5].hard_links.push(HardLinkPlan {
            directory: 0,
            name: b"link".to_vec(),
            replace: false,
            target_directory: 0,
            target_name: name.clone(),
        });
        for batch in batches {
            let result = in_place(&fixture, &store, batch);
            assert!(matches!(result, Err(MaterializeError::Destination { .. })), "{name:?}");
            assert_eq!(contents(&fixture.tree()), before, "{name:?}");
        }
    }
}

fn segments_must_cover_each_file_once<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    let before = contents(&fixture.tree());
    let changes: [fn(&mut MaterializeBatch); 13] = [
        |batch| batch.files[0].size += 1,
        |batch| batch.files[0].size -= 1,
        |batch| batch.chunks.clear(),
        |batch| batch.chunks.push(batch.chunks[0].clone()),
        |batch| batch.chunks[0].segments[0].file = 1,
        |batch| batch.chunks[0].segments[0].length = 0,
        |batch| batch.chunks[0].segments[0].file_offset = u64::MAX,
        |batch| batch.chunks[0].segments[0].chunk_offset = u32::MAX,
        |batch| batch.chunks[0].segments[0].chunk_offset = 1,
        |batch| batch.chunks[0].segments[0].file_offset = 1,
        |batch| batch.chunks[0].source = 1,
        |batch| {
            // As long as the file in total, with an overlap and a gap.
            batch.files[0].size *= 2;
            batch.chunks.push(batch.chunks[0].clone());
            batch.chunks[1].segments[0].file_offset = 1;
        },
        |batch| batch.files[0].directory = Some(1),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
        change(&mut batch);
        assert!(in_place(&fixture, &store, batch).is_err(), "{index}");
        assert_eq!(contents(&fixture.tree()), before, "{index}");
    }
}

fn what_is_there_unexpectedly_is_an_error<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    fixture.file("f", b"old", 0o644, at(1, 1));
    fixture.directory("d", 0o755, at(1, 1));
    for (name, existing) in
        [(&b"d"[..], Existing::Absent), (b"d", Existing::Replace), (b"d", Existing::Compare)]
    {
        let batch = one_file_batch(&store, name, b"new", existing);
        let error = in_place(&fixture, &store, batch).unwrap_err();
        let MaterializeError::Destination(DestinationFailure { path, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!(path, name, "{existing:?}");
    }
    assert_eq!(fixture.tree().read_file(b"f", 10), Ok(b"old".to_vec()));
}

fn hard_links_are_not_written_through<F: Fixture>() {
    let store = TestStore::new();
    for existing in [Existing::Replace, Existing::Compare] {
        for content in [&b"same"[..], b"diff", b"longer than before"] {
            let fixture = with_root::<F>();
            fixture.directory("elsewhere", 0o755, at(9, 9));
            fixture.file("elsewhere/original", b"same", 0o600, at(2, 2));
            fixture.hard_link("f", "elsewhere/original");
            let batch = one_file_batch(&store, b"f", content, existing);
            in_place(&fixture, &store, batch).unwrap();
            let after = contents(&fixture.tree());
            let original = &after[&b"elsewhere/original"[..]];
            assert_eq!(original.content, b"same");
            assert_eq!((original.entry.mode, original.entry.modified), (Some(0o600), at(2, 2)));
            assert_eq!(original.first_name, None);
            assert_eq!(after[&b"f"[..]].content, content);
            assert_eq!(after[&b"f"[..]].entry.mode, Some(0o640));
        }
    }
}

fn a_right_file_is_kept_and_gets_its_metadata<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    fixture.file("f", b"content", 0o600, at(2, 2));
    let batch = one_file_batch(&store, b"f", b"content", Existing::Compare);
    let summary = in_place(&fixture, &store, batch.clone()).unwrap();
    let kept = MaterializeSummary { files_written: 0, bytes_written: 0, files_kept: 1 };
    assert_eq!(summary, kept);
    let after = contents(&fixture.tree());
    let entry = &after[&b"f"[..]].entry;
    assert_eq!((entry.mode, entry.modified), (Some(0o640), at(1_000_000, 123_456_789)));
    assert_eq!(after[&b""[..]].entry.modified, at(77, 7));
    fixture.remove("f");
    let summary = in_place(&fixture, &store, batch).unwrap();
    assert_eq!((summary.files_written, summary.bytes_written), (1, 7));
    assert_eq!(contents(&fixture.tree()), after);
}

fn a_link_at_the_place_of_a_file_is_replaced<F: Fixture>() {
    let store = TestStore::new();
    for existing in [Existing::Replace, Existing::Compare] {
        let fixture = with_root::<F>();
        fixture.file("target", b"content", 0o600, at(2, 2));
        fixture.symlink("f", "target");
        let batch = one_file_batch(&store, b"f", b"content", existing);
        in_place(&fixture, &store, batch).unwrap();
        let after = contents(&fixture.tree());
        assert_eq!(after[&b"f"[..]].entry.kind, EntryKind::File);
        assert_eq!(after[&b"target"[..]].entry.modified, at(2, 2));
    }
}

fn removals_take_all_but_what_links_point_to<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    fixture.directory("keep", 0o755, at(3, 3));
    fixture.file("keep/f", b"kept", 0o644, at(3, 3));
    let mut path = "gone".to_owned();
    for _ in 0..20 {
        fixture.directory(&path, 0o755, at(3, 3));
        fixture.file(&format!("{path}/f"), b"x", 0o444, at(3, 3));
        path += "/deeper";
    }
    fixture.symlink("gone/out", "../keep");
    fixture.symlink("link", "keep");
    let removal = |name: &[u8]| RemovalPlan { directory: 0, name: name.to_vec() };
    let batch = MaterializeBatch {
        removals: vec![removal(b"gone"), removal(b"link"), removal(b"was never there")],
        ..one_file_batch(&store, b"gone", b"a file now", Existing::Absent)
    };
    in_place(&fixture, &store, batch).unwrap();
    let after = contents(&fixture.tree());
    let names: Vec<&[u8]> = after.keys().map(Vec::as_slice).collect();
    assert_eq!(names, [&b""[..], b"gone", b"keep", b"keep/f"]);
    assert_eq!(after[&b"keep/f"[..]].content, b"kept");
}

fn a_file_is_assembled_from_many_chunks<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    let mut batch =
        MaterializeBatch { directories: vec![present_root()], ..MaterializeBatch::default() };
    let mut expected = vec![Vec::new(); 4];
    for (index, expected) in (0..).zip(&mut expected) {
        let (mut file, _) = one_file(&store, format!("f{index}").as_bytes(), b"", Existing::Absent);
        for part in 0..300_u32 {
            let raw: Vec<u8> = part.to_le_bytes().repeat(1 + part as usize % 7 + index as usize);
            let length = u32::try_from(raw.len()).unwrap();
            let segments =
                vec![Segment { file: index, file_offset: file.size, chunk_offset: 0, length }];
            let digest = store.add(&raw);
            batch.chunks.push(ChunkPlan { digest, raw_size: length, source: 0, segments });
            file.size += u64::from(length);
            expected.extend(raw);
        }
        batch.files.push(file);
    }
    // In no order at all, so that the workers meet in every file.
    batch.chunks.sort_by_key(|chunk| chunk.digest);
    let summary = in_place(&fixture, &store, batch).unwrap();
    assert_eq!(summary.files_written, 4);
    let after = contents(&fixture.tree());
    for (index, expected) in expected.iter().enumerate() {
        let item = &after[format!("f{index}").as_bytes()];
        assert_eq!(&item.content, expected);
        assert_eq!(item.entry.modified, at(1_000_000, 123_456_789));
        assert_eq!(item.entry.mode, Some(0o640));
    }
}

fn a_missing_chunk_leaves_nothing<F: Fixture>() {
    let store = TestStore::new();
    let fixture = F::new();
    let mut batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
    batch.directories[0].state = DirectoryState::Absent;
    let (mut file, mut chunk) = one_file(&store, b"g", b"other content", Existing::Absent);
    chunk.segments[0].file = 1;
    let digest = chunk.digest;
    // The second half of the file has a chunk that is not there.
    file.size += 10;
    let mut missing = chunk.clone();
    missing.digest = Digest::new([7; 32]);
    missing.raw_size = 10;
    missing.segments[0].file_offset = 13;
    missing.segments[0].length = 10;
    batch.files.push(file);
    batch.chunks.extend([chunk, missing]);
    let result = carry_out(&fixture.tree(), &store, Placement::Staged, vec![batch.clone()]);
    let fault = ObjectFault::Missing;
    let expected = MaterializeError::Chunk(ChunkFailure { digest: Digest::new([7; 32]), fault });
    assert_eq!(result, Err(expected));
    assert_eq!(fixture.tree().root(), Ok(None));
    // Damage is found before anything of the chunk is written.
    store.chunks.lock().unwrap().insert(digest, b"damaged bytes".to_vec());
    batch.chunks.pop();
    batch.files[1].size = 13;
    let result = carry_out(&fixture.tree(), &store, Placement::Staged, vec![batch.clone()]);
    assert!(matches!(result, Err(MaterializeError::Chunk { .. })), "{result:?}");
    assert_eq!(fixture.tree().root(), Ok(None));
    fixture.directory("", 0o755, at(1, 1));
    batch.directories[0].state = DirectoryState::Present;
    let result = in_place(&fixture, &store, batch);
    assert!(matches!(result, Err(MaterializeError::Chunk { .. })), "{result:?}");
    assert!(!contents(&fixture.tree()).contains_key(&b"g"[..]));
}

fn obstacles_make_way_for_directories<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    fixture.directory("d", 0o700, at(4, 4));
    fixture.file("file", b"x", 0o644, at(1, 1));
    fixture.symlink("link", "d");
    let directory = |name: &[u8], state| DirectoryPlan {
        name: name.to_vec(),
        state,
        mode: Some(0o711),
        modified: at(50, 5),
        parent: 0,
    };
    let batch = |state| MaterializeBatch {
        directories: vec![present_root(), directory(b"file", state), directory(b"link", state)],
        ..MaterializeBatch::default()
    };
    assert!(in_place(&fixture, &store, batch(DirectoryState::Absent)).is_err());
    assert!(in_place(&fixture, &store, batch(DirectoryState::Outdated)).is_err());
    in_place(&fixture, &store, batch(DirectoryState::Obstructed)).unwrap();
    let after = contents(&fixture.tree());
    for path in [&b"file"[..], b"link"] {
        let entry = &after[path].entry;
        assert_eq!(entry.kind, EntryKind::Directory);
        assert_eq!((entry.mode, entry.modified), (Some(0o711), at(50, 5)));
    }
    assert_eq!(after[&b"d"[..]].entry.modified, at(4, 4));
}

fn metadata_changes_alone<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    fixture.file("f", b"content", 0o000, at(1, 1));
    fixture.symlink("link", "f");
    let plan = |name: &[u8], mode, modified| MetadataPlan {
        directory: 0,
        name: name.to_vec(),
        mode,
        modified,
    };
    let batch = MaterializeBatch {
        directories: vec![present_root()],
        metadata: vec![plan(b"f", Some(0o751), at(-5, 5)), plan(b"link", None, at(6, 6))],
        ..MaterializeBatch::default()
    };
    in_place(&fixture, &store, batch).unwrap();
    let after = contents(&fixture.tree());
    let entry = &after[&b"f"[..]].entry;
    assert_eq!((entry.mode, entry.modified), (Some(0o751), at(-5, 5)));
    assert_eq!(after[&b"link"[..]].entry.modified, at(6, 6));
}

fn a_staged_tree_needs_a_free_place<F: Fixture>() {
    let store = TestStore::new();
    let fixture = with_root::<F>();
    let batch = one_file_batch(&store, b"f", b"content", Existing::Absent);
    let result = carry_out(&fixture.tree(), &store, Placement::Staged, vec![batch.clone()]);
    assert!(result.is_err());
    let mut alone = batch;
    alone.directories.clear();
    alone.files[0].directory = None;
    alone.files[0].name.clear();
    assert!(in_place(&fixture, &store, alone.clone()).is_err());
    let file = F::new();
    file.file("", b"old", 0o600, at(1, 1));
    assert!(carry_out(&file.tree(), &store, Placement::InPlace, vec![alone.clone()]).is_err());
    carry_out(&file.tree(), &store, Placement::Staged, vec![alone]).unwrap();
    assert_eq!(contents(&file.tree())[&b""[..]].content, b"content");
}
