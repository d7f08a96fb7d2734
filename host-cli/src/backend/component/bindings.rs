//! The generated bindings of this program as a component. The values in them are those of
//! `btdt_ports`.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: ["../wit", "../wit/wasi"],
    world: "btdt:wasi/command",
    generate_all,
    with: {
        "btdt:cache/types@1.0.0": btdt_ports::wit::types,
        "btdt:cache/client-types@1.0.0": btdt_ports::wit::client_types,
    },
});

pub(crate) use btdt::cache::{client, tree};
