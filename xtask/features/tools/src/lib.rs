//! Empty: this crate only exists for the list of features in `Cargo.toml`.
