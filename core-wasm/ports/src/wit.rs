//! The values of the interfaces, generated from `wit/types.wit`.
//!
//! In WebAssembly wit-bindgen generates them. Natively wasmtime does, with the code that copies
//! them in and out of a component. Names and fields are the same, so the rest of the repository
//! does not depend on the generator. All other bindings refer to these modules by `with` instead of
//! generating types of their own.
//!
//! `types.wit` is the only file that is read here, because both generators give types that a
//! function returns as errors a `Display` of their own.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

#[cfg(target_family = "wasm")]
wit_bindgen::generate!({
    path: "../../wit/types.wit",
    inline: "package btdt:ports; world values {
        import btdt:cache/types@1.0.0;
        import btdt:cache/client-types@1.0.0;
    }",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq, Eq, PartialOrd, Ord, Hash],
});

#[cfg(not(target_family = "wasm"))]
wasmtime::component::bindgen!({
    path: "../../wit/types.wit",
    inline: "package btdt:ports; world values {
        import btdt:cache/types@1.0.0;
        import btdt:cache/client-types@1.0.0;
    }",
    additional_derives: [PartialEq, Eq, PartialOrd, Ord, Hash],
});

pub use btdt::cache::{client_types, types};
