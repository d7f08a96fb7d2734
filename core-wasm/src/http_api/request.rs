//! Requests as the host passes them on, and the settings for handling them.

/// The head of a request, unchecked except that it is valid HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method as sent.
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: Option<String>,
    /// Names in lower case, and values. Values other than visible ASCII are left out.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The value of the first header with that name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The values of all headers with that name, given in lower case.
    pub(super) fn values<'request>(
        &'request self,
        name: &'static str,
    ) -> impl Iterator<Item = &'request str> {
        let named = self.headers.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// The part of the server's configuration that concerns requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Serve `/docs` and `/api/openapi.json`.
    pub api_docs: bool,
    /// Serve `/metrics`.
    pub metrics: bool,
    /// Largest accepted encoded manifest in bytes.
    pub max_manifest: u64,
}
