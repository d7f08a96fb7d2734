//! Decides which entries to evict: those that are too old, then the least recently used ones until
//! the cache is small enough.

use btdt_ports::Timestamp;

/// The space that the entries of a cache take. Entries share manifests, and manifests share chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The manifests.
    pub manifests: Vec<Manifest>,
    /// Stored size of each chunk in bytes.
    pub chunks: Vec<u64>,
}

/// A manifest and its chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Stored size in bytes.
    pub size: u64,
    /// Distinct indexes into [`Usage::chunks`].
    pub chunks: Vec<u32>,
}

/// What the retention of an entry depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was last stored or restored.
    pub last_access: Timestamp,
    /// Index into [`Usage::manifests`].
    pub manifest: u32,
}

/// Limits of a cache; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Longest time in seconds since an entry's last access.
    pub max_age: Option<u64>,
    /// Largest stored size of all entries in bytes, with shared objects counted once.
    pub max_size: Option<u64>,
}

/// Decides for each entry whether to evict it. Also returns the size in bytes of those that stay.
#[must_use]
pub fn evictions(
    entries: &[Entry],
    usage: &Usage,
    limits: Limits,
    now: Timestamp,
) -> (Vec<bool>, u64) {
    let mut evicted: Vec<bool> = entries
        .iter()
        .map(|entry| limits.max_age.is_some_and(|age| entry.last_access.plus_seconds(age) < now))
        .collect();
    let mut counts = Counts::new(usage);
    for (entry, evicted) in entries.iter().zip(&evicted) {
        if !evicted {
            counts.add(entry.manifest);
        }
    }
    let Some(max_size) = limits.max_size else { return (evicted, counts.size) };
    let mut by_age: Vec<usize> = (0..entries.len()).filter(|index| !evicted[*index]).collect();
    by_age.sort_by_key(|index| entries[*index].last_access);
    for index in by_age {
        if counts.size <= max_size {
            break;
        }
        evicted[index] = true;
        counts.remove(entries[index].manifest);
    }
    (evicted, counts.size)
}

/// How many entries refer to each manifest, and how many manifests to each chunk.
struct Counts<'usage> {
    usage: &'usage Usage,
    manifests: Vec<u32>,
    chunks: Vec<u32>,
    size: u64,
}

impl<'usage> Counts<'usage> {
    fn new(usage: &'usage Usage) -> Self {
        Counts {
            usage,
            manifests: vec![0; usage.manifests.len()],
            chunks: vec![0; usage.chunks.len()],
            size: 0,
        }
    }

    fn add(&mut self, manifest: u32) {
        let count = &mut self.manifests[manifest as usize];
        *count += 1;
        if *count > 1 {
            return;
        }
        let manifest = &self.usage.manifests[manifest as usize];
        self.size = self.size.saturating_add(manifest.size);
        for chunk in &manifest.chunks {
            let count = &mut self.chunks[*chunk as usize];
            *count += 1;
            if *count == 1 {
                self.size = self.size.saturating_add(self.usage.chunks[*chunk as usize]);
            }
        }
    }

    fn remove(&mut self, manifest: u32) {
        let count = &mut self.manifests[manifest as usize];
        *count -= 1;
        if *count > 0 {
            return;
        }
        let manifest = &self.usage.manifests[manifest as usize];
        self.size = self.size.saturating_sub(manifest.size);
        for chunk in &manifest.chunks {
            let count = &mut self.chunks[*chunk as usize];
            *count -= 1;
            if *count == 0 {
                self.size = self.size.saturating_sub(self.usage.chunks[*chunk as usize]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn usage(manifests: &[(u64, &[u32])], chunks: &[u64]) -> Usage {
        let manifest =
            |(size, chunks): &(u64, &[u32])| Manifest { size: *size, chunks: chunks.to_vec() };
        Usage { manifests: manifests.iter().map(manifest).collect(), chunks: chunks.to_vec() }
    }

    #[test]
    fn without_limits_everything_stays() {
        let usage = usage(&[(1, &[0])], &[u64::MAX]);
        let entries = [Entry { last_access: at(0), manifest: 0 }];
        let (evicted, size) = evictions(&entries, &usage, Limits::default(), at(i64::MAX));
        assert_eq!((evicted, size), (vec![false], u64::MAX));
    }

    #[test]
    fn age_counts_from_the_last_access_and_is_exact() {
        let usage = usage(&[(1, &[])], &[]);
        let entries = [0, 1, 2].map(|seconds| Entry { last_access: at(seconds), manifest: 0 });
        let limits = Limits { max_age: Some(9), max_size: None };
        assert_eq!(evictions(&entries, &usage, limits, at(10)).0, [true, false, false]);
        let limits = Limits { max_age: Some(u64::MAX), max_size: None };
        assert_eq!(evictions(&entries, &usage, limits, at(i64::MAX)).0, [false; 3]);
    }

    #[test]
    fn what_is_shared_counts_once_and_frees_nothing() {
        // 0 and 1 share chunk 0; dropping the older one frees 10 + 5, not 100.
        let usage = usage(&[(10, &[0, 1]), (10, &[0])], &[100, 5]);
        let entry = |seconds, manifest| Entry { last_access: at(seconds), manifest };
        let entries = [entry(1, 0), entry(2, 1)];
        let limits = |max_size| Limits { max_age: None, max_size: Some(max_size) };
        assert_eq!(evictions(&entries, &usage, limits(125), at(9)), (vec![false, false], 125));
        assert_eq!(evictions(&entries, &usage, limits(124), at(9)), (vec![true, false], 110));
        assert_eq!(evictions(&entries, &usage, limits(109), at(9)), (vec![true, true], 0));
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_is_what_was_used_last(
            sizes in prop::collection::vec(0..100u64, 1..20),
            manifests in prop::collection::vec(prop::collection::btree_set(0..20u32, 0..6), 1..10),
            entries in prop::collection::vec((0..50i64, 0..10u32), 0..30),
            max_size in 0..800u64,
        ) {
            let usage = Usage {
                manifests: manifests.iter().map(|chunks| Manifest {
                    size: 1,
                    chunks: chunks.iter().copied().filter(|c| (*c as usize) < sizes.len()).collect(),
                }).collect(),
                chunks: sizes.clone(),
            };
            let entries: Vec<Entry> = entries.iter().map(|(seconds, manifest)| Entry {
                last_access: at(*seconds), manifest: manifest % manifests.len() as u32,
            }).collect();
            let limits = Limits { max_age: None, max_size: Some(max_size) };
            let (evicted, size) = evictions(&entries, &usage, limits, at(100));
            let stay: Vec<_> = entries.iter().zip(&evicted).filter(|(_, evicted)| !**evicted).collect();
            let used: BTreeSet<u32> = stay.iter().map(|(entry, _)| entry.manifest).collect();
            let chunks: BTreeSet<u32> =
                used.iter().flat_map(|m| usage.manifests[*m as usize].chunks.clone()).collect();
            let expected = used.len() as u64
                + chunks.iter().map(|chunk| sizes[*chunk as usize]).sum::<u64>();
            prop_assert_eq!(size, expected);
            prop_assert!(size <= max_size);
            let oldest_kept = stay.iter().map(|(entry, _)| entry.last_access).min();
            for (entry, evicted) in entries.iter().zip(&evicted) {
                prop_assert!(!evicted || oldest_kept.is_none_or(|kept| entry.last_access <= kept));
            }
        }
    }
}
