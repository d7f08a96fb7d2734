//! What somebody may have meant who wrote something that nobody knows.

/// The candidate that is nearest to `word`, if any is near enough to be a slip of the fingers.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let distances = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let nearest = distances.min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, _)| *distance <= allowed).map(|(_, candidate)| candidate)
}

/// The only candidate that has all words of `key` in this order: `max_size` is half of
/// `max_cache_size`.
#[must_use]
pub fn longer<'a>(key: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let has_all = |candidate: &&str| {
        let mut words = candidate.split('_');
        key.split('_').all(|wanted| words.any(|word| word.eq_ignore_ascii_case(wanted)))
    };
    let mut found = candidates.into_iter().filter(has_all);
    found.next().filter(|_| found.next().is_none())
}

/// How many letters have to be added, taken away or changed, case aside.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..other.len() {
            let changed = diagonal + usize::from(letter != other[column]);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("Interval", "interval", 0)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["interval", "cache_expiration", "path"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("cache_expiry", known), None);
        assert_eq!(nearest("cache_expirations", known), Some("cache_expiration"));
        assert_eq!(nearest("pat", known), Some("path"));
        assert_eq!(nearest("zz", known), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn words_that_were_left_out() {
        let known = ["cache_expiration", "max_cache_size", "max_body_size"];
        assert_eq!(longer("max_body", known), Some("max_body_size"));
        assert_eq!(longer("expiration", known), Some("cache_expiration"));
        assert_eq!(longer("max_size", known), None, "two of them");
        assert_eq!(longer("size_max", known), None);
    }
}
