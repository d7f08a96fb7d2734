//! The generated bindings of the host's side.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

use super::resources;
use wasmtime::component::{HasSelf, Linker};

wasmtime::component::bindgen!({
    path: "../wit",
    world: "core",
    imports: { default: trappable },
    with: {
        "btdt:cache/objects.sink": crate::chunk_io::Sink,
        "btdt:cache/objects.source": crate::chunk_io::Source,
        "btdt:cache/objects.lock": btdt_ports::HeldLock,
        "btdt:cache/objects.object-store": resources::SharedObjects,
        "btdt:cache/objects.opened": resources::Opened,
        "btdt:cache/archive.archive-plan": crate::archive::TarPlan,
        "btdt:cache/archive.archive-reader": crate::archive::TarArchive,
        "btdt:cache/http.incoming-body": crate::http::HttpBody,
        "btdt:cache/http.remote": crate::http::HttpRemote,
        "btdt:cache/records.record-store": resources::SharedRecords,
        "btdt:cache/tree.file-tree": crate::tree::filesystem::FilesystemTree,
        "btdt:cache/tree.packer": crate::tree::filesystem::FilesystemPacker,
        "btdt:cache/tree.materializer": crate::tree::filesystem::FilesystemMaterializer,
    },
});

/// What front ends ask of the core.
pub use exports::btdt::cache::client;

/// What a server asks of the core.
pub(super) use exports::btdt::cache::server;

pub(super) mod wit {
    pub(crate) use super::btdt::cache::{
        archive, auth, caches, environment, http, objects, records, tree, types,
    };
}

btdt_ports::mirror!(wit);

/// Connects the imports of the core that are of this package.
pub(super) fn add_to_linker(linker: &mut Linker<resources::HostState>) -> wasmtime::Result<()> {
    Core::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
