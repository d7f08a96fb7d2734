//! Counts paths and names the first of them, for one-line messages about what a host cannot do.

/// Most names in a message.
const MOST_NAMES: usize = 3;

/// A count of paths, with the names of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    names: Vec<String>,
}

impl Tally {
    /// Counts a path. Calls `path` only for the first few.
    pub fn add(&mut self, path: impl FnOnce() -> Vec<u8>) {
        self.count += 1;
        if self.names.len() < MOST_NAMES {
            self.names.push(String::from_utf8_lossy(&path()).into_owned());
        }
    }

    /// The count with a noun, and the names; `None` if the count is zero.
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
