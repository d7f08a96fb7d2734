//! The entries of a cache on a server.

use super::{DeletePage, DeleteRequest, Entries, EntryPage, Inspection, delete_entries};
use crate::cache::{Cache as _, Wanted, warn_unusable};
use crate::entries::Entry;
use crate::error::Error;
use crate::key::{Key, Prefix};
use crate::protocol::{DescribedEntry, DescribedPage, NO_ENTRY, Problem};
use crate::remote::{MAX_PROBLEM, QUERY, RemoteCache, is_own, query, request};
use btdt_ports::{Digest, Environment, HttpResponse, Method, Operation, Remote};
use percent_encoding::utf8_percent_encode;
use std::collections::BTreeSet;

/// Entries that are asked for at once; the server may give fewer.
const PAGE: &str = "1000";

/// Chunks that are asked about at once.
const CHUNKS: usize = 10_000;

/// What other servers do not know, and neither do URLs that are not those of caches.
const UNKNOWN: &str = "the server does not know this operation: it is one of btdt 0.4, or the URL \
                       is not that of a cache";

/// A cache on a server and what it takes to talk to it.
#[derive(Clone, Copy)]
pub struct RemoteEntries<'server, R> {
    /// The server.
    pub server: &'server R,
    /// The URL of the cache.
    pub url: &'server str,
    /// For messages.
    pub environment: &'server dyn Environment,
}

/// A part of the entries whose key begins with `prefix` and that the token allows to see, from
/// `after` on.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Server`], [`Error::NotRemote`].
pub fn list<R: Remote>(
    prefix: &str,
    after: Option<&str>,
    cache: RemoteEntries<'_, R>,
) -> Result<EntryPage, Error> {
    cache.list(&super::prefix(prefix)?, after)
}

/// Deletes entries: those of the keys, and a part of those with the prefix.
///
/// # Errors
/// [`Error::NoKeys`], [`Error::InvalidKey`]. What goes wrong after that is in the page.
pub fn delete_some<R: Remote>(
    request: &DeleteRequest,
    cache: RemoteEntries<'_, R>,
) -> Result<DeletePage, Error> {
    delete_entries(request, &cache)
}

/// The entry of a key; `None` where there is none.
///
/// # Errors
/// [`Error::InvalidKey`], [`Error::Server`], [`Error::NotRemote`].
pub fn inspect<R: Remote>(
    key: &str,
    cache: RemoteEntries<'_, R>,
) -> Result<Option<Inspection>, Error> {
    let keys = [super::key(key)?];
    let texts = [key.to_owned()];
    let RemoteEntries { server, url, environment } = cache;
    let cache = RemoteCache::new(server, url, Operation::Get, &texts, environment)?;
    // The record first: to give the manifest counts as a use of the entry.
    let url = entry_url(&cache, &keys[0])?;
    let response = cache.send(&request(Method::Get, url.clone()))?;
    let Some(body) = body(&cache, &url, response)? else { return Ok(None) };
    let entry = DescribedEntry::decode(&body).and_then(DescribedEntry::entry);
    let entry = entry.filter(|entry| entry.record.key == keys[0]);
    let entry = entry.ok_or_else(|| cache.unexpected(&url, "its entry is not one"))?;
    let wanted = Wanted { keys: &keys, prefixes: &[] };
    let Some(candidate) = cache.candidate(wanted, &mut BTreeSet::new())? else {
        warn_unusable(environment, &keys[0], &"the server cannot read its manifest");
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

impl<R: Remote> Entries for RemoteEntries<'_, R> {
    fn list(&self, prefix: &Prefix, after: Option<&str>) -> Result<EntryPage, Error> {
        let cache =
            RemoteCache::new(self.server, self.url, Operation::List, &[], self.environment)?;
        let parameters =
            [("prefix", prefix.as_str()), ("after", after.unwrap_or_default()), ("limit", PAGE)];
        let url = format!("{}/entries{}", cache.url, query(parameters.into_iter()));
        let response = cache.send(&request(Method::Get, url.clone()))?;
        let invalid = || cache.unexpected(&url, "its list of entries is not one");
        let body = body(&cache, &url, response)?.ok_or_else(invalid)?;
        let page = DescribedPage::decode(&body).ok_or_else(invalid)?;
        let entries = page.entries.into_iter().map(DescribedEntry::entry);
        let entries: Vec<Entry> = entries.collect::<Option<_>>().ok_or_else(invalid)?;
        // The same page again and again would never end.
        if page.next.is_some() && (page.next.as_deref() == after || entries.is_empty()) {
            return Err(invalid());
        }
        Ok(EntryPage { entries, unusable: 0, next: page.next })
    }

    fn delete(&self, key: &Key) -> Result<bool, Error> {
        let cache =
            RemoteCache::new(self.server, self.url, Operation::Delete, &[], self.environment)?;
        let url = entry_url(&cache, key)?;
        let response = cache.send(&request(Method::Delete, url.clone()))?;
        Ok(body(&cache, &url, response)?.is_some())
    }
}

fn entry_url<R: Remote>(cache: &RemoteCache<'_, R>, key: &Key) -> Result<String, Error> {
    if matches!(key.as_str(), "." | "..") {
        return Err(Error::NotRemote("the keys \".\" and \"..\" cannot be part of a URL"));
    }
    Ok(format!("{}/entries/{}", cache.url, utf8_percent_encode(key.as_str(), QUERY)))
}

/// The body of an answer; `None` where there is no such entry.
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
            Err(Error::server(url, crate::remote::refusal(404, &body)))
        }
        (200..=299 | 400 | 404 | 405 | 501, false) => Err(Error::NotRemote(UNKNOWN)),
        _ => Err(cache.refused(url, response)),
    }
}
