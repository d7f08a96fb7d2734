//! Which files share a chunk.
//!
//! Small files are bundled in path order. A hash of the last file's path, weighted by its size
//! class, decides where a bundle ends. Neither depends on other files, so a change to one file
//! changes one chunk and leaves the bundles before and after it alone. Files of [`LARGE`] bytes and
//! more are cut by content (FastCDC, Xia et al., USENIX ATC 2016), in ranges that the host can
//! process in parallel.

use crate::manifest::{Builder, ChunkRef, MAX_CHUNK, ManifestFault};
use btdt_ports::{CutSizes, Digest, PackedChunk};
use std::collections::btree_map::{BTreeMap, Entry};

/// Files of at least this many bytes are cut by content.
pub const LARGE: u64 = 1 << 20;

/// Size in bytes of the ranges of a large file. Small enough to keep many threads busy with one
/// file, large enough that the forced cuts between ranges hardly cost any deduplication.
pub const RANGE: u64 = 64 << 20;

/// Chunk sizes for content-defined chunking.
pub const CUT_SIZES: CutSizes =
    CutSizes { minimum: 512 << 10, average: 1 << 20, maximum: MAX_CHUNK };

/// Smallest bundle in bytes, unless it is the last one.
const BUNDLE_MINIMUM: u64 = 512 << 10;

/// How many bytes a bundle is expected to grow beyond the minimum: to 1 MiB altogether.
const BUNDLE_GROWTH: u64 = 512 << 10;

/// Largest bundle in bytes.
const BUNDLE_MAXIMUM: u64 = MAX_CHUNK as u64;

/// A hash of a path, stable across machines and versions: 64-bit FNV-1a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathHash(u64);

impl PathHash {
    /// The hash of the empty path.
    pub const ROOT: PathHash = PathHash(0xcbf2_9ce4_8422_2325);

    /// The hash of this path extended by `name`.
    #[must_use]
    pub fn child(self, name: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        PathHash(step(name.iter().fold(self.0, step), &b'/'))
    }

    /// The hash after the finalizer of MurmurHash3: FNV alone leaves the upper bits of similar
    /// paths similar.
    fn mixed(self) -> u64 {
        let mut bits = self.0;
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ (bits >> 33)
    }
}

/// Decides where bundles end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bundler {
    bytes: u64,
}

impl Bundler {
    /// Whether a file of `size` bytes would exceed the bundle's maximum, so that it ends before it.
    #[must_use]
    pub fn ends_before(&self, size: u64) -> bool {
        self.bytes > 0 && self.bytes + size > BUNDLE_MAXIMUM
    }

    /// Adds a file of `size` bytes, less than [`LARGE`]. Returns whether the bundle ends with it.
    pub fn add(&mut self, path: PathHash, size: u64) -> bool {
        self.bytes += size;
        if self.bytes < BUNDLE_MINIMUM {
            return false;
        }
        // The chance to end is proportional to the file's share of the expected growth. Using the
        // size class (the middle between two powers of two) keeps the decision stable when a file
        // changes a little.
        let class = (3 << size.max(1).ilog2()) / 2;
        let threshold = u64::MAX / BUNDLE_GROWTH * class.min(BUNDLE_GROWTH);
        path.mixed() < threshold
    }

    /// Starts the next bundle.
    pub fn reset(&mut self) {
        self.bytes = 0;
    }
}

/// Totals over the chunks of a tree, for summaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkTotals {
    /// Distinct chunks.
    pub chunks: u64,
    /// Their stored size in bytes.
    pub stored_size: u64,
    /// Chunks that were not in the cache before.
    pub new_chunks: u64,
    /// Their raw size in bytes.
    pub new_raw_size: u64,
    /// Their stored size in bytes.
    pub new_stored_size: u64,
}

/// Adds packed chunks to a manifest, each once, and totals them.
#[derive(Default)]
pub(crate) struct ChunkTable {
    /// The number of each chunk, and whether it has been counted as new.
    numbers: BTreeMap<Digest, (u32, bool)>,
    /// Totals of the chunks added so far.
    pub(crate) totals: ChunkTotals,
}

impl ChunkTable {
    /// Adds a chunk unless it is already there. Returns its number.
    pub(crate) fn add(
        &mut self,
        chunk: PackedChunk,
        builder: &mut Builder,
    ) -> Result<u32, ManifestFault> {
        let PackedChunk { digest, raw_size, stored_size, new } = chunk;
        let totals = &mut self.totals;
        let (number, counted) = match self.numbers.entry(digest) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let number = builder.add_chunk(ChunkRef { digest, raw_size })?;
                totals.chunks += 1;
                totals.stored_size += u64::from(stored_size);
                entry.insert((number, false))
            }
        };
        // Two workers may have written the same chunk and both found it new.
        if new && !*counted {
            *counted = true;
            totals.new_chunks += 1;
            totals.new_raw_size += u64::from(raw_size);
            totals.new_stored_size += u64::from(stored_size);
        }
        Ok(*number)
    }
}

/// The ranges of a large file, as offset and length in bytes.
pub fn ranges(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let count = size.div_ceil(RANGE);
    (0..count).map(move |index| (index * RANGE, RANGE.min(size - index * RANGE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Splits a list of files into bundles.
    fn bundles(files: &[(String, u64)]) -> Vec<Vec<(String, u64)>> {
        let mut bundler = Bundler::default();
        let mut bundles = vec![Vec::new()];
        for (name, size) in files {
            if bundler.ends_before(*size) {
                bundler.reset();
                bundles.push(Vec::new());
            }
            bundles.last_mut().unwrap().push((name.clone(), *size));
            if bundler.add(PathHash::ROOT.child(name.as_bytes()), *size) {
                bundler.reset();
                bundles.push(Vec::new());
            }
        }
        bundles.retain(|bundle| !bundle.is_empty());
        bundles
    }

    fn files(count: u64, size: impl Fn(u64) -> u64) -> Vec<(String, u64)> {
        (0..count).map(|index| (format!("package/file-{index:06}.js"), size(index))).collect()
    }

    #[test]
    fn bundles_come_close_to_a_mebibyte_whatever_the_files() {
        for size in [100, 4_000, 15_000, 100_000, 300_000] {
            let files = files(400 * 1_048_576 / size / 4, |_| size);
            let bundles = bundles(&files);
            let average = files.len() as u64 * size / bundles.len() as u64;
            assert!((600 << 10..1500 << 10).contains(&average), "{size}: {average}");
        }
    }

    #[test]
    fn a_change_touches_one_bundle() {
        let before = files(20_000, |index| 3_000 + index * 7 % 25_000);
        let known: BTreeSet<_> = bundles(&before).into_iter().collect();
        for changed in (0..before.len()).step_by(1_999) {
            let mut removed = before.clone();
            removed.remove(changed);
            let mut inserted = before.clone();
            inserted.insert(changed, (format!("{}x", before[changed].0), 12_345));
            let mut edited = before.clone();
            edited[changed].1 += 10;
            for after in [removed, inserted, edited] {
                let after = bundles(&after);
                let new = after.iter().filter(|bundle| !known.contains(*bundle)).count();
                assert!(new <= 3, "{new} of {} bundles are new", after.len());
            }
        }
    }

    proptest! {
        #[test]
        fn no_bundle_is_too_large(sizes in prop::collection::vec(0..LARGE, 0..300)) {
            let files: Vec<_> =
                sizes.iter().enumerate().map(|(index, size)| (index.to_string(), *size)).collect();
            let bundles = bundles(&files);
            for bundle in &bundles {
                prop_assert!(bundle.iter().map(|(_, size)| size).sum::<u64>() <= BUNDLE_MAXIMUM);
            }
            prop_assert_eq!(bundles.concat(), files);
        }

        #[test]
        fn ranges_cover_a_file_once(size in 1..(200u64 << 30)) {
            let mut covered = 0;
            for (offset, length) in ranges(size) {
                prop_assert_eq!(offset, covered);
                prop_assert!((1..=RANGE).contains(&length));
                covered += length;
            }
            prop_assert_eq!(covered, size);
        }
    }
}
