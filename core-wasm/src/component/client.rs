//! What front ends ask of the core.

use super::bindings::exports::btdt::cache::client;
use super::convert::tree_node;
use super::imports::{HostEnvironment, HostObjects, HostRecords, HostTree};
use super::remote::HostRemote;
use super::{Core, report_panics};
use crate::cache::{LocalCache, RemoteCache};
use crate::error::Error;
use crate::operations::administration::{self, RemoteEntries, TreeTotals, verify};
use crate::operations::{clean, hash, restore, store};
use crate::storage::retention;
use btdt_ports::Operation;

/// An entry and its tree, for as long as the host asks about it.
pub(super) struct Inspection(administration::Inspection);

impl client::GuestInspection for Inspection {
    fn entry(&self) -> client::EntryInfo {
        self.0.entry.clone().into()
    }

    fn totals(&self) -> Option<client::TreeTotals> {
        let totals = TreeTotals::of(self.0.manifest.as_ref()?);
        let missing_chunks = self.0.missing_chunks;
        Some(client::TreeTotals { missing_chunks, ..totals.into() })
    }

    fn nodes(&self, first: u32, count: u32) -> Vec<client::TreeNode> {
        let Some(manifest) = &self.0.manifest else { return Vec::new() };
        let end = first.saturating_add(count).min(manifest.len());
        (first..end).map(|number| tree_node(manifest, number)).collect()
    }
}

/// A cache on a server, for questions about its entries.
fn remote_entries<'cache>(
    server: &'cache HostRemote<'cache>,
    cache: &'cache client::RemoteCache,
) -> RemoteEntries<'cache, HostRemote<'cache>> {
    RemoteEntries { server, url: &cache.url, environment: &HostEnvironment }
}

impl client::Guest for Core {
    type Inspection = Inspection;

    fn store_tree(
        request: client::StoreRequest,
        tree: client::FileTree,
        cache: client::Cache,
    ) -> Result<client::StoreSummary, client::Error> {
        report_panics();
        let request = store::Request {
            keys: request.keys,
            excludes: request.excludes,
            labels: request.labels.into_iter().collect(),
            tool: request.tool,
        };
        let tree = HostTree(&tree);
        let stored = match &cache {
            client::Cache::Local(cache) => {
                let (objects, records) = (HostObjects(&cache.objects), HostRecords(&cache.records));
                let cache = LocalCache::new(&objects, &records, &HostEnvironment);
                store::store(&request, &tree, &cache, &HostEnvironment)
            }
            client::Cache::Remote(cache) => {
                let server = HostRemote(&cache.server);
                let (url, keys) = (&cache.url, &request.keys);
                RemoteCache::new(&server, url, Operation::Put, keys, &HostEnvironment)
                    .and_then(|cache| store::store(&request, &tree, &cache, &HostEnvironment))
            }
        };
        stored.map(Into::into).map_err(Into::into)
    }

    fn restore_tree(
        request: client::RestoreRequest,
        tree: client::FileTree,
        cache: client::Cache,
    ) -> Result<Option<client::Restored>, client::Error> {
        report_panics();
        let request = restore::Request {
            keys: request.keys,
            prefixes: request.prefixes,
            exact: request.exact,
            checksum: request.checksum,
        };
        let tree = HostTree(&tree);
        let restored = match &cache {
            client::Cache::Local(cache) => {
                let (objects, records) = (HostObjects(&cache.objects), HostRecords(&cache.records));
                let cache = LocalCache::new(&objects, &records, &HostEnvironment);
                restore::restore(&request, &tree, &cache, &HostEnvironment)
            }
            client::Cache::Remote(cache) => {
                let server = HostRemote(&cache.server);
                let (url, keys) = (&cache.url, &request.keys);
                RemoteCache::new(&server, url, Operation::Get, keys, &HostEnvironment)
                    .and_then(|cache| restore::restore(&request, &tree, &cache, &HostEnvironment))
            }
        };
        restored.map(Into::into).map_err(Into::into)
    }

    fn clean_cache(
        request: client::CleanRequest,
        cache: client::Cache,
    ) -> Result<client::CleanSummary, client::Error> {
        report_panics();
        let client::Cache::Local(cache) = &cache else {
            return Err(Error::NotRemote("the server cleans its caches itself").into());
        };
        let request = clean::Request {
            limits: retention::Limits { max_age: request.max_age, max_size: request.max_size },
            grace_period: request.grace_period,
        };
        clean::clean(
            &request,
            &HostObjects(&cache.objects),
            &HostRecords(&cache.records),
            &HostEnvironment,
        )
        .map(Into::into)
        .map_err(Into::into)
    }

    fn hash_trees(
        trees: Vec<client::FileTree>,
        algorithm: client::Algorithm,
    ) -> Result<client::Digest, client::HashFailure> {
        report_panics();
        let trees: Vec<HostTree<'_>> = trees.iter().map(HostTree).collect();
        let trees: Vec<&HostTree<'_>> = trees.iter().collect();
        hash::hash(&trees, algorithm.into(), &HostEnvironment).map(Into::into).map_err(
            |(index, error)| client::HashFailure { index: index as u32, error: error.into() },
        )
    }

    fn list_entries(
        request: client::ListRequest,
        cache: client::Cache,
    ) -> Result<client::EntryPage, client::Error> {
        report_panics();
        let (prefix, after) = (request.prefix.as_str(), request.after.as_deref());
        let page = match &cache {
            client::Cache::Local(cache) => {
                let (objects, records) = (HostObjects(&cache.objects), HostRecords(&cache.records));
                let cache = LocalCache::new(&objects, &records, &HostEnvironment);
                administration::list(prefix, after, &cache)
            }
            client::Cache::Remote(cache) => {
                let server = HostRemote(&cache.server);
                administration::list(prefix, after, &remote_entries(&server, cache))
            }
        };
        page.map(Into::into).map_err(Into::into)
    }

    fn inspect_entry(
        key: String,
        cache: client::Cache,
    ) -> Result<Option<client::Inspection>, client::Error> {
        report_panics();
        let found = match &cache {
            client::Cache::Local(cache) => {
                let (objects, records) = (HostObjects(&cache.objects), HostRecords(&cache.records));
                let cache = LocalCache::new(&objects, &records, &HostEnvironment);
                administration::inspect(&key, &cache)
            }
            client::Cache::Remote(cache) => {
                let server = HostRemote(&cache.server);
                administration::inspect(&key, &remote_entries(&server, cache))
            }
        };
        let found = found.map_err(client::Error::from)?;
        Ok(found.map(|inspection| client::Inspection::new(Inspection(inspection))))
    }

    fn delete_entries(
        request: client::DeleteRequest,
        cache: client::Cache,
    ) -> Result<client::DeletePage, client::Error> {
        report_panics();
        let request = administration::DeleteRequest {
            keys: request.keys,
            prefix: request.prefix,
            after: request.after,
        };
        let page = match &cache {
            client::Cache::Local(cache) => {
                let (objects, records) = (HostObjects(&cache.objects), HostRecords(&cache.records));
                let cache = LocalCache::new(&objects, &records, &HostEnvironment);
                administration::delete(&request, &cache)
            }
            client::Cache::Remote(cache) => {
                let server = HostRemote(&cache.server);
                administration::delete(&request, &remote_entries(&server, cache))
            }
        };
        page.map(Into::into).map_err(Into::into)
    }

    fn verify_cache(
        repair: bool,
        cache: client::Cache,
    ) -> Result<client::VerifySummary, client::Error> {
        report_panics();
        let client::Cache::Local(cache) = &cache else {
            let reason = "only a cache in a directory can be verified as a whole";
            return Err(Error::NotRemote(reason).into());
        };
        let (objects, records) = (HostObjects(&cache.objects), HostRecords(&cache.records));
        let cache = LocalCache::new(&objects, &records, &HostEnvironment);
        verify::verify(repair, &cache).map(Into::into).map_err(Into::into)
    }
}
