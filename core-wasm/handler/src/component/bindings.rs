//! The generated bindings, and short names for the interfaces that are used everywhere.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: ["../../wit", "../../wit/wasi"],
    world: "btdt:wasi/handler",
    generate_all,
    with: { "btdt:cache/types@1.0.0": btdt_ports::wit::types },
});

pub(super) use btdt::cache::server as core;
pub(super) use btdt::wasi::service;
pub(super) use wasi::http::types as http;
