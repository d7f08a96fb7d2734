//! Which files share a chunk.
//!
//! Small files are bundled in path order. Where one bundle ends is decided by a hash of the path
//! of its last file, weighed by the file's size class: properties that stay the same when other
//! files come, go or change. So a change to one file changes one chunk, and the bundles before
//! and after it stay what they were. Files from [`LARGE`] on are cut by their content instead
//! (FastCDC, Xia et al., USENIX ATC 2016), in ranges that the host can work on in parallel.

use crate::manifest::MAX_CHUNK;
use btdt_ports::CutSizes;

/// Files of at least this many bytes are cut on their own.
pub const LARGE: u64 = 1 << 20;

/// Large files are cut in ranges of this many bytes: enough of them to keep many threads busy
/// with one file, so few that the forced cuts between them hardly cost any deduplication.
pub const RANGE: u64 = 64 << 20;

/// The sizes between which content-defined chunking cuts.
pub const CUT_SIZES: CutSizes =
    CutSizes { minimum: 512 << 10, average: 1 << 20, maximum: MAX_CHUNK };

/// A bundle never ends before it has this many bytes.
const BUNDLE_MINIMUM: u64 = 512 << 10;

/// Bytes that a bundle is expected to grow by from there on. With the minimum: 1 MiB.
const BUNDLE_GROWTH: u64 = 512 << 10;

/// No bundle is larger, in bytes.
const BUNDLE_MAXIMUM: u64 = MAX_CHUNK as u64;

/// A hash of a path that is the same on every machine and in every version: FNV-1a with 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathHash(u64);

impl PathHash {
    /// The hash of the empty path.
    pub const ROOT: PathHash = PathHash(0xcbf2_9ce4_8422_2325);

    /// The hash of the path that is one name longer.
    #[must_use]
    pub fn child(self, name: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        PathHash(step(name.iter().fold(self.0, step), &b'/'))
    }

    /// The hash, with its bits mixed well (the finalizer of MurmurHash3): FNV alone leaves the
    /// upper bits of similar paths similar.
    fn mixed(self) -> u64 {
        let mut bits = self.0;
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ (bits >> 33)
    }
}

/// The bundle that is being filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bundler {
    bytes: u64,
}

impl Bundler {
    /// Whether the bundle has to end before a file of `size` bytes, which would overfill it.
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
        // The chance to end is proportional to the file's share of the expected growth, whether
        // files are small or large. The class of the size (the middle between two powers of two),
        // not the size, keeps the decision the same when a file changes a little.
        let class = (3 << size.max(1).ilog2()) / 2;
        let threshold = u64::MAX / BUNDLE_GROWTH * class.min(BUNDLE_GROWTH);
        path.mixed() < threshold
    }

    /// Begins the next bundle.
    pub fn reset(&mut self) {
        self.bytes = 0;
    }
}

/// The ranges, as offset and length in bytes, in which a large file is cut.
pub fn ranges(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let count = size.div_ceil(RANGE);
    (0..count).map(move |index| (index * RANGE, RANGE.min(size - index * RANGE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The bundles that a list of files comes to, each as its files.
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
