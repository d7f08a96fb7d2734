//! A cache of a bounded size: what was not used for a while is forgotten.

use std::collections::HashMap;

/// A map in two generations. When the young one is full it becomes the old one, and the old one is
/// forgotten, except for what is used meanwhile. That is nearly as good as knowing what was used
/// least recently, and costs nothing.
#[derive(Debug)]
pub(super) struct Generations<V> {
    young: HashMap<[u8; 32], (V, usize)>,
    old: HashMap<[u8; 32], (V, usize)>,
    /// Weight of the young generation.
    weight: usize,
    /// Entries in a generation.
    max_entries: usize,
    /// Weight of a generation.
    max_weight: usize,
}

impl<V: Clone> Generations<V> {
    pub(super) fn new(max_entries: usize, max_weight: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Generations { young, old, weight: 0, max_entries, max_weight }
    }

    pub(super) fn get(&mut self, key: &[u8; 32]) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (value, weight) = self.old.remove(key)?;
        self.insert(*key, value.clone(), weight);
        Some(value)
    }

    pub(super) fn insert(&mut self, key: [u8; 32], value: V, weight: usize) {
        let too_heavy = self.weight.saturating_add(weight) > self.max_weight;
        if too_heavy || self.young.len() >= self.max_entries {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        let replaced = self.young.insert(key, (value, weight)).map_or(0, |(_, weight)| weight);
        self.weight = self.weight.saturating_sub(replaced).saturating_add(weight);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> [u8; 32] {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut cache = Generations::new(10, 1000);
        for number in 0..1000 {
            cache.insert(key(number), number, 1);
            assert_eq!(cache.get(&key(0)), Some(0), "in use, after {number}");
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert_eq!(cache.get(&key(500)), None);
        cache.clear();
        assert_eq!(cache.get(&key(0)), None);
    }

    #[test]
    fn weight_counts_too() {
        let mut cache = Generations::new(1000, 100);
        for number in 0..50 {
            cache.insert(key(number), number, 30);
            assert!(cache.young.len() + cache.old.len() <= 6);
        }
        assert_eq!(cache.get(&key(49)), Some(49));
    }
}
