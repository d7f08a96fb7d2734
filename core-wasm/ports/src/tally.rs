//! How many of something there are, and the names of the first: for messages about what a host
//! cannot do, of which there is one line each.

/// Names that a message has at most.
const MOST_NAMES: usize = 3;

/// Paths of which some are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    names: Vec<String>,
}

impl Tally {
    /// Counts a path. `path` is called only for the first ones.
    pub fn add(&mut self, path: impl FnOnce() -> Vec<u8>) {
        self.count += 1;
        if self.names.len() < MOST_NAMES {
            self.names.push(String::from_utf8_lossy(&path()).into_owned());
        }
    }

    /// How many of what there are, and the names of some; `None` where there are none.
    #[must_use]
    pub fn describe(&self, one: &str, many: &str) -> Option<String> {
        let noun = match self.count {
            0 => return None,
            1 => one,
            _ => many,
        };
        let mut text = format!("{} {noun} ({}", self.count, self.names.join(", "));
        if self.count > self.names.len() as u64 {
            text.push_str(", …");
        }
        text.push(')');
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_three_are_named() {
        let mut tally = Tally::default();
        assert_eq!(tally.describe("file", "files"), None);
        let expected =
            ["1 file (0)", "2 files (0, 1)", "3 files (0, 1, 2)", "4 files (0, 1, 2, …)"];
        for (number, expected) in expected.into_iter().enumerate() {
            tally.add(|| number.to_string().into_bytes());
            assert_eq!(tally.describe("file", "files").as_deref(), Some(expected));
        }
    }
}
