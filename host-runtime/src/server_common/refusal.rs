//! What is said when a request fails outside the core: JSON as RFC 9457 has it, the same form as
//! the core's own.

/// Seconds after which a client of a busy server should come again.
const RETRY_SECONDS: &str = "5";

/// The header by which clients know the protocol, as the core has it.
const VERSION_HEADER: &str = "btdt-protocol";
const VERSION: &str = "1";

/// Why a server answers a request without the core, or instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too much is going on.
    Saturated,
    /// The core could not be asked.
    Broken,
    /// The body arrived too slowly.
    TooSlow,
    /// The body is too large.
    TooLarge,
    /// The body did not arrive whole, or is not encoded as announced.
    Incomplete,
    /// The head is too large.
    Head,
    /// The quota of the cache is used up.
    Full,
    /// What is to be sent cannot be read.
    Unreadable,
}

impl Refusal {
    /// The status code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Refusal::Saturated => 503,
            Refusal::Broken | Refusal::Unreadable => 500,
            Refusal::TooSlow => 408,
            Refusal::TooLarge => 413,
            Refusal::Incomplete => 400,
            Refusal::Head => 431,
            Refusal::Full => 507,
        }
    }

    /// The meaning of the status, as RFC 9110 names it.
    fn title(self) -> &'static str {
        match self {
            Refusal::Saturated => "Service Unavailable",
            Refusal::Broken | Refusal::Unreadable => "Internal Server Error",
            Refusal::TooSlow => "Request Timeout",
            Refusal::TooLarge => "Payload Too Large",
            Refusal::Incomplete => "Bad Request",
            Refusal::Head => "Request Header Fields Too Large",
            Refusal::Full => "Insufficient Storage",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Refusal::Saturated => "The server has too much to do. Try again later.",
            Refusal::Broken => "The server has an internal error.",
            Refusal::TooSlow => "The body arrived too slowly.",
            Refusal::TooLarge => "The body is larger than this server allows.",
            Refusal::Incomplete => "The body is incomplete or not encoded as announced.",
            Refusal::Head => "The head of the request is larger than this server allows.",
            Refusal::Full => "The quota of the cache is used up.",
            Refusal::Unreadable => "The server could not read the entry.",
        }
    }

    /// Names and values of the headers, which include the type of the body.
    #[must_use]
    pub fn headers(self) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            // As the core's own: a client must not take a busy server for the original one.
            (VERSION_HEADER, VERSION),
        ];
        if self == Refusal::Saturated {
            headers.push(("retry-after", RETRY_SECONDS));
        }
        headers
    }

    /// The body, which names the request as the log does: letters and digits.
    #[must_use]
    pub fn body(self, request_id: &str) -> String {
        let (title, status, detail) = (self.title(), self.status(), self.detail());
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
            let texts = [refusal.title(), refusal.detail()];
            let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
            assert!(texts.iter().all(|text| text.chars().all(plain)), "{refusal:?}");
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
