//! Finds the precompiled core component that the engine embeds, and refuses a missing or stale one.
//!
//! It is built by `cargo xtask build`, not here: a build script that runs cargo fights with the
//! outer one for locks and flags, and hides minutes of work behind an innocent `cargo check`.

#![allow(clippy::disallowed_methods, reason = "cargo talks to build scripts by variables")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the component and its machine code are made from. Other components are in `core-wasm` too.
const SOURCES: [&str; 5] = [
    "core-wasm/Cargo.toml",
    "core-wasm/ports",
    "core-wasm/src",
    "wit",
    "host-runtime/engine-config",
];

fn main() {
    if env::var_os("CARGO_FEATURE_ENGINE").is_none() {
        return;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let target = env::var("TARGET").unwrap_or_default();
    // Of a profile of one's own: the one of these two that it inherits from.
    let profile = env::var("PROFILE").unwrap_or_default();
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let target_dir =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut newest = SystemTime::UNIX_EPOCH;
    for source in SOURCES {
        let source = root.join(source);
        println!("cargo::rerun-if-changed={}", source.display());
        newest = newest.max(newest_in(&source));
    }
    let directory = if profile == "release" { "component/release" } else { "component" };
    let artifact = target_dir.join(directory).join(format!("btdt-core.{target}.cwasm"));
    println!("cargo::rerun-if-changed={}", artifact.display());
    println!("cargo::rustc-env=BTDT_CORE={}", artifact.display());
    match fs::metadata(&artifact).and_then(|metadata| metadata.modified()) {
        Err(_) => refuse("has not been built", &profile),
        Ok(built) if built < newest => refuse("is older than its sources", &profile),
        Ok(_) => {}
    }
}

fn refuse(problem: &str, profile: &str) {
    let option = if profile == "release" { " --release" } else { "" };
    println!("cargo::error=the core component {problem}: run `cargo xtask build{option}`");
}

fn newest_in(path: &Path) -> SystemTime {
    let own = fs::metadata(path).and_then(|metadata| metadata.modified());
    let own = own.unwrap_or(SystemTime::UNIX_EPOCH);
    let Ok(entries) = fs::read_dir(path) else { return own };
    // A directory's own time changes with every editor's temporary file; only files count.
    entries.flatten().map(|entry| newest_in(&entry.path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
}
