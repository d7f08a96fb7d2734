//! Peers that want too much: of time, of space, of connections. And peers that lie to the log.

use crate::support::{Raw, Server, Setup, chunked, until};
use btdt_host_runtime::engine::{Core, HostServices, Limits, server as core};
use btdt_host_runtime::{clock, random};
use btdt_ports::{Environment, Severity, Timestamp};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::{BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn health(server: &Server) -> u16 {
    Raw::connect(server.address()).request("GET", "/api/health", &[], b"").unwrap().status
}

/// The head of an upload; `length` is the header that says how long it is.
fn put(setup: &Setup, target: &str, content_type: &str, length: &str) -> Vec<u8> {
    format!(
        "PUT {target} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: {content_type}\r\n\
         {length}\r\n\r\n",
        setup.bearer()
    )
    .into_bytes()
}

fn targets() -> [(String, &'static str); 3] {
    [
        ("/api/caches/default?key=k".to_owned(), "application/x-tar"),
        ("/api/caches/default?key=k".to_owned(), "application/vnd.btdt.manifest+cbor"),
        (format!("/api/caches/default/chunks/{DIGEST}"), "application/octet-stream"),
    ]
}

#[test]
fn slow_heads_are_given_up() {
    let setup = Setup::new("[limits]\nheader_timeout = '1s'\nidle_timeout = '1h'");
    let server = setup.start();
    let mut silent = Raw::connect(server.address());
    let mut partial = Raw::connect(server.address());
    partial.send(b"GET /api/health HTTP/1.1\r\nhost: ").unwrap();
    let mut second = Raw::connect(server.address());
    second.request("GET", "/api/health", &[], b"").unwrap();
    second.send(b"GET /api/he").unwrap();
    let mut slow = Raw::connect(server.address());
    let said = slow.trickle(
        b"GET /api/health HTTP/1.1\r\nhost: x\r\nx-filler: ".iter().copied().chain([b'x'; 500]),
    );
    assert!(said.is_empty(), "{said:?}");
    for raw in [&mut silent, &mut partial, &mut second] {
        assert!(raw.read_to_close().unwrap().is_empty());
    }
    assert_eq!(health(&server), 200);
}

#[test]
fn slow_bodies_are_given_up() {
    let setup = Setup::new("[limits]\nbody_timeout = '1s'");
    let server = setup.start();
    for (target, content_type) in targets() {
        let head = put(&setup, &target, content_type, "content-length: 100000");
        let mut silent = Raw::connect(server.address());
        silent.send(&head).unwrap();
        silent.send(b"abc").unwrap();
        let answer = silent.answer(false).unwrap();
        assert_eq!(answer.status, 408, "{target} {}", answer.text());
        let mut slow = Raw::connect(server.address());
        slow.send(&head).unwrap();
        let said = slow.trickle([0; 1000]);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with("HTTP/1.1 408 "), "{target} {said}");
    }
    until(|| server.running() == 0);
}

#[test]
fn idle_connections_end() {
    let setup = Setup::new("[limits]\nidle_timeout = '1s'");
    let server = setup.start();
    let mut raw = Raw::connect(server.address());
    for _ in 0..2 {
        raw.request("GET", "/api/health", &[], b"").unwrap();
    }
    assert!(raw.read_to_close().unwrap().is_empty());
}

#[test]
fn connections_may_be_idle_for_longer_than_a_head_may_take() {
    let setup = Setup::new("[limits]\nheader_timeout = '1s'\nidle_timeout = '1h'");
    let server = setup.start();
    let mut raw = Raw::connect(server.address());
    raw.request("GET", "/api/health", &[], b"").unwrap();
    raw.stream().set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let waited = raw.reader().read(&mut [0; 1]).unwrap_err();
    assert_eq!(waited.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(raw.request("GET", "/api/health", &[], b"").unwrap().status, 200);
}

#[test]
fn a_thousand_idle_connections_leave_room_for_others() {
    let setup = Setup::new("");
    let command =
        setup.wrapped_server_command("/bin/sh", &["-c", "ulimit -S -n 1024; exec \"$0\" \"$@\""]);
    let server = Server::start(command);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let mut idle: Vec<Raw> = (0..1000).map(|_| Raw::connect(server.address())).collect();
    for raw in idle.iter_mut().step_by(2) {
        assert_eq!(raw.request("GET", "/api/health", &[], b"").unwrap().status, 200);
    }
    setup.random_tree("tree", 8, 100_000);
    let cache = server.cache("default");
    let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", "k", "tree"]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let restored = setup.btdt(&["restore", "-c", &cache, "-a", "token", "-k", "k", "again"]);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert!(server.metric("btdt_connections", &[]) > 1000);
    for mut raw in idle {
        assert_eq!(raw.request("GET", "/api/health", &[], b"").unwrap().status, 200);
    }
    let (_, most) = server.memory();
    assert!(most < 128 << 20, "{most} bytes");
}

#[test]
fn more_connections_than_allowed_are_refused() {
    let setup = Setup::new("[limits]\nmax_connections = 3");
    let server = setup.start();
    let mut open: Vec<Raw> = (0..3).map(|_| Raw::connect(server.address())).collect();
    for raw in &mut open {
        raw.request("GET", "/api/health", &[], b"").unwrap();
    }
    let mut refused = Raw::connect(server.address());
    assert!(refused.read_to_close().unwrap().is_empty());
    let metrics = open[0].request("GET", "/metrics", &[], b"").unwrap().text();
    assert!(metrics.contains("btdt_refused_connections_total 1\n"), "{metrics}");
    drop(open);
    until(|| Raw::connect(server.address()).request("GET", "/api/health", &[], b"").is_ok());
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    let setup = Setup::new("[limits]\nmax_body_size = '100kB'\nmax_manifest_size = '10kB'");
    let server = setup.start();
    // More than the buffers on the way hold: the answer has to get through all the same.
    let body = vec![0; 12 << 20];
    for (target, content_type) in targets() {
        let length = format!("content-length: {}", body.len());
        for (length, body) in [
            (length.as_str(), body.clone()),
            ("transfer-encoding: chunked", chunked(&body, 100_000)),
        ] {
            let mut raw = Raw::connect(server.address());
            raw.send(&put(&setup, &target, content_type, length)).unwrap();
            // The server closes when it has seen enough.
            let _ = raw.send(&body);
            let answer = raw.answer(false).unwrap();
            assert_eq!(answer.status, 413, "{target} {length} {}", answer.text());
        }
    }
    assert_eq!(setup.chunk_files(), [""; 0]);
    until(|| server.running() == 0);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let setup = Setup::new("");
    let server = setup.start();
    let many: String = (0..200).map(|index| format!("x-{index}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(40 << 10));
    for headers in [many, long] {
        let mut raw = Raw::connect(server.address());
        let _ = raw.send(format!("GET /api/health HTTP/1.1\r\n{headers}\r\n").as_bytes());
        assert_eq!(raw.answer(false).unwrap().status, 431);
    }
    let mut raw = Raw::connect(server.address());
    let path = "x".repeat(100 << 10);
    let _ = raw.send(format!("GET /{path} HTTP/1.1\r\n\r\n").as_bytes());
    let status = raw.answer(false).unwrap().status;
    assert!([414, 431].contains(&status), "{status}");
    assert_eq!(health(&server), 200);
}

/// Asks for the archive of the key `k`.
fn asked_archive(setup: &Setup, server: &Server) -> Raw {
    let mut raw = Raw::connect(server.address());
    let bearer = setup.bearer();
    let request = format!(
        "GET /api/caches/default?key=k HTTP/1.1\r\nhost: x\r\naccept: application/x-tar\r\n\
         authorization: {bearer}\r\n\r\n"
    );
    raw.send(request.as_bytes()).unwrap();
    raw
}

/// The same when the server has begun to send it, so that it has its turn.
fn sent_archive(setup: &Setup, server: &Server) -> Raw {
    let mut raw = asked_archive(setup, server);
    assert!(!raw.reader().fill_buf().unwrap().is_empty());
    raw
}

#[test]
fn a_reader_that_does_not_read_is_given_up() {
    let setup = Setup::new("[limits]\nbody_timeout = '1s'\nmax_transfers = 1");
    let server = setup.start();
    fs::create_dir(setup.path("tree")).unwrap();
    fs::write(setup.path("tree/zeros"), vec![0; 100 << 20]).unwrap();
    let cache = server.cache("default");
    let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", "k", "tree"]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let mut lazy = sent_archive(&setup, &server);
    // It has the only turn, so that this one waits until it is given up.
    let answer = asked_archive(&setup, &server).answer(false).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.body.len() > 100 << 20);
    assert!(lazy.answer(false).is_err(), "all of it arrived");
    until(|| server.running() == 0);
}

#[test]
fn an_archive_that_waits_is_what_is_stored_when_its_turn_comes() {
    let setup = Setup::new("[limits]\nmax_transfers = 1");
    let server = setup.start();
    let cache = server.cache("default");
    fs::create_dir(setup.path("tree")).unwrap();
    let store = |content: &[u8]| {
        fs::write(setup.path("tree/file"), content).unwrap();
        let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", "k", "tree"]);
        assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    };
    store(&vec![0; 100 << 20]);
    let lazy = sent_archive(&setup, &server);
    let mut waiting = asked_archive(&setup, &server);
    until(|| server.running() == 2);
    store(b"newer than the request");
    drop(lazy);
    let answer = waiting.answer(false).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("newer than the request"), "{} bytes", answer.body.len());
    until(|| server.running() == 0);
}

#[test]
fn slow_senders_do_not_keep_the_memory_from_others() {
    let setup = Setup::new("");
    let server = setup.start();
    // Each may become as large as a chunk can be, and more of them than fit are on their way.
    let slow: Vec<Raw> = (0..64)
        .map(|_| {
            let target = format!("/api/caches/default/chunks/{DIGEST}");
            let mut raw = Raw::connect(server.address());
            let head = put(&setup, &target, "application/octet-stream", "content-length: 4000000");
            raw.send(&head).unwrap();
            raw.send(&[0; 100 << 10]).unwrap();
            raw
        })
        .collect();
    until(|| server.running() == 64);
    setup.random_tree("tree", 8, 1_000_000);
    let cache = server.cache("default");
    let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", "k", "tree"]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    drop(slow);
    until(|| server.running() == 0);
}

#[test]
fn log_lines_cannot_be_forged() {
    for format in ["text", "json"] {
        let setup = Setup::new(&format!("[log]\nlevel = 'debug'\nformat = '{format}'"));
        let server = setup.start();
        let bearer = setup.bearer();
        let authorization = format!("authorization: {bearer}\r\n");
        let lines = [
            "GET /api/caches/x%0a2026-01-01T00:00:00Z%20ERROR%20forged HTTP/1.1".to_owned(),
            "GET /api/caches/default?key=a%0d%0a2026%20ERROR%20forged HTTP/1.1".to_owned(),
            "PUT /api/caches/default?key=%1b%5b31mforged%0aERROR&key=%e2%80%a8forged HTTP/1.1".to_owned(),
            "PUT /api/caches/default?key=ok&label=a%3d%0aforged HTTP/1.1\r\ncontent-type: a\"b\u{85}forged".to_owned(),
            "GET /\u{2028}ERROR\u{85}forged HTTP/1.1".to_owned(),
            "GET /\"status=200\"forged=\\ HTTP/1.1".to_owned(),
            "FORGED|METHOD`~ /api/health HTTP/1.1".to_owned(),
            "GET /api/health HTTP/1.1\r\nx-request-id: forged\r\nuser-agent: a\tforged\u{1b}[31m".to_owned(),
        ];
        for line in &lines {
            let mut raw = Raw::connect(server.address());
            raw.send(
                format!("{line}\r\nhost: x\r\n{authorization}content-length: 0\r\n\r\n").as_bytes(),
            )
            .unwrap();
            let _ = raw.answer(false);
        }
        let answer = Raw::connect(server.address()).request("GET", "/last", &[], b"").unwrap();
        assert_eq!(answer.status, 404);
        server.await_log("/last");
        let log = server.log();
        for line in log.lines() {
            let starts = if format == "json" { "{\"timestamp\":\"20" } else { "20" };
            assert!(line.starts_with(starts), "{line:?}");
            assert!(!line.contains(['\u{1b}', '\u{85}', '\u{2028}', '\r']), "{line:?}");
            if format == "text" {
                // The level, and no word that would look like one of the server's own.
                let level = line.split_whitespace().nth(1).unwrap();
                assert!(["INFO", "WARN", "DEBUG"].contains(&level), "{line:?}");
                assert!(!line.contains(" forged="), "{line:?}");
            }
        }
        assert!(!log.contains(bearer.trim_start_matches("Bearer ")), "a token is in the log");
    }
}

#[test]
fn a_key_cannot_forge_fields_of_the_log() {
    let key = "a WARN forged request_id=deadbeef status=200 \" x=\\";
    for format in ["text", "json"] {
        let setup = Setup::new(&format!("[log]\nformat = '{format}'"));
        let server = setup.start();
        let cache = server.cache("default");
        setup.random_tree("tree", 1, 100);
        let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", key, "tree"]);
        assert_eq!(stored.status.code(), Some(0), "{stored:?}");
        let manifests: Vec<String> =
            setup.cache_files().into_iter().filter(|file| file.starts_with("manifests/")).collect();
        assert_eq!(manifests.len(), 1);
        fs::remove_file(setup.path("cache").join(&manifests[0])).unwrap();
        let restored = setup.btdt(&["restore", "-c", &cache, "-a", "token", "-k", key, "again"]);
        assert_eq!(restored.status.code(), Some(4), "{restored:?}");
        server.await_log("deadbeef");
        let log = server.log();
        let line = log.lines().find(|line| line.contains("deadbeef")).unwrap();
        if format == "json" {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["said"].as_str().unwrap().contains(key), "{line}");
            assert_eq!((value.get("status"), value.get("request_id")), (None, None));
        } else {
            let (_, said) = line.split_once("WARN  said=\"").unwrap();
            let said = said.strip_suffix('"').unwrap();
            assert!(said.contains("forged request_id=deadbeef status=200 \\\" x=\\\\"), "{line}");
            let inside = said.replace("\\\\", "").replace("\\\"", "");
            assert!(!inside.contains(['"', '\\']), "the quotes end only with the line: {line}");
        }
    }
}

struct Nowhere;

impl Environment for Nowhere {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn random(&self) -> u64 {
        random::random()
    }

    fn log(&self, _: Severity, _: &str) {}
}

#[test]
fn a_core_that_computes_for_too_long_is_stopped() {
    let core = Core::embedded_pooled(1).unwrap();
    let done = AtomicBool::new(false);
    let services = || HostServices::of_client(Arc::new(Nowhere));
    let settings = core::Settings { api_docs: true, metrics: true, max_manifest: 1 << 20 };
    let request = core::Request {
        method: "POST".to_owned(),
        path: "/api/caches/a/chunks/missing".to_owned(),
        query: None,
        headers: Vec::new(),
    };
    let body = format!("{DIGEST}\n").repeat(100_000).into_bytes();
    let started = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            started.store(true, Ordering::Relaxed);
            while !done.load(Ordering::Relaxed) {
                core.tick();
            }
        });
        let limits = Limits { memory: 64 << 20, ticks: 1 };
        until(|| started.load(Ordering::Relaxed));
        // Instantiation may be stopped already.
        let answer = core
            .limited_session(services(), limits)
            .and_then(|session| session.with_bytes(&request, settings, &body));
        done.store(true, Ordering::Relaxed);
        assert!(answer.is_err_and(|trap| trap.to_string().contains("longer than allowed")));
    });
    let answer = core
        .limited_session(services(), Limits { memory: 64 << 20, ticks: 1000 })
        .and_then(|session| session.with_bytes(&request, settings, &body));
    assert!(answer.is_ok(), "the next instance is not affected");
}
