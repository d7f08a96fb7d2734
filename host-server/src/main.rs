//! The binary `btdt-server`.

fn main() {}
