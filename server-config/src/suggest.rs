//! What an unknown name may have been meant to be.

/// The candidate that is nearest to `word`, if it is near enough for a typing mistake. Case does
/// not matter.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(&word, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate)
}

/// The only candidate that has all words of `key` in this order: `max_size` is half of
/// `max_cache_size`.
pub(crate) fn longer<'a>(
    key: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let has_all = |candidate: &&str| {
        let mut words = candidate.split('_');
        key.split('_').all(|wanted| words.any(|word| word.eq_ignore_ascii_case(wanted)))
    };
    let mut found = candidates.into_iter().filter(has_all);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["interval", "cache_expiration", "path"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("Interval", known), Some("interval"));
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
