//! The head of a request, as the core expects it.

use btdt_host_runtime::server_common::REQUEST_ID;

/// The head of a request, and its size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// Names in lower case. Values that are not visible ASCII are left out.
    pub(crate) headers: Vec<(String, String)>,
    /// Approximate size of the head as it was sent, in bytes.
    pub(crate) size: u64,
}

impl Head {
    /// Adds the id as a header.
    pub(crate) fn new(target: &str, sent: Vec<(String, Vec<u8>)>, id: &str) -> Self {
        let fields: usize = sent.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let size = (target.len() + fields) as u64;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let own = (REQUEST_ID.to_owned(), id.to_owned());
        let sent = sent.into_iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let is_wanted = name != REQUEST_ID && value.iter().all(|byte| is_visible(*byte));
            Some((name, String::from_utf8(value).ok().filter(|_| is_wanted)?))
        });
        let headers = std::iter::once(own).chain(sent).collect();
        Head { path: path.to_owned(), query, headers, size }
    }

    /// The `Content-Length`, unless it is contradictory.
    pub(crate) fn announced(&self) -> Option<u64> {
        let mut lengths = self.headers.iter().filter(|(name, _)| name == "content-length");
        let length = lengths.next()?.1.trim().parse().ok()?;
        lengths.next().is_none().then_some(length)
    }
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, headers: &[(&str, &[u8])]) -> Head {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        Head::new(target, headers.collect(), "0f")
    }

    fn shown(head: &Head) -> Vec<(&str, &str)> {
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn targets_are_split_at_the_first_question_mark() {
        for (target, path, query) in [
            ("/a%3Fb", "/a%3Fb", None),
            ("/a?", "/a", Some("")),
            ("/a?b=c?d", "/a", Some("b=c?d")),
            ("", "", None),
        ] {
            let head = head(target, &[]);
            assert_eq!((head.path.as_str(), head.query.as_deref()), (path, query), "{target}");
        }
    }

    #[test]
    fn headers_are_visible_and_the_id_is_ours() {
        let headers: [(&str, &[u8]); 5] = [
            ("Accept", b"a\tb"),
            ("X-Request-Id", b"forged"),
            ("a", b"\xC3\xA4"),
            ("b", b"\x7F"),
            ("c", b""),
        ];
        let head = head("/", &headers);
        assert_eq!(shown(&head), [("x-request-id", "0f"), ("accept", "a\tb"), ("c", "")]);
        let sent: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        assert_eq!(head.size, sent as u64 + 1, "what is left out has been sent all the same");
    }

    #[test]
    fn announced_lengths() {
        for (values, expected) in [
            (&[][..], None),
            (&["5"], Some(5)),
            (&["x"], None),
            (&["-1"], None),
            (&["99999999999999999999"], None),
            (&["5", "6"], None),
        ] {
            let headers: Vec<(&str, &[u8])> =
                values.iter().map(|value| ("Content-Length", value.as_bytes())).collect();
            assert_eq!(head("/", &headers).announced(), expected, "{values:?}");
        }
    }
}
