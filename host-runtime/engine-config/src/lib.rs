//! The wasmtime configuration under which the core component is precompiled and loaded.
//!
//! wasmtime refuses a precompiled component whose settings differ from those of the engine that
//! loads it, so there is exactly one place that chooses them: `xtask/precompile` and every host
//! start from [`config`]. Pooling, which may differ, is the server's own business.

use wasmtime::Config;

/// Address space reserved for one linear memory, in bytes. The default of 4 GiB for each memory
/// would let a pool of a few hundred instances exhaust the address space.
const MEMORY_RESERVATION: u64 = 64 << 20;

/// Guard region behind a linear memory, in bytes.
const MEMORY_GUARD: u64 = 1 << 20;

/// Settings that are part of the compiled code.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD)
        // A trap names the core's function; addresses into a stripped artifact help nobody.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    config
}
