//! The exports of the component, each passed on to the backend that its handle stands for. Nothing
//! is decided here.

mod archive;
mod environment;
mod http;
mod objects;
mod places;
mod records;
mod server;
mod service;
mod streams;
mod tree;

pub(crate) mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    wit_bindgen::generate!({
        path: ["../../wit", "../../wit/wasi"],
        world: "btdt:wasi/adapter",
        // What is exported are the types that are imported: those of `btdt_ports`.
        merge_structurally_equal_types: true,
        // The streams of this crate and those of the bindings are the same resources.
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
            "btdt:cache/types@1.0.0": btdt_ports::wit::types,
        },
    });
}

use bindings::exports::btdt::cache as wit;
use bindings::exports::btdt::wasi as own;

struct Adapter;

bindings::export!(Adapter with_types_in bindings);
