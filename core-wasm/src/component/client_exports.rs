//! What front ends ask of the core.

use super::bindings::Core;
use super::bindings::btdt::cache::{caches, http, objects, records};
use super::bindings::exports::btdt::cache::client::{
    Cache, FileTree, Guest, GuestInspection, Inspection, RemoteCache,
};
use super::capabilities::Host;
use super::panics::report_panics;
use crate::cache;
use crate::manifest::{Content, Manifest};
use crate::operations::administration::{self, RemoteEntries, verify};
use crate::operations::{clean, hash, restore, store};
use crate::storage::record_lookup::Entry;
use btdt_ports::client::{
    CleanRequest, CleanSummary, DeletePage, DeleteRequest, EntryInfo, EntryPage, Error,
    HashFailure, ListRequest, NodeContent, RestoreRequest, Restored, StoreRequest, StoreSummary,
    TreeNode, TreeTotals, VerifySummary,
};
use btdt_ports::{Algorithm, Digest, Operation};

type LocalCache<'cache> = cache::LocalCache<'cache, objects::ObjectStore, records::RecordStore>;

fn local(cache: &caches::LocalCache) -> LocalCache<'_> {
    LocalCache::new(&cache.objects, &cache.records, &Host)
}

fn remote<'cache>(
    cache: &'cache RemoteCache,
    operation: Operation,
    keys: &[String],
) -> Result<cache::RemoteCache<'cache, http::Remote>, Error> {
    cache::RemoteCache::new(&cache.server, &cache.url, operation, keys, &Host)
}

fn remote_entries(cache: &RemoteCache) -> RemoteEntries<'_, http::Remote> {
    RemoteEntries { server: &cache.server, url: &cache.url, environment: &Host }
}

impl Guest for Core {
    type Inspection = administration::Inspection;

    fn store_tree(
        request: StoreRequest,
        tree: FileTree,
        cache: Cache,
    ) -> Result<StoreSummary, Error> {
        report_panics();
        match &cache {
            Cache::Local(cache) => store::store(&request, &tree, &local(cache), &Host),
            Cache::Remote(cache) => {
                let cache = remote(cache, Operation::Put, &request.keys)?;
                store::store(&request, &tree, &cache, &Host)
            }
        }
    }

    fn restore_tree(
        request: RestoreRequest,
        tree: FileTree,
        cache: Cache,
    ) -> Result<Option<Restored>, Error> {
        report_panics();
        match &cache {
            Cache::Local(cache) => restore::restore(&request, &tree, &local(cache), &Host),
            Cache::Remote(cache) => {
                let cache = remote(cache, Operation::Get, &request.keys)?;
                restore::restore(&request, &tree, &cache, &Host)
            }
        }
    }

    fn clean_cache(request: CleanRequest, cache: Cache) -> Result<CleanSummary, Error> {
        report_panics();
        match &cache {
            Cache::Local(cache) => clean::clean(&request, &cache.objects, &cache.records, &Host),
            Cache::Remote(_) => {
                Err(Error::NotRemote("the server cleans its caches itself".to_owned()))
            }
        }
    }

    fn hash_trees(trees: Vec<FileTree>, algorithm: Algorithm) -> Result<Digest, HashFailure> {
        report_panics();
        let trees: Vec<&FileTree> = trees.iter().collect();
        hash::hash(&trees, algorithm, &Host)
            .map_err(|(index, error)| HashFailure { index: index as u32, error })
    }

    fn list_entries(request: ListRequest, cache: Cache) -> Result<EntryPage, Error> {
        report_panics();
        let (prefix, after) = (request.prefix.as_str(), request.after.as_deref());
        let page = match &cache {
            Cache::Local(cache) => administration::list(prefix, after, &local(cache)),
            Cache::Remote(cache) => administration::list(prefix, after, &remote_entries(cache)),
        }?;
        Ok(EntryPage {
            entries: page.entries.iter().map(entry_info).collect(),
            unusable: page.unusable,
            next: page.next,
        })
    }

    fn inspect_entry(key: String, cache: Cache) -> Result<Option<Inspection>, Error> {
        report_panics();
        let found = match &cache {
            Cache::Local(cache) => administration::inspect(&key, &local(cache)),
            Cache::Remote(cache) => administration::inspect(&key, &remote_entries(cache)),
        }?;
        Ok(found.map(Inspection::new))
    }

    fn delete_entries(request: DeleteRequest, cache: Cache) -> Result<DeletePage, Error> {
        report_panics();
        match &cache {
            Cache::Local(cache) => administration::delete(&request, &local(cache)),
            Cache::Remote(cache) => administration::delete(&request, &remote_entries(cache)),
        }
    }

    fn verify_cache(repair: bool, cache: Cache) -> Result<VerifySummary, Error> {
        report_panics();
        match &cache {
            Cache::Local(cache) => verify::verify(repair, &local(cache)),
            Cache::Remote(_) => {
                let reason = "only a cache in a directory can be verified as a whole";
                Err(Error::NotRemote(reason.to_owned()))
            }
        }
    }
}

/// Kept by the core for as long as the host asks about it.
impl GuestInspection for administration::Inspection {
    fn entry(&self) -> EntryInfo {
        entry_info(&self.entry)
    }

    fn totals(&self) -> Option<TreeTotals> {
        administration::Inspection::totals(self)
    }

    fn nodes(&self, first: u32, count: u32) -> Vec<TreeNode> {
        let Some(manifest) = &self.manifest else { return Vec::new() };
        let end = first.saturating_add(count).min(manifest.len());
        (first..end).map(|number| tree_node(manifest, number)).collect()
    }
}

fn entry_info(entry: &Entry) -> EntryInfo {
    let Entry { record, last_access } = entry;
    EntryInfo {
        key: record.key.as_str().to_owned(),
        manifest: record.manifest,
        created: record.created,
        last_access: *last_access,
        raw_size: record.raw_size,
        stored_size: record.stored_size,
        files: record.files,
        tool: record.tool.clone(),
        labels: record.labels.clone().into_iter().collect(),
    }
}

/// The node of that number, which must exist.
fn tree_node(manifest: &Manifest, number: u32) -> TreeNode {
    let node = manifest.node(number);
    let file = match node.content {
        Content::HardLink(file) => manifest.node(file),
        _ => node,
    };
    TreeNode {
        path: manifest.path(number),
        content: match node.content {
            Content::Directory => NodeContent::Directory,
            Content::File(_) => NodeContent::File(node.size()),
            Content::Symlink(target) => NodeContent::Symlink(target.to_vec()),
            Content::HardLink(file) => NodeContent::HardLink(manifest.path(file)),
        },
        mode: file.mode,
        modified: file.modified,
    }
}
