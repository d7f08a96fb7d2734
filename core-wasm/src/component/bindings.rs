//! The generated bindings. The values in them are those of `btdt_ports`.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: "../wit",
    world: "core",
    with: {
        "btdt:cache/types@1.0.0": btdt_ports::wit::types,
        "btdt:cache/client-types@1.0.0": btdt_ports::wit::client_types,
    },
});

/// What the operations are exported from.
pub(super) struct Core;
