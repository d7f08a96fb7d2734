//! What a server asks itself about a chunk that turned out to be damaged while it was sent.

use btdt_ports::Digest;

/// Path and query of the `HEAD` request by which the core looks at a chunk and takes it away where
/// it is damaged, so that the next request for the entry finds out before it is answered.
///
/// The key is that of the entry, as the header `Btdt-Cache-Key` has it.
#[must_use]
pub fn check_request(
    cache: &str,
    digest: &Digest,
    key: &[u8],
    is_percent_encoded: bool,
) -> (String, String) {
    let key: String = if is_percent_encoded {
        String::from_utf8_lossy(key).into_owned()
    } else {
        key.iter().map(|byte| format!("%{byte:02X}")).collect()
    };
    let path = format!("/api/caches/{cache}/chunks/{}", digest.to_hex());
    (path, format!("key={key}&verify=true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_data() {
        let digest = Digest::new([0xAB; 32]);
        let (path, query) = check_request("c", &digest, "a&ä".as_bytes(), false);
        assert_eq!(path, format!("/api/caches/c/chunks/{}", "ab".repeat(32)));
        assert_eq!(query, "key=%61%26%C3%A4&verify=true");
        let (_, query) = check_request("c", &digest, b"a%26", true);
        assert_eq!(query, "key=a%26&verify=true");
    }
}
