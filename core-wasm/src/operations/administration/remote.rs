//! Administers a cache on a server.

use super::entries::{Entries, EntryPage, Inspection};
use crate::cache::remote::{MAX_PROBLEM, QUERY, is_own, query, request};
use crate::cache::{Cache as _, RemoteCache, Wanted, warn_unusable};
use crate::key::{Key, Prefix};
use btdt_ports::client::Error;

use crate::protocol::{DescribedEntry, DescribedPage, NO_ENTRY, Problem};
use crate::storage::record_lookup::Entry;
use btdt_ports::{Digest, Environment, HttpResponse, Method, Operation, Remote};
use percent_encoding::utf8_percent_encode;
use std::collections::BTreeSet;

/// Entries per request; the server may send fewer.
const PAGE: &str = "1000";

/// Digests per request.
const CHUNKS: usize = 10_000;

/// For answers that no server of this version gives.
const UNKNOWN: &str = "the server does not know this operation: it is one of btdt 0.4, or the URL \
                       is not that of a cache";

/// A cache on a server. Each request gets a token restricted to its operation.
#[derive(Clone, Copy)]
pub struct RemoteEntries<'server, R> {
    /// The connection.
    pub server: &'server R,
    /// The URL of the cache.
    pub url: &'server str,
    /// For warnings.
    pub environment: &'server dyn Environment,
}

impl<'server, R: Remote> RemoteEntries<'server, R> {
    fn connect(
        &self,
        operation: Operation,
        keys: &[String],
    ) -> Result<RemoteCache<'server, R>, Error> {
        RemoteCache::new(self.server, self.url, operation, keys, self.environment)
    }
}

impl<R: Remote> Entries for RemoteEntries<'_, R> {
    fn list(&self, prefix: &Prefix, after: Option<&str>) -> Result<EntryPage, Error> {
        let cache = self.connect(Operation::List, &[])?;
        let parameters =
            [("prefix", prefix.as_str()), ("after", after.unwrap_or_default()), ("limit", PAGE)];
        let url = format!("{}/entries{}", cache.url, query(parameters.into_iter()));
        let response = cache.send(&request(Method::Get, url.clone()))?;
        let invalid = || cache.unexpected(&url, "its list of entries is not one");
        let body = body(&cache, &url, response)?.ok_or_else(invalid)?;
        let page = DescribedPage::decode(&body).ok_or_else(invalid)?;
        let entries = page.entries.into_iter().map(DescribedEntry::entry);
        let entries: Vec<Entry> = entries.collect::<Option<_>>().ok_or_else(invalid)?;
        // Without progress the listing would never end.
        if page.next.is_some() && (page.next.as_deref() == after || entries.is_empty()) {
            return Err(invalid());
        }
        Ok(EntryPage { entries, unusable: 0, next: page.next })
    }

    fn inspect(&self, key: &Key) -> Result<Option<Inspection>, Error> {
        let cache = self.connect(Operation::Get, &[key.as_str().to_owned()])?;
        // The record comes first: reading the manifest updates the last access.
        let url = entry_url(&cache, key)?;
        let response = cache.send(&request(Method::Get, url.clone()))?;
        let Some(body) = body(&cache, &url, response)? else { return Ok(None) };
        let entry = DescribedEntry::decode(&body).and_then(DescribedEntry::entry);
        let entry = entry.filter(|entry| entry.record.key == *key);
        let entry = entry.ok_or_else(|| cache.unexpected(&url, "its entry is not one"))?;
        let wanted = Wanted { keys: std::slice::from_ref(key), prefixes: &[] };
        let Some(candidate) = cache.candidate(wanted, &mut BTreeSet::new())? else {
            warn_unusable(self.environment, key, &"the server cannot read its manifest");
            return Ok(Some(Inspection { entry, manifest: None, missing_chunks: 0 }));
        };
        let manifest = candidate.manifest;
        let chunks: Vec<Digest> = manifest.chunks().iter().map(|chunk| chunk.digest).collect();
        let mut missing_chunks = 0;
        for chunks in chunks.chunks(CHUNKS) {
            missing_chunks += cache.missing(chunks)?.map_or(0, |missing| missing.len() as u64);
        }
        Ok(Some(Inspection { entry, manifest: Some(manifest), missing_chunks }))
    }

    fn delete(&self, key: &Key) -> Result<bool, Error> {
        let cache = self.connect(Operation::Delete, &[])?;
        let url = entry_url(&cache, key)?;
        let response = cache.send(&request(Method::Delete, url.clone()))?;
        Ok(body(&cache, &url, response)?.is_some())
    }
}

fn entry_url<R: Remote>(cache: &RemoteCache<'_, R>, key: &Key) -> Result<String, Error> {
    if matches!(key.as_str(), "." | "..") {
        return Err(Error::NotRemote(
            "the keys \".\" and \"..\" cannot be part of a URL".to_owned(),
        ));
    }
    Ok(format!("{}/entries/{}", cache.url, utf8_percent_encode(key.as_str(), QUERY)))
}

/// The body of a response; `None` if there is no such entry.
fn body<R: Remote>(
    cache: &RemoteCache<'_, R>,
    url: &str,
    response: HttpResponse<R::Body>,
) -> Result<Option<Vec<u8>>, Error> {
    match (response.status, is_own(&response)) {
        (200..=299, true) => cache.body(url, response.body, MAX_PROBLEM).map(Some),
        (404, true) => {
            let body = cache.body(url, response.body, MAX_PROBLEM)?;
            if Problem::decode(&body).detail.as_deref() == Some(NO_ENTRY) {
                return Ok(None);
            }
            Err(Error::server(url, crate::cache::remote::refusal(404, &body)))
        }
        (200..=299 | 400 | 404 | 405 | 501, false) => Err(Error::NotRemote(UNKNOWN.to_owned())),
        _ => Err(cache.refused(url, response)),
    }
}
