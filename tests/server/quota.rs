//! The quota of a cache: never exceeded, whatever is sent, and free again once there is room.

use crate::support::{Answer, Raw, Server, Setup, noise, until};
use btdt_host_runtime::codec::Codec;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;

const QUOTA: u64 = 2 << 20;
const MANIFEST: &str = "application/vnd.btdt.manifest+cbor";

/// A setup in which both caches have a quota.
fn setup(lines: &str) -> Setup {
    let setup = Setup::new(lines);
    let path = setup.path("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let config = config.replace(" }", &format!(", quota = {QUOTA} }}"));
    fs::write(path, format!("{config}other = {{ type = 'InMemory' }}\n")).unwrap();
    setup
}

fn send(
    setup: &Setup,
    server: &Server,
    method: &str,
    url: &str,
    header: (&str, &str),
    body: &[u8],
) -> Answer {
    let bearer = setup.bearer();
    let headers = [("authorization", bearer.as_str()), header];
    let target = format!("/api/caches/{url}");
    Raw::connect(server.address()).request(method, &target, &headers, body).unwrap()
}

/// Sends a chunk of so many bytes, which is another one for each seed; the status.
fn put_chunk(setup: &Setup, server: &Server, cache: &str, seed: u64, size: usize) -> u16 {
    let raw = noise(&[cache, &seed.to_string()], size);
    let digest = Sha256::digest(&raw).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let stored = Codec::new().encode(&raw).unwrap().to_vec();
    let url = format!("{cache}/chunks/{digest}");
    send(setup, server, "PUT", &url, ("content-type", "application/octet-stream"), &stored).status
}

/// Sends chunks until there is no room for the smallest; how many bytes were taken.
fn fill(setup: &Setup, server: &Server, cache: &str) -> usize {
    let (mut size, mut taken) = (900_000, 0);
    for seed in 1000.. {
        match put_chunk(setup, server, cache, seed, size) {
            201 => taken += size,
            507 if size > 20 => size /= 2,
            507 => return taken,
            status => panic!("{status}"),
        }
    }
    unreachable!("the quota has no end")
}

/// Waits for a cleanup that begins after this call.
fn await_cleanup(server: &Server, cache: &str) {
    let line = format!("Cleaned the cache cache={cache} ");
    let seen = || server.log().matches(&line).count();
    let before = seen();
    // The next one may have begun already.
    until(|| seen() >= before + 2);
}

fn size_of(setup: &Setup) -> u64 {
    let files = setup.cache_files().into_iter();
    let objects = files.filter(|file| !file.starts_with("keys/") && file.contains('/'));
    objects.map(|file| fs::metadata(setup.path("cache").join(file)).unwrap().len()).sum()
}

#[test]
fn what_no_entry_refers_to_counts_after_a_cleanup_as_before() {
    let setup = setup("[cleanup]\ninterval = '1s'");
    let server = setup.start();
    for cache in ["default", "memory"] {
        for round in 0..3 {
            let sent: Vec<u16> = (0..4)
                .map(|seed| put_chunk(&setup, &server, cache, round * 10 + seed, 900_000))
                .collect();
            let expected = if round == 0 { [201, 201, 507, 507] } else { [507; 4] };
            assert_eq!(sent, expected, "{cache}, round {round}");
            await_cleanup(&server, cache);
        }
    }
    assert!(size_of(&setup) <= QUOTA);
}

#[test]
fn a_cache_is_filled_to_the_quota_and_free_when_there_is_room() {
    let setup = setup("[cleanup]\ninterval = '1s'");
    let server = setup.start();
    let taken = fill(&setup, &server, "default") as u64;
    assert!(size_of(&setup) <= QUOTA && taken > QUOTA - 1000, "{taken} {}", size_of(&setup));
    await_cleanup(&server, "default");
    assert_eq!(put_chunk(&setup, &server, "default", 1, 1000), 507);
    for file in setup.chunk_files() {
        fs::remove_file(setup.path("cache").join(file)).unwrap();
    }
    await_cleanup(&server, "default");
    assert!(fill(&setup, &server, "default") as u64 > QUOTA - 1000);
}

#[test]
fn manifests_count_and_those_that_are_there_take_no_room() {
    let setup = setup("");
    let server = setup.start();
    fs::create_dir(setup.path("empty")).unwrap();
    let other = server.cache("other");
    for tree in ["empty", "second"] {
        let stored = setup.btdt(&["store", "-c", &other, "-a", "token", "-k", tree, "empty"]);
        assert_eq!(stored.status.code(), Some(0), "{stored:?}");
        fs::create_dir(setup.path("empty/inner")).ok();
    }
    let manifest = |key: &str| {
        let got =
            send(&setup, &server, "GET", &format!("other?key={key}"), ("accept", MANIFEST), b"");
        assert_eq!(got.status, 200, "{}", got.text());
        got.body
    };
    let (first, second) = (manifest("empty"), manifest("second"));
    assert_ne!(first, second);
    for cache in ["default", "memory"] {
        let put = |key: &str, body: &[u8]| {
            let url = format!("{cache}?key={key}");
            send(&setup, &server, "PUT", &url, ("content-type", MANIFEST), body)
        };
        assert_eq!(put("before", &first).status, 204);
        fill(&setup, &server, cache);
        let refused = put("new", &second);
        assert_eq!(refused.status, 507, "{}", refused.text());
        assert_eq!(put("again", &first).status, 204, "it is there already");
        for (key, status) in [("before", 200), ("again", 200), ("new", 204)] {
            let url = format!("{cache}?key={key}");
            let got = send(&setup, &server, "GET", &url, ("accept", MANIFEST), b"");
            assert_eq!(got.status, status, "{key}");
        }
    }
    assert!(size_of(&setup) <= QUOTA);
}

#[test]
fn the_size_is_known_when_a_server_starts() {
    let setup = setup("[cleanup]\ninterval = '1h'");
    let server = setup.start();
    fill(&setup, &server, "default");
    drop(server);
    for _ in 0..2 {
        let server = setup.start();
        assert_eq!(put_chunk(&setup, &server, "default", 1, 900_000), 507);
        assert_eq!(put_chunk(&setup, &server, "memory", 1, 900_000), 201);
    }
    assert!(size_of(&setup) <= QUOTA);
}
