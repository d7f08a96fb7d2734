//! The core as a component: the only place that knows the generated bindings.
//!
//! [`capabilities`] gives the imports the traits of `btdt_ports`; [`client_exports`] and
//! [`server_exports`] export the operations. Nothing is decided here.

mod capabilities;
mod client_exports;
mod server_exports;

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
    wit_bindgen::generate!({
        path: "../wit",
        world: "core",
        with: {
            "btdt:cache/types@1.0.0": btdt_ports::wit::types,
            "btdt:cache/client-types@1.0.0": btdt_ports::wit::client_types,
        },
    });
}

use capabilities::Host;
use std::sync::Once;

struct Core;

bindings::export!(Core with_types_in bindings);

/// Has the message of a panic logged before it becomes a trap, which carries none.
fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            use btdt_ports::{Environment, Severity};
            Host.log(Severity::Error, &panic.to_string());
        }));
    });
}
