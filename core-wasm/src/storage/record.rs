//! The record of a key: a small pointer to a manifest, with details for users.
//!
//! Encoded as the magic `btdtrec1`, the SHA-256 of the rest, and a CBOR map. The checksum turns a
//! damaged record into a miss. The key in the record tells keys apart whose file names were cut.
//! Unknown fields are ignored, so later versions can add some.

use crate::digest::sha256;
use crate::key::Key;
use btdt_ports::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"btdtrec1";

/// The record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// Digest of the encoded manifest.
    pub manifest: Digest,
    /// When the entry was stored.
    pub created: Timestamp,
    /// Size of all files in bytes.
    pub raw_size: u64,
    /// Stored size of all its chunks in bytes, including shared ones.
    pub stored_size: u64,
    /// Number of files.
    pub files: u64,
    /// The tool that stored the entry, with its version.
    pub tool: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Makes every record unique: deleting a record that was read earlier must not hit one that
    /// was put since, even if all else is equal.
    pub nonce: u64,
}

/// A damaged or invalid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record is damaged")]
pub struct RecordFault;

#[derive(Serialize, Deserialize)]
struct Encoded<'record> {
    key: &'record str,
    #[serde(with = "serde_bytes")]
    manifest: &'record [u8],
    created: (i64, u32),
    raw_size: u64,
    stored_size: u64,
    files: u64,
    tool: &'record str,
    labels: BTreeMap<String, String>,
    nonce: u64,
}

impl Record {
    /// Encodes the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let manifest = self.manifest.to_bytes();
        let encoded = Encoded {
            key: self.key.as_str(),
            manifest: &manifest,
            created: (self.created.seconds, self.created.nanoseconds),
            raw_size: self.raw_size,
            stored_size: self.stored_size,
            files: self.files,
            tool: &self.tool,
            labels: self.labels.clone(),
            nonce: self.nonce,
        };
        // Writing to a vector fails only when memory runs out, which aborts anyway.
        let body = cbor4ii::serde::to_vec(Vec::new(), &encoded).unwrap_or_default();
        [MAGIC.as_slice(), &sha256(&body).to_bytes(), &body].concat()
    }

    /// Decodes and checks a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordFault> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(RecordFault)?;
        let (checksum, body) = rest.split_at_checked(Digest::LENGTH).ok_or(RecordFault)?;
        if sha256(body).to_bytes() != checksum {
            return Err(RecordFault);
        }
        let encoded: Encoded<'_> = cbor4ii::serde::from_slice(body).map_err(|_| RecordFault)?;
        let (seconds, nanoseconds) = encoded.created;
        Ok(Record {
            key: Key::new(encoded.key).map_err(|_| RecordFault)?,
            manifest: Digest::new(encoded.manifest.try_into().map_err(|_| RecordFault)?),
            created: Timestamp { seconds, nanoseconds },
            raw_size: encoded.raw_size,
            stored_size: encoded.stored_size,
            files: encoded.files,
            tool: encoded.tool.to_owned(),
            labels: encoded.labels,
            nonce: encoded.nonce,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            key: Key::new("node-modules/é").unwrap(),
            manifest: sha256(b"manifest"),
            created: Timestamp { seconds: -3, nanoseconds: 999_999_999 },
            raw_size: u64::MAX,
            stored_size: 5,
            files: 7,
            tool: "btdt 1.0.0".to_owned(),
            labels: BTreeMap::from([("branch".to_owned(), "main".to_owned())]),
            nonce: 7,
        }
    }

    #[test]
    fn a_record_survives() {
        assert_eq!(Record::decode(&record().encode()), Ok(record()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let encoded = record().encode();
        for index in 0..encoded.len() {
            assert_eq!(Record::decode(&encoded[..index]), Err(RecordFault));
            for bit in 0..8 {
                let mut damaged = encoded.clone();
                damaged[index] ^= 1 << bit;
                assert_eq!(Record::decode(&damaged), Err(RecordFault), "byte {index}");
            }
        }
        assert_eq!(Record::decode(&[encoded, vec![0]].concat()), Err(RecordFault));
    }
}
