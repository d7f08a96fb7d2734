//! The generated bindings of this program as a component.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: ["../wit", "../wit/wasi"],
    world: "btdt:wasi/command",
    generate_all,
});

pub(super) use btdt::cache::client;

pub(super) mod wit {
    pub(in super::super) use super::btdt::cache::{
        archive, auth, http, objects, records, tree, types,
    };
}

btdt_ports::mirror!(wit);
