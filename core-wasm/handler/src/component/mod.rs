//! The component: bindings, what is set up, and the way of a request.

mod console;
mod exchange;
mod faults;
mod respond;
mod setup;

pub(crate) mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    wit_bindgen::generate!({
        path: ["../../wit", "../../wit/wasi"],
        world: "btdt:wasi/handler",
        generate_all,
    });
}

use bindings::btdt::cache::server as core;
use bindings::btdt::wasi::service;
use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types as http;

struct Handler;

bindings::export!(Handler with_types_in bindings);

impl Guest for Handler {
    fn handle(request: http::IncomingRequest, out: http::ResponseOutparam) {
        exchange::answer(&request, out);
    }
}
