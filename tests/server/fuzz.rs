//! Requests that nobody would send: made up by a fuzzer from the description of the API, and bytes
//! that are hardly HTTP.

use crate::support::{Answer, Raw, Server, Setup};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Everything is derived from it, unless `BTDT_FUZZ_SEED` says something else: what fails once,
/// fails again.
const SEED: &str = "20260801";

/// Requests for each operation and phase, unless `BTDT_FUZZ_EXAMPLES` says something else.
const EXAMPLES: &str = "15";

/// A server with an entry in both of its caches, whose only chunk is the one of `fuzz.toml`.
fn server_with_entries(setup: &Setup) -> Server {
    let server = setup.start();
    std::fs::create_dir(setup.path("tree")).unwrap();
    std::fs::write(setup.path("tree/file"), "content").unwrap();
    for cache in ["default", "memory"] {
        let cache = server.cache(cache);
        let stored = setup.btdt(&["store", "-c", &cache, "-a", "token", "-k", "key,a/b", "tree"]);
        assert!(stored.status.success(), "{stored:?}");
    }
    server
}

/// Runs the fuzzer; fails with what it printed.
#[track_caller]
fn fuzz(setup: &Setup, server: &Server, token: &str, arguments: &[&str]) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let program = target.join("tools/schemathesis/bin/schemathesis");
    assert!(
        program.is_file(),
        "the fuzzer is not in {}; run `cargo xtask test`, which installs it",
        program.display()
    );
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/server/fuzz.toml");
    let setting = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let seed = setting("BTDT_FUZZ_SEED", SEED);
    let examples = setting("BTDT_FUZZ_EXAMPLES", EXAMPLES);
    let output = Command::new(program)
        .arg("--config-file")
        .arg(config)
        .args(["run", &format!("{}/api/openapi.json", server.url())])
        .args(["--seed", &seed, "--max-examples", &examples, "--no-color"])
        .args(arguments)
        .current_dir(setup.path(""))
        .env("BTDT_FUZZ_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaints}\n{}", errors_of(server));
    // A fuzzer that has found nothing to test would have succeeded as well.
    assert!(text.contains("Tested: 21"), "{text}");
    assert_alive(server);
    assert_eq!(errors_of(server), "");
}

/// What a server complained about in its log.
fn errors_of(server: &Server) -> String {
    let log = server.log();
    log.lines().filter(|line| line.contains(" ERROR ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fuzzer_finds_nothing() {
    let setup = Setup::new("");
    let server = server_with_entries(&setup);
    let token = std::fs::read_to_string(setup.token()).unwrap();
    fuzz(&setup, &server, &token, &["--checks", "all"]);
}

#[test]
fn a_fuzzer_without_a_valid_token_finds_nothing() {
    let setup = Setup::new("");
    let server = server_with_entries(&setup);
    // Nothing is accepted, so there is nothing to say about what should be.
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance,unsupported_method";
    let arguments = ["--phases", "coverage,fuzzing", "--checks", checks];
    fuzz(&setup, &server, "nonsense", &arguments);
}

/// The server answers as if nothing had been.
#[track_caller]
fn assert_alive(server: &Server) {
    let answer = Raw::connect(server.address()).request("GET", "/api/ready", &[], b"").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ready"));
}

/// For servers that shall not wait long for what never comes.
const IMPATIENT: &str = "[limits]\nheader_timeout = '1s'\nbody_timeout = '1s'\nidle_timeout = '1s'";

/// Sends bytes and nothing more, and gives all that comes back until the server closes.
#[track_caller]
fn converse(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(server.address());
    let stream = raw.stream();
    // A server that has heard enough may close before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            panic!("{error}: {:?}", String::from_utf8_lossy(bytes))
        }
        _ => answer,
    }
}

/// Sends all of these, each on a connection of its own, some at the same time: most of the time is
/// spent on waiting until the server has waited long enough.
fn converse_about(server: &Server, all: &[Vec<u8>]) {
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(16)) {
            scope.spawn(move || part.iter().for_each(|bytes| drop(statuses(server, bytes))));
        }
    });
}

/// The statuses of the answers to these bytes.
#[track_caller]
fn statuses(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let answer = converse(server, bytes);
    let text = String::from_utf8_lossy(&answer);
    let statuses: Vec<u16> = text
        .match_indices("HTTP/1.")
        .map(|(at, _)| text[at + 9..at + 12].parse().unwrap())
        .collect();
    for status in &statuses {
        assert!(*status < 500, "{status}: {:?}", String::from_utf8_lossy(bytes));
    }
    statuses
}

/// Small numbers that look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn bytes_that_are_no_http_do_no_harm() {
    let setup = Setup::new(IMPATIENT);
    let server = setup.start();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut garbage = || {
        let length = numbers.below(600);
        (0..length).map(|_| numbers.below(256) as u8).collect()
    };
    let all: Vec<Vec<u8>> = (0..200).map(|_| garbage()).collect();
    converse_about(&server, &all);
    // A TLS handshake, HTTP/2 and a line that never ends.
    statuses(&server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    statuses(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    assert_eq!(statuses(&server, &[b'A'; 200_000]).first().copied().unwrap_or(400) / 100, 4);
    assert_alive(&server);
}

#[test]
fn requests_that_were_damaged_do_no_harm() {
    let setup = Setup::new(IMPATIENT);
    let server = server_with_entries(&setup);
    let token = std::fs::read_to_string(setup.token()).unwrap();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let requests = [
        format!(
            "GET /api/caches/default?key=key&prefix=a HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer {token}\r\naccept: */*;q=0.5\r\naccept-encoding: zstd\r\n\r\n"
        ),
        format!(
            "PUT /api/caches/memory?key=other&label=a%3Db HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\
             content-type: application/x-tar\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
        ),
        format!(
            "POST /api/caches/default/chunks/missing HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer {token}\r\ncontent-length: 64\r\n\r\n{}",
            "0".repeat(64)
        ),
    ];
    for request in requests {
        assert_eq!(statuses(&server, request.as_bytes()).len(), 1, "{request}");
        let mut damaged = || {
            let mut bytes = request.clone().into_bytes();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(bytes.len());
                match numbers.below(4) {
                    0 => bytes[at] = numbers.below(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\r\n\0 %:,;\xff"[numbers.below(9)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            bytes
        };
        let all: Vec<Vec<u8>> = (0..150).map(|_| damaged()).collect();
        converse_about(&server, &all);
    }
    assert_alive(&server);
    assert_eq!(errors_of(&server), "");
}

#[test]
fn odd_targets_have_answers() {
    let setup = Setup::new("");
    let server = server_with_entries(&setup);
    let token = std::fs::read_to_string(setup.token()).unwrap();
    let ask = |method: &str, target: &str, version: &str| {
        let head = format!(
            "{method} {target} {version}\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        statuses(&server, head.as_bytes())
    };
    let many_keys = format!("/api/caches/default?{}", "key=a&".repeat(4000));
    let many_unknown = format!("/api/caches/default?key=key{}", "&x=".repeat(8000));
    let deep = format!("/api/caches/default/entries/{}", "a/".repeat(5000));
    for (target, expected) in [
        ("/api/caches/%", 400),
        ("/api/caches/%zz?key=key", 400),
        ("/api/caches/%ff?key=key", 400),
        ("/api/caches/default?key=%", 400),
        ("/api/caches/default?key=%c3", 400),
        ("/api/caches/default?key=%00", 400),
        ("/api/caches/default/entries/%00", 400),
        ("/api/caches/d%65fault?key=k%65y", 200),
        ("/api/caches/default%2f?key=key", 404),
        ("/api/caches/default/?key=key", 404),
        ("/api/caches//default?key=key", 404),
        ("/api/caches/../caches/default?key=key", 404),
        ("/api/caches/..?key=key", 404),
        ("/api/caches/%2e%2e%2f%2e%2e?key=key", 404),
        ("/api/caches/default/entries/..%2f..%2fx", 404),
        ("/api/caches/default/entries/a/b", 200),
        ("/api/caches/default/entries/a//b", 404),
        ("/api/caches/default/chunks/..%2f", 400),
        ("/api/caches/default?key=key#fragment", 200),
        ("/api/caches/default?&&&=&=x&key=key&key", 200),
        ("/", 404),
        ("//", 404),
        ("/api", 404),
        ("?key=key", 400),
        ("http://elsewhere/api/health", 200),
        ("https://elsewhere:99999/api/health", 200),
        (&many_keys, 400),
        (&many_unknown, 200),
        (&deep, 400),
    ] {
        let short = &target[..target.len().min(80)];
        assert_eq!(ask("GET", target, "HTTP/1.1"), [expected], "{short}");
    }
    for (method, target, expected) in [
        ("OPTIONS", "*", 404),
        ("GET", "*", 404),
        ("CONNECT", "elsewhere:443", 404),
        ("CONNECT", "/api/health", 405),
        ("TRACE", "/api/health", 405),
        ("get", "/api/health", 405),
        ("G@T", "/api/health", 400),
    ] {
        assert_eq!(ask(method, target, "HTTP/1.1"), [expected], "{method} {target}");
    }
    assert_eq!(ask("GET", "/api/health", "HTTP/1.0"), [200]);
    assert_eq!(ask("GET", "/api/health", "HTTP/0.9"), [400]);
    assert_eq!(ask("GET", "/api/health", "HTTP/3.0"), [400]);
    assert_alive(&server);
}

#[test]
fn odd_headers_have_answers() {
    let setup = Setup::new("");
    let server = setup.start();
    let many: String = (0..200).map(|index| format!("x-{index}: y\r\n")).collect();
    for (headers, expected) in [
        // Nothing is switched to.
        ("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n", 200),
        ("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n", 200),
        ("x-request-id: forged\r\nx-request-id: twice\r\n", 200),
        ("x: \u{e9}\r\n", 200),
        ("expect: 100-continue\r\n", 200),
        ("expect: something-else\r\n", 200),
        ("x: a\0b\r\n", 400),
        ("x : y\r\n", 400),
        (": y\r\n", 400),
        ("x: y\r\n folded\r\n", 400),
        ("no colon\r\n", 400),
        (&many, 431),
    ] {
        let request =
            format!("GET /api/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        let answer = converse(&server, request.as_bytes());
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with(&format!("HTTP/1.1 {expected} ")), "{headers:?}: {text}");
        assert!(!text.contains("forged"), "{text}");
    }
    assert_alive(&server);
}

/// Where a proxy before this server and the server disagree about where a request ends, a second
/// request could be hidden in the body of the first one.
#[test]
fn no_request_hides_in_another_one() {
    let setup = Setup::new(IMPATIENT);
    let server = setup.start();
    let hidden = "GET /hidden HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let length = hidden.len();
    for framing in [
        "content-length: 0\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n".to_owned(),
        format!("content-length: {length}\r\ncontent-length: 0\r\n"),
        format!("content-length: {length}, 0\r\n"),
        format!("content-length: +{length}\r\n"),
        "content-length: -1\r\n".to_owned(),
        "content-length: 0x10\r\n".to_owned(),
        "content-length: 99999999999999999999999\r\n".to_owned(),
        "content-length: \r\n".to_owned(),
        "transfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        "transfer-encoding:\x0bchunked\r\n".to_owned(),
    ] {
        let request = format!(
            "POST /api/caches/default/chunks/missing HTTP/1.1\r\nhost: x\r\n{framing}\r\n0\r\n\r\n{hidden}"
        );
        let found = statuses(&server, request.as_bytes());
        assert_eq!(found.len(), 1, "{framing:?} has answers {found:?}");
    }
    assert_alive(&server);
}

/// A client that waits to be asked for its body is asked only if the body is wanted.
#[test]
fn a_body_is_asked_for_only_if_it_is_wanted() {
    let setup = Setup::new("");
    let server = setup.start();
    let token = std::fs::read_to_string(setup.token()).unwrap();
    for (authorization, expected) in [(format!("Bearer {token}"), 100), ("Bearer x".into(), 401)] {
        let mut raw = Raw::connect(server.address());
        let head = format!(
            "POST /api/caches/default/chunks/missing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
             authorization: {authorization}\r\ncontent-length: 65\r\n\r\n"
        );
        raw.send(head.as_bytes()).unwrap();
        let first = raw.answer(expected == 100).unwrap();
        assert_eq!(first.status, expected);
        if expected == 100 {
            raw.send(format!("{}\n", "a".repeat(64)).as_bytes()).unwrap();
            let Answer { status, body, .. } = raw.answer(false).unwrap();
            assert_eq!((status, body.len()), (200, 65));
        }
    }
}
