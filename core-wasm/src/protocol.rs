//! Names and small bodies that both ends of the protocol use.

use btdt_ports::Digest;
use serde::{Deserialize, Deserializer};

/// Media type of an encoded manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.btdt.manifest+cbor";

/// Media type of a tar archive.
pub const TAR_TYPE: &str = "application/x-tar";

/// Media type of an error (RFC 9457).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Header of every answer of a server that knows this protocol.
pub const VERSION_HEADER: &str = "btdt-protocol";

/// The version of this protocol.
pub const VERSION: &str = "1";

/// Header with the key of an entry, as it is: btdt 0.4 compares it so.
pub const CACHE_KEY: &str = "btdt-cache-key";

/// Header that says how the key is encoded, where it could not be in a header as it is.
pub const CACHE_KEY_ENCODING: &str = "btdt-cache-key-encoding";

/// Percent-encoding (RFC 3986).
pub const PERCENT: &str = "percent";

/// Header with the SHA-256 of an encoded manifest in hexadecimal. Whatever happens to the manifest
/// on its way, the receiver notices.
pub const MANIFEST_DIGEST: &str = "btdt-manifest";

/// Header with name and version of the tool that stores an entry.
pub const TOOL: &str = "btdt-tool";

/// What a 404 says when it is about an entry, not about a cache or a URL: clients tell them apart.
pub const NO_ENTRY: &str = "This cache has no entry of that key.";

/// What statuses mean to a user whose server does not say more.
pub const HTTP_STATUSES: [(u16, &str); 12] = [
    (400, "it does not understand the request"),
    (401, "the token is missing, invalid or expired"),
    (403, "the token does not allow this"),
    (404, "there is no such cache"),
    (405, "it does not know this operation"),
    (408, "it waited too long for the request"),
    (413, "it is too large for the server"),
    (429, "there are too many requests"),
    (500, "it has an internal error"),
    (502, "the proxy before it got no valid answer"),
    (503, "it is overloaded or shutting down"),
    (507, "its disk or the quota of the cache is full"),
];

/// What a client reads of an error (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// What is wrong with this request.
    #[serde(default)]
    pub detail: Option<String>,
    /// Chunks that have to be sent first.
    #[serde(default, deserialize_with = "digests")]
    pub missing: Vec<Digest>,
}

impl Problem {
    /// Reads a body; an empty problem where it is none.
    #[must_use]
    pub fn decode(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

fn digests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(texts.iter().filter_map(|text| Digest::from_hex(text)).collect())
}

/// A list of digests as a body: hexadecimal, one on a line.
pub struct Missing;

impl Missing {
    /// The body.
    #[must_use]
    pub fn encode(digests: &[Digest]) -> String {
        Digest::to_lines(digests)
    }

    /// Reads a body; line feeds may be preceded by carriage returns, and the last one may be
    /// missing.
    ///
    /// # Errors
    /// The number of the first line, counted from 1, that is no digest.
    pub fn decode(body: &[u8]) -> Result<Vec<Digest>, usize> {
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let lines = body.split(|byte| *byte == b'\n').enumerate();
        lines.map(|(number, line)| Missing::digest(line).ok_or(number + 1)).collect()
    }

    /// The digest of a line, which may end in a carriage return; `None` where it is none.
    #[must_use]
    pub fn digest(line: &[u8]) -> Option<Digest> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).ok().and_then(Digest::from_hex)
    }
}
