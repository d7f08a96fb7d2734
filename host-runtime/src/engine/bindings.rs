//! The generated bindings of the host's side. The values in them are those of `btdt_ports`.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

use super::host_services;

wasmtime::component::bindgen!({
    path: "../wit",
    world: "core",
    imports: { default: trappable },
    with: {
        "btdt:cache/types": btdt_ports::wit::types,
        "btdt:cache/client-types": btdt_ports::wit::client_types,
        "btdt:cache/objects.sink": crate::chunk_io::Sink,
        "btdt:cache/objects.source": crate::chunk_io::Source,
        "btdt:cache/objects.lock": btdt_ports::HeldLock,
        "btdt:cache/objects.object-store": host_services::SharedObjects,
        "btdt:cache/objects.opened": host_services::Opened,
        "btdt:cache/archive.archive-plan": crate::archive::TarPlan,
        "btdt:cache/archive.archive-reader": crate::archive::TarArchive,
        "btdt:cache/http.incoming-body": crate::http_native::HttpBody,
        "btdt:cache/http.remote": crate::http_native::HttpRemote,
        "btdt:cache/records.record-store": host_services::SharedRecords,
        "btdt:cache/tree.file-tree": crate::tree::filesystem::FilesystemTree,
        "btdt:cache/tree.packer": crate::tree::filesystem::FilesystemPacker,
        "btdt:cache/tree.materializer": crate::tree::filesystem::FilesystemMaterializer,
    },
});

/// What front ends ask of the core.
pub(super) use exports::btdt::cache::client;

/// What a server asks of the core.
pub(super) use exports::btdt::cache::server;

pub(super) mod wit {
    pub(crate) use super::btdt::cache::{
        archive, auth, caches, environment, http, objects, records, tree,
    };
}
