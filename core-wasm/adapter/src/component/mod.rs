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
        // The streams of this crate and those of the bindings are the same resources.
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
        },
    });
}

use bindings::exports::btdt::cache as wit;
use bindings::exports::btdt::wasi as own;

btdt_ports::mirror!(wit);

struct Adapter;

bindings::export!(Adapter with_types_in bindings);

/// The values on the other side of the boundary.
fn all<A: Into<B>, B>(values: Vec<A>) -> Vec<B> {
    values.into_iter().map(Into::into).collect()
}

/// A result with both sides on the other side of the boundary.
fn mirrored<A: Into<T>, B: Into<E>, T, E>(result: Result<A, B>) -> Result<T, E> {
    result.map(Into::into).map_err(Into::into)
}

/// A result of values on the other side of the boundary.
fn mirrored_all<A: Into<T>, B: Into<E>, T, E>(result: Result<Vec<A>, B>) -> Result<Vec<T>, E> {
    result.map(all).map_err(Into::into)
}
