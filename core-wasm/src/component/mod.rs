//! The core as a component: the only place that knows the generated bindings.
//!
//! [`capabilities`] gives the imports the traits of `btdt_ports`; [`client_exports`] and
//! [`server_exports`] export the operations. Nothing is decided here.

mod bindings;
mod capabilities;
mod client_exports;
mod panics;
mod server_exports;

use bindings::Core;

bindings::export!(Core with_types_in bindings);
