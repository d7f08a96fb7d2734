//! The core that traps before it publishes a tree or puts a record, as `cargo xtask test` makes it.

use std::path::Path;

/// Its machine code.
pub(crate) fn trapping_core() -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let path = target.join("component/btdt-core-trapping.cwasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run `cargo xtask component --trapping`, which makes it",
            path.display()
        )
    })
}
