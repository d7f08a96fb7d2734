//! Trees that are generated: the same in every run and on every machine, the times included.

use anyhow::{Context, Result};
use fastrand::Rng;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILES_PER_DIRECTORY: u64 = 100;
/// The largest of the small files, in bytes.
const SMALL_FILE: u64 = 4096;
/// Random bytes and text alternate in stretches of this many bytes.
const STRETCH: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// So many files of 0 to 4096 bytes of text.
    SmallFiles { count: u64 },
    /// So many files of that size, in which random bytes and text alternate.
    LargeFiles { count: u64, size: u64 },
}

impl Tree {
    /// Roughly the bytes that one copy takes, on a file system with pages of 4 KiB.
    pub(super) fn space(self) -> u64 {
        match self {
            Self::SmallFiles { count } => count * SMALL_FILE,
            Self::LargeFiles { count, size } => count * size,
        }
    }

    pub(super) fn make(self, root: &Path) -> Result<()> {
        fs::create_dir_all(root)?;
        match self {
            Self::SmallFiles { count } => small_files(root, count),
            Self::LargeFiles { count, size } => (0..count).try_for_each(|index| {
                large_file(&root.join(format!("large-{index}.bin")), index, size)
            }),
        }
        .with_context(|| format!("could not make {}", root.display()))
    }
}

fn small_files(root: &Path, count: u64) -> Result<()> {
    let text = Text::words();
    let mut random = Rng::with_seed(2);
    let mut buffer = [0; SMALL_FILE as usize];
    let mut directory = root.to_path_buf();
    for index in 0..count {
        if index.is_multiple_of(FILES_PER_DIRECTORY) {
            let group = index / FILES_PER_DIRECTORY;
            directory = root.join(format!("d{:02}/e{:04}", group % 64, group));
            fs::create_dir_all(&directory)?;
        }
        let content = &mut buffer[..random.usize(..=SMALL_FILE as usize)];
        text.fill(&mut random, content);
        let name = format!("{:06x}-{index}.txt", random.u32(..1 << 24));
        let mut file = File::create(directory.join(name))?;
        file.write_all(content)?;
        file.set_modified(time_in_2023(random.u64(..)))?;
    }
    Ok(())
}

fn large_file(path: &Path, index: u64, size: u64) -> Result<()> {
    let text = Text::records();
    let mut random = Rng::with_seed(4 + index);
    let mut file = File::create(path)?;
    let mut buffer = vec![0; STRETCH];
    let mut rest = size;
    for stretch in 0.. {
        let length = usize::try_from(rest).unwrap_or(STRETCH).min(STRETCH);
        let content = &mut buffer[..length];
        if stretch % 2 == 0 {
            random.fill(content);
        } else {
            text.fill(&mut random, content);
        }
        file.write_all(content)?;
        rest -= length as u64;
        if rest == 0 {
            break;
        }
    }
    Ok(file.set_modified(time_in_2023(random.u64(..)))?)
}

/// A time with nanoseconds, which `number` decides.
pub(super) fn time_in_2023(number: u64) -> SystemTime {
    const YEAR_2023: u64 = 1_672_531_200;
    let nanos = number % (365 * 24 * 3600 * 1_000_000_000);
    SystemTime::UNIX_EPOCH + Duration::from_secs(YEAR_2023) + Duration::from_nanos(nanos)
}

/// Content that compresses: phrases from a fixed vocabulary, the common ones far more often than the
/// rare ones, and between them stretches that occur only once.
struct Text {
    phrases: Vec<Vec<u8>>,
    /// One in so many pieces is new.
    new_every: u64,
    new_length: usize,
}

impl Text {
    /// Words: about as hard for a compressor as source code.
    fn words() -> Self {
        Self { phrases: vocabulary(1, 8192, 2..10), new_every: 16, new_length: 6 }
    }

    /// Long repetitions and new data, as in programs and archives: less work for each byte.
    fn records() -> Self {
        Self { phrases: vocabulary(3, 1024, 64..320), new_every: 2, new_length: 152 }
    }

    fn fill(&self, random: &mut Rng, mut rest: &mut [u8]) {
        let mut new = vec![0; self.new_length];
        while !rest.is_empty() {
            let piece = if random.u64(..self.new_every) == 0 {
                new.fill_with(|| random.alphanumeric() as u8);
                &new
            } else {
                // A number of halvings that is itself uniform: short indexes are the common ones.
                &self.phrases[random.usize(..self.phrases.len()) >> random.u32(..10)]
            };
            let length = piece.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&piece[..length]);
            rest = later;
        }
    }
}

fn vocabulary(seed: u64, count: usize, lengths: Range<usize>) -> Vec<Vec<u8>> {
    let mut random = Rng::with_seed(seed);
    let mut phrase = || {
        let length = random.usize(lengths.clone());
        let letter = |_| b"etaoinshrdlucmfwypvbgkjq_(;.{ "[random.usize(..30)];
        (0..length).map(letter).chain([b' ']).collect()
    };
    (0..count).map(|_| phrase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::directories;

    #[test]
    fn trees_have_what_they_promise() {
        let root = tempfile::tempdir().unwrap();
        let small = root.path().join("small");
        Tree::SmallFiles { count: 250 }.make(&small).unwrap();
        let found = directories::totals(&small).unwrap();
        assert_eq!(found.files, 250);
        assert!(found.bytes > 0 && found.bytes <= 250 * SMALL_FILE);

        let large = root.path().join("large");
        let size = STRETCH as u64 * 2 + 1;
        Tree::LargeFiles { count: 2, size }.make(&large).unwrap();
        assert_eq!(directories::totals(&large).unwrap().bytes, 2 * size);
    }

    #[test]
    fn text_is_the_same_for_the_same_seed_and_fills_any_length() {
        let text = Text::words();
        let make = |seed, length| {
            let mut buffer = vec![0; length];
            text.fill(&mut Rng::with_seed(seed), &mut buffer);
            buffer
        };
        assert_eq!(make(5, 1001), make(5, 1001));
        assert_ne!(make(5, 1001), make(6, 1001));
        assert!(make(5, 1001).iter().all(|byte| *byte != 0));
        assert!(make(5, 0).is_empty());
    }
}
