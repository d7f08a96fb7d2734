//! Ages and sizes as people write them, and what `clean` makes of them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::build::set_time;
use crate::support::{NOT_FOUND, Rng, SUCCESS, Sandbox, USAGE};

/// A cache with one entry of `size` bytes that do not compress, under the key `k`.
fn with_entry(size: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("data", Rng::new(7).bytes(size));
    sandbox.store("k", "src").expect(SUCCESS);
    sandbox
}

#[test]
fn ages_as_humantime_writes_them() {
    let sandbox = with_entry(1_000);
    for age in [
        "7d",
        "7days",
        "1day",
        "2h",
        "90min",
        "90m",
        "1h 30m",
        "1h30m",
        "1week",
        "2w",
        "1month",
        "1M",
        "1y",
        "1year",
        "1000years",
        "3600s",
        "1d 2h 3m 4s 5ms",
    ] {
        sandbox.clean(&["--max-age", age]).expect(SUCCESS);
        sandbox.clean(&["--grace-period", age]).expect(SUCCESS);
    }
    assert!(sandbox.has_key("k"));
}

#[test]
fn an_age_of_nothing_deletes_everything() {
    let sandbox = with_entry(1_000);
    sandbox.tick();
    sandbox.clean(&["--max-age", "0s"]).expect(SUCCESS);
    sandbox.restore("k", "out").expect(NOT_FOUND);
}

#[test]
fn entries_unused_for_longer_than_the_limit_go() {
    let sandbox = Sandbox::new();
    sandbox.tree("src").file("data", "x");
    sandbox.store("new,six-days,eight-days", "src").expect(SUCCESS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    for (key, days) in [("six-days", 6), ("eight-days", 8)] {
        // The time of the last access is that of the record's last change.
        let then = now.as_secs() as i64 - days * 24 * 60 * 60;
        set_time(&sandbox.cache().join("keys").join(key), then, 0);
    }
    sandbox.clean(&["--max-age", "7d"]).expect(SUCCESS);
    assert!(!sandbox.has_key("eight-days"));
    assert!(sandbox.has_key("six-days"), "a restore counts as an access");
    sandbox.clean(&["--max-age", "5d"]).expect(SUCCESS);
    assert!(sandbox.has_key("six-days") && sandbox.has_key("new"));
}

#[test]
fn sizes_with_decimal_and_binary_units() {
    let sandbox = with_entry(1_000);
    for size in [
        "500Mi",
        "10GiB",
        "1GB",
        "1Gi 200Mi",
        "1Gi200Mi",
        "1G",
        "1T",
        "2TiB",
        "1048576",
        "100000B",
        "100k",
        "100K",
        "100KB",
        "100kB",
        "100KiB",
        "100Ki",
        "1 GiB",
        "7EiB",
        "15EiB",
    ] {
        sandbox.clean(&["--max-size", size]).expect(SUCCESS);
    }
    assert!(sandbox.has_key("k"));
}

#[test]
fn decimal_and_binary_units_differ() {
    // Between 1 MB (1,000,000 bytes) and 1 MiB (1,048,576 bytes).
    for (limit, kept) in [
        ("1MiB", true),
        ("1Mi", true),
        ("1MB 40KB", true),
        ("1MB 40000", true),
        ("1MB", false),
        ("1M", false),
        ("900KiB", false),
        ("0", false),
    ] {
        let sandbox = with_entry(1_020_000);
        sandbox.clean(&["--max-size", limit]).expect(SUCCESS);
        assert_eq!(sandbox.has_key("k"), kept, "--max-size {limit:?}");
    }
}

#[track_caller]
fn refused_and_nothing_deleted(flag: &str, values: &[&str]) {
    let sandbox = with_entry(1_000);
    let before = sandbox.view().bytes();
    for value in values {
        let argument = format!("{flag}={value}");
        let outcome = sandbox.clean(&["--grace-period", "0s", &argument]).expect(USAGE);
        let outcome = outcome.says(flag.split('=').next().unwrap());
        assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    }
    assert_eq!(sandbox.view().bytes(), before);
    assert!(sandbox.has_key("k"));
}

#[test]
fn sizes_that_overflow_or_make_no_sense_are_usage_errors() {
    refused_and_nothing_deleted(
        "--max-size",
        &[
            "16EiB",
            "16Ei",
            "18446744073709551616",
            "99999999999999999999999999",
            "15EiB 2EiB",
            "19EB",
            "-1",
            "",
            " ",
            "GiB",
            "10 parsecs",
            "1GiB,2GiB",
            "1GiBx",
            "NaN",
            "inf",
        ],
    );
}

#[test]
fn ages_that_overflow_or_make_no_sense_are_usage_errors() {
    refused_and_nothing_deleted(
        "--max-age",
        &[
            "100000000000000y",
            "99999999999999999999s",
            "18446744073709551615y",
            "584554049254years 1y",
            "",
            "7",
            "d",
            "-1d",
            "1 fortnight",
            "1d,2d",
        ],
    );
    refused_and_nothing_deleted("--grace-period", &["99999999999999999999s", "soon", "-1s"]);
}

#[test]
fn the_least_recently_used_entry_goes_first() {
    let sandbox = Sandbox::new();
    for (seed, key) in ["a", "b", "c"].into_iter().enumerate() {
        let bytes = Rng::new(seed as u64).bytes(1_000_000);
        sandbox.tree(key).file("data", bytes);
        sandbox.store(key, key).expect(SUCCESS);
        sandbox.tick();
    }
    sandbox.restore("a", "out").expect(SUCCESS);
    sandbox.tick();
    sandbox.clean(&["--max-size", "2500KB"]).expect(SUCCESS);
    assert_eq!(["a", "b", "c"].map(|key| sandbox.has_key(key)), [true, false, true]);
}

#[test]
fn the_size_limit_counts_shared_content_once() {
    let sandbox = with_entry(1_000_000);
    for index in 0..5 {
        sandbox.tree("src").file(format!("small{index}"), "x");
        sandbox.store(format!("k{index}"), "src").expect(SUCCESS);
    }
    sandbox.clean(&["--max-size", "2MB"]).expect(SUCCESS);
    for key in ["k", "k0", "k1", "k2", "k3", "k4"] {
        assert!(sandbox.has_key(key), "{key} shares its content with the others");
    }
}

#[test]
fn a_clean_down_to_a_size_frees_the_room() {
    let sandbox = Sandbox::new();
    for seed in 0..6 {
        sandbox.tree("src").file("data", Rng::new(seed).bytes(1_000_000));
        sandbox.store(format!("k{seed}"), "src").expect(SUCCESS);
    }
    let limit = ["--max-size", "3MB", "--grace-period", "0s"];
    sandbox.clean(&limit).expect(SUCCESS);
    sandbox.let_restores_end();
    sandbox.clean(&limit).expect(SUCCESS);
    let bytes = sandbox.view().bytes();
    assert!(bytes < 3_100_000, "{bytes} bytes are left");
}
