//! A request as the host passes it on.

/// The head of a request. Nothing of it has been checked but that it is HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, as it was sent.
    pub method: String,
    /// The path, as it was sent: percent-encoded.
    pub path: String,
    /// What follows the question mark, as it was sent.
    pub query: Option<String>,
    /// Names in lower case, and values. Values that are not visible ASCII are left out.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The value of the first header of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The values of all headers of that lower-case name.
    pub(super) fn values<'request>(
        &'request self,
        name: &'static str,
    ) -> impl Iterator<Item = &'request str> {
        let named = self.headers.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// What the server's configuration says about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether there are `/docs` and `/api/openapi.json`.
    pub api_docs: bool,
    /// Whether there is `/metrics`.
    pub metrics: bool,
    /// Largest encoded manifest that is taken, in bytes.
    pub max_manifest: u64,
}
