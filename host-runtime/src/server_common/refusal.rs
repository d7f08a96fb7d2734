//! Responses to requests that fail outside the core: JSON as in RFC 9457, like the core's own.

/// Seconds after which a client should try again when the server is busy.
const RETRY_SECONDS: &str = "5";

/// The header by which clients recognise the protocol; the core sends the same.
const VERSION_HEADER: &str = "btdt-protocol";
const VERSION: &str = "1";

/// Why a server answers a request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are too many requests.
    Saturated,
    /// The core failed.
    Broken,
    /// The body arrived too slowly.
    TooSlow,
    /// The body is too large.
    TooLarge,
    /// The body is incomplete or not encoded as announced.
    Incomplete,
    /// The head is too large.
    Head,
    /// The quota of the cache is used up.
    Full,
    /// The entry cannot be read.
    Unreadable,
}

impl Refusal {
    /// Status code, its name in RFC 9110, and a text for people.
    fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::Saturated => {
                (503, "Service Unavailable", "The server has too much to do. Try again later.")
            }
            Refusal::Broken => (500, "Internal Server Error", "The server has an internal error."),
            Refusal::TooSlow => (408, "Request Timeout", "The body arrived too slowly."),
            Refusal::TooLarge => {
                (413, "Payload Too Large", "The body is larger than this server allows.")
            }
            Refusal::Incomplete => {
                (400, "Bad Request", "The body is incomplete or not encoded as announced.")
            }
            Refusal::Head => (
                431,
                "Request Header Fields Too Large",
                "The head of the request is larger than this server allows.",
            ),
            Refusal::Full => (507, "Insufficient Storage", "The quota of the cache is used up."),
            Refusal::Unreadable => {
                (500, "Internal Server Error", "The server could not read the entry.")
            }
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(self) -> u16 {
        self.parts().0
    }

    /// Names and values of the headers, including the type of the body.
    #[must_use]
    pub fn headers(self) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            // Without it, clients would take a busy server for one of btdt 0.4.
            (VERSION_HEADER, VERSION),
        ];
        if self == Refusal::Saturated {
            headers.push(("retry-after", RETRY_SECONDS));
        }
        headers
    }

    /// The body. The id, letters and digits, is that of the log.
    #[must_use]
    pub fn body(self, request_id: &str) -> String {
        let (status, title, detail) = self.parts();
        format!(
            r#"{{"title":"{title}","status":{status},"detail":"{detail}","request_id":"{request_id}"}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_to_be_escaped() {
        for refusal in [
            Refusal::Saturated,
            Refusal::Broken,
            Refusal::TooSlow,
            Refusal::TooLarge,
            Refusal::Incomplete,
            Refusal::Head,
            Refusal::Full,
            Refusal::Unreadable,
        ] {
            let (_, title, detail) = refusal.parts();
            let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
            assert!([title, detail].iter().all(|text| text.chars().all(plain)), "{refusal:?}");
        }
    }

    #[test]
    fn the_form_is_that_of_the_core() {
        assert_eq!(
            Refusal::TooLarge.body("0f"),
            r#"{"title":"Payload Too Large","status":413,"detail":"The body is larger than this server allows.","request_id":"0f"}"#
        );
        assert!(!Refusal::TooLarge.headers().iter().any(|(name, _)| *name == "retry-after"));
        assert!(Refusal::Saturated.headers().contains(&("retry-after", "5")));
    }
}
