//! What front ends ask of the core.

use super::bindings::exports::btdt::cache::client;
use super::imports::{HostEnvironment, HostObjects, HostRecords, HostTree};
use super::remote::HostRemote;
use super::{Core, report_panics};
use crate::cache::LocalCache;
use crate::error::Error;
use crate::remote::RemoteCache;
use crate::{clean, hash, restore, retention, store};
use btdt_ports::Operation;

impl client::Guest for Core {
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
}
