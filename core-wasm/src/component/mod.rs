//! The core as a component: the only place that knows the generated bindings.
//!
//! [`imports`] and [`remote`] turn what the host offers into the traits of `btdt_ports`,
//! [`convert`] translates values, and [`client`] and [`server`] export the operations. Nothing is
//! decided here.

mod client;
mod convert;
mod imports;
mod remote;
mod server;

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    wit_bindgen::generate!({
        path: "../wit",
        world: "core",
    });
}

use imports::HostEnvironment;
use std::sync::Once;

struct Core;

bindings::export!(Core with_types_in bindings);

/// Has the message of a panic logged before it becomes a trap, which carries none.
fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            use btdt_ports::{Environment, Severity};
            HostEnvironment.log(Severity::Error, &panic.to_string());
        }));
    });
}
