//! The server of btdt as a component: `wasi:http/incoming-handler` in front of the core.
//!
//! It is the counterpart of the service of `host-server`, on the interface `btdt:wasi/service` of
//! the adapter: the core decides about each request, the adapter moves the bytes, and the handler
//! passes streams from one to the other. The only bodies in its memory are those that the core
//! itself creates. `component` knows the generated bindings, `request_head` parses.
//!
//! Connections, TLS, time limits and the number of concurrent requests are left to the runtime. It
//! may create an instance for each request, so nothing outlives a request: there are no cleanups
//! and no metrics.

// Other targets only run the unit tests.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

#[cfg(target_family = "wasm")]
mod component;
mod request_head;
