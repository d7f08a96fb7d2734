//! The wasmtime configuration under which the core component is precompiled and loaded.
//!
//! wasmtime refuses a precompiled component whose settings differ from those of the engine that
//! loads it, so there is exactly one place that chooses them: `xtask/precompile` and every host
//! start from [`config`]. Pooling, which may differ, is the server's own business.

use wasmtime::Config;

/// Address space reserved for one linear memory, in bytes: all that a 32-bit memory can grow to.
/// Then the compiled code needs no bounds checks, and a memory that grows is never copied, which
/// would double the peak of a store of a large tree. Address space is not memory: a pool of a
/// thousand such instances takes 4 of the 128 TiB that a process has.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Guard region behind a linear memory, in bytes: as far as an access with a constant offset can
/// miss without a check.
const MEMORY_GUARD: u64 = 32 << 20;

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
