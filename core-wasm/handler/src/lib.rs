//! The server of btdt as a component: `wasi:http/incoming-handler` in front of the core.
//!
//! It is the counterpart of the service of `host-server`, on the interface `btdt:wasi/service` of
//! the adapter: the core decides about each request, the adapter moves the bytes, and this passes
//! the streams on, so that no body but those that the core itself makes is ever in its memory.
//! `settings` reads the configuration, `request_head` the head of a request; `component` knows the
//! generated bindings.
//!
//! What is absent: connections, TLS, time limits, and how many requests there are at once are the
//! runtime's. It may make an instance for each request, so nothing lasts beyond one, and there is
//! no cleanup and nothing to count.

// Other targets only have the tests of what is pure.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

#[cfg(target_family = "wasm")]
mod component;
mod request_head;
mod settings;
