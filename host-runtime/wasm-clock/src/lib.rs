//! The clock that biscuit-auth needs on WebAssembly.
//!
//! biscuit-auth 6 takes it for granted that WebAssembly runs in a browser: it asks for
//! `performance.now()` through wasm-bindgen, whose imports do nothing but panic under WASI. So this
//! crate takes the place of wasm-bindgen in the workspace, which has no other use for it, and
//! answers that one question with the standard library, which WASI has a clock for.

pub mod prelude {
    //! What biscuit-auth imports.

    pub use wasm_clock_attribute::wasm_bindgen;
}

/// Milliseconds since some moment.
#[must_use]
pub fn now() -> f64 {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0
}
