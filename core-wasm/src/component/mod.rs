//! The core as a component: the only place that knows the generated bindings.
//!
//! [`imports`] turns what the host offers into the traits of `btdt_ports`, [`convert`] translates
//! values, and this file exports the operations. Nothing is decided here.

mod convert;
mod imports;

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    wit_bindgen::generate!({
        path: "../wit",
        world: "core",
    });
}

use crate::cache::LocalCache;
use bindings::exports::btdt::cache::client;
use imports::{HostEnvironment, HostObjects, HostRecords, HostTree};
use std::sync::Once;

struct Core;

bindings::export!(Core with_types_in bindings);

impl client::Guest for Core {
    fn store_tree(
        request: client::StoreRequest,
        tree: client::FileTree,
        cache: client::LocalCache,
    ) -> Result<client::StoreSummary, client::Error> {
        report_panics();
        let request = crate::store::Request {
            keys: request.keys,
            excludes: request.excludes,
            labels: request.labels.into_iter().collect(),
            tool: request.tool,
        };
        crate::store::store(
            &request,
            &HostTree(&tree),
            &LocalCache {
                objects: &HostObjects(&cache.objects),
                records: &HostRecords(&cache.records),
                environment: &HostEnvironment,
            },
            &HostEnvironment,
        )
        .map(Into::into)
        .map_err(Into::into)
    }

    fn restore_tree(
        request: client::RestoreRequest,
        tree: client::FileTree,
        cache: client::LocalCache,
    ) -> Result<Option<client::Restored>, client::Error> {
        report_panics();
        let request = crate::restore::Request {
            keys: request.keys,
            prefixes: request.prefixes,
            exact: request.exact,
            checksum: request.checksum,
        };
        crate::restore::restore(
            &request,
            &HostTree(&tree),
            &LocalCache {
                objects: &HostObjects(&cache.objects),
                records: &HostRecords(&cache.records),
                environment: &HostEnvironment,
            },
            &HostEnvironment,
        )
        .map(Into::into)
        .map_err(Into::into)
    }

    fn clean_cache(
        request: client::CleanRequest,
        cache: client::LocalCache,
    ) -> Result<client::CleanSummary, client::Error> {
        report_panics();
        let request = crate::clean::Request {
            limits: crate::retention::Limits {
                max_age: request.max_age,
                max_size: request.max_size,
            },
            grace_period: request.grace_period,
        };
        crate::clean::clean(
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
        crate::hash::hash(&trees, algorithm.into(), &HostEnvironment).map(Into::into).map_err(
            |(index, error)| client::HashFailure { index: index as u32, error: error.into() },
        )
    }
}

/// Has the message of a panic logged before it becomes a trap, which carries none.
fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            use btdt_ports::{Environment, Severity};
            HostEnvironment.log(Severity::Error, &panic.to_string());
        }));
    });
}
