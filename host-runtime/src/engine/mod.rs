//! The wasmtime engine.
