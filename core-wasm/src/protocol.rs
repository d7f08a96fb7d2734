//! Header names, media types and small bodies that client and server share.

use crate::key::Key;
use crate::storage::record::Record;
use crate::storage::record_lookup::Entry;
use btdt_ports::Digest;
use btdt_ports::time::{parse_rfc_3339, rfc_3339};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// Media type of an encoded manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.btdt.manifest+cbor";

/// Media type of a tar archive.
pub const TAR_TYPE: &str = "application/x-tar";

/// Media type of an error (RFC 9457).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Header of every response of a server that supports this protocol.
pub const VERSION_HEADER: &str = "btdt-protocol";

/// The version of this protocol.
pub const VERSION: &str = "1";

/// Header with the key of an entry, verbatim if possible because btdt 0.4 compares it.
pub const CACHE_KEY: &str = "btdt-cache-key";

/// Header with the encoding of a key that could not be sent verbatim.
pub const CACHE_KEY_ENCODING: &str = "btdt-cache-key-encoding";

/// Value of [`CACHE_KEY_ENCODING`]: percent-encoding (RFC 3986).
pub const PERCENT: &str = "percent";

/// Header with the SHA-256 of an encoded manifest in hexadecimal, by which the receiver detects
/// alterations.
pub const MANIFEST_DIGEST: &str = "btdt-manifest";

/// Header with the name and version of the tool that stores an entry.
pub const TOOL: &str = "btdt-tool";

/// Detail of a 404 for an entry. Clients use it to distinguish a missing entry from a missing cache
/// or a wrong URL.
pub const NO_ENTRY: &str = "This cache has no entry of that key.";

/// What statuses mean, for users whose server does not send a message.
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

/// The body of an error response (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// The meaning of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What is wrong with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request's name in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Chunks that have to be sent first.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "read_digests",
        serialize_with = "write_digests"
    )]
    pub missing: Vec<Digest>,
}

impl Problem {
    /// Decodes a body; an invalid one gives an empty problem.
    #[must_use]
    pub fn decode(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Encodes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_json(self)
    }
}

fn read_digests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(texts.iter().filter_map(|text| Digest::from_hex(text)).collect())
}

fn write_digests<S: Serializer>(digests: &[Digest], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(digests.iter().map(Digest::to_hex))
}

fn encode_json(value: &impl Serialize) -> Vec<u8> {
    // Fails only for maps with keys other than strings.
    serde_json::to_vec(value).unwrap_or_default()
}

/// An entry in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct DescribedEntry {
    key: String,
    /// In hexadecimal.
    manifest: String,
    /// RFC 3339, like `last_access`.
    created: String,
    last_access: String,
    raw_size: u64,
    stored_size: u64,
    files: u64,
    #[serde(default)]
    tool: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl DescribedEntry {
    /// The JSON form of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let Entry { record, last_access } = entry;
        DescribedEntry {
            key: record.key.as_str().to_owned(),
            manifest: record.manifest.to_hex(),
            created: rfc_3339(record.created),
            last_access: rfc_3339(*last_access),
            raw_size: record.raw_size,
            stored_size: record.stored_size,
            files: record.files,
            tool: record.tool.clone(),
            labels: record.labels.clone(),
        }
    }

    /// The entry; `None` if it is invalid.
    #[must_use]
    pub fn entry(self) -> Option<Entry> {
        let record = Record {
            key: Key::new(self.key).ok()?,
            manifest: Digest::from_hex(&self.manifest)?,
            created: parse_rfc_3339(&self.created)?,
            raw_size: self.raw_size,
            stored_size: self.stored_size,
            files: self.files,
            tool: self.tool,
            labels: self.labels,
            nonce: 0,
        };
        Some(Entry { record, last_access: parse_rfc_3339(&self.last_access)? })
    }

    /// Decodes a body; `None` if it is invalid.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Encodes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_json(self)
    }
}

/// One page of a list of entries, each of type `E`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DescribedPage<E> {
    /// The entries.
    pub entries: Vec<E>,
    /// The last key of this page; `None` if it is the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl DescribedPage<DescribedEntry> {
    /// Decodes a body; `None` if it is invalid.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

impl DescribedPage<Box<RawValue>> {
    /// Adds an entry. Returns its encoded length in bytes.
    pub fn add(&mut self, entry: &Entry) -> usize {
        // Cannot fail, as in `encode_json`.
        let Ok(described) = to_raw_value(&DescribedEntry::of(entry)) else { return 0 };
        let length = described.get().len();
        self.entries.push(described);
        length
    }

    /// Encodes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_json(self)
    }
}

/// A list of digests as a body: hexadecimal, one per line.
pub struct Missing;

impl Missing {
    /// Encodes a body.
    #[must_use]
    pub fn encode(digests: &[Digest]) -> String {
        Digest::to_lines(digests)
    }

    /// Decodes a body. Lines end in LF or CRLF; the last line end is optional.
    ///
    /// # Errors
    /// The number of the first invalid line, starting from 1.
    pub fn decode(body: &[u8]) -> Result<Vec<Digest>, usize> {
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let lines = body.split(|byte| *byte == b'\n').enumerate();
        lines.map(|(number, line)| Missing::digest(line).ok_or(number + 1)).collect()
    }

    /// The digest on a line, which may end in CR; `None` if it is invalid.
    #[must_use]
    pub fn digest(line: &[u8]) -> Option<Digest> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).ok().and_then(Digest::from_hex)
    }
}
