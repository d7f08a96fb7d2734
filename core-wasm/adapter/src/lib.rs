//! The capabilities that the core needs, on nothing but `wasi:*`: the component that makes the core
//! run under any runtime of WASI 0.2.
//!
//! It is the counterpart of the engine of `btdt-host-runtime` and uses the same backends, which do
//! everything one after the other here. `component` knows the generated bindings and passes calls
//! on; `http` is the client of servers; `wasi_limits` counts what WASI cannot do, so that the user
//! is told once.

// Other targets only have the tests of what is pure.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, unused_imports))]

#[cfg(target_family = "wasm")]
mod component;
mod http;
mod wasi_limits;
