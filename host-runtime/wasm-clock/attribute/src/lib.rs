//! The attribute that biscuit-auth puts on its clock.

use proc_macro::TokenStream;

/// Puts a function with the clock of the standard library in the place of the one that is
/// declared. Anything else that is declared is refused: there is nothing to put in its place.
#[proc_macro_attribute]
pub fn wasm_bindgen(_script: TokenStream, declared: TokenStream) -> TokenStream {
    let declared: String = declared.to_string().split_whitespace().collect();
    let function = if declared == r#"extern"C"{fnperformance_now()->f64;}"# {
        "fn performance_now() -> f64 { wasm_bindgen::now() }"
    } else {
        "compile_error!(\"only the clock of biscuit-auth 6 is replaced\");"
    };
    function.parse().unwrap_or_default()
}
