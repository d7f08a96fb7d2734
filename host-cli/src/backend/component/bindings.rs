//! The generated bindings of this program as a component.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: ["../wit", "../wit/wasi"],
    world: "btdt:wasi/command",
    generate_all,
});

pub(crate) use btdt::cache::client;

pub(crate) mod wit {
    pub(crate) use super::btdt::cache::{archive, auth, http, objects, records, tree, types};
}

btdt_ports::mirror!(wit);
