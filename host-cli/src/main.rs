//! The binary `btdt` (a stub for now).

fn main() {}
