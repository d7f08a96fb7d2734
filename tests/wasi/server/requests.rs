//! What requests are answered: statuses, headers, pages.

use crate::support::{MANIFEST, Setup};

const CACHE: &str = "/api/caches/default";

#[test]
fn pages_and_operation() {
    let server_setup = Setup::new();
    let server = server_setup.start();
    for (target, media_type, text) in [
        ("/api/health", "text/plain; charset=utf-8", "OK"),
        ("/api/ready", "text/plain", "ready"),
        ("/docs", "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("/api/openapi.json", "application/json", "\"openapi\""),
    ] {
        let answer = server.ask("GET", target, &[], b"");
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.header("content-type"), Some(media_type), "{target}");
        assert!(answer.text().to_lowercase().contains(&text.to_lowercase()), "{target}");
        let types = answer.headers.iter().filter(|(name, _)| name == "content-type");
        assert_eq!(types.count(), 1, "{target}");
        let length = answer.body.len().to_string();
        let head = server.ask("HEAD", target, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
        assert_eq!(head.header("content-length"), Some(length.as_str()), "{target}");
        for answer in [answer, head] {
            let id = answer.header("x-request-id").unwrap();
            assert!(id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
            assert_eq!(answer.header("btdt-protocol"), Some("1"), "{target}");
        }
    }
    assert_eq!(server.ask("GET", "/metrics", &[], b"").status, 404);
    assert_eq!(server.end(), "");
}

#[test]
fn without_docs() {
    let mut setup = Setup::new();
    setup.set("BTDT_ENABLE_API_DOCS", "false");
    let server = setup.start();
    for target in ["/docs", "/api/openapi.json"] {
        assert_eq!(server.ask("GET", target, &[], b"").status, 404, "{target}");
    }
}

#[test]
fn statuses() {
    let mut setup = Setup::new();
    setup.make_token("reader", &["--operation", "get", "--cache", "default"]);
    setup.set("BTDT_LIMITS__MAX_MANIFEST_SIZE", "1000");
    setup.set("BTDT_LIMITS__MAX_BODY_SIZE", "2000");
    setup.set("BTDT_LIMITS__MAX_HEADER_SIZE", "10000");
    let server = setup.start();
    let all = setup.bearer("token");
    let reader = setup.bearer("reader");
    let (manifest, tar) = (("content-type", MANIFEST), ("content-type", "application/x-tar"));
    let chunk = format!("{CACHE}/chunks/{}", "0".repeat(64));
    let entry = format!("{CACHE}?key=k");
    let long = "x".repeat(10_000);
    type Case<'case> =
        (&'case str, &'case str, &'case [(&'case str, &'case str)], &'case [u8], u16);
    let cases: &[Case<'_>] = &[
        ("GET", &entry, &[], b"", 401),
        ("GET", &entry, &[("authorization", "Bearer nonsense")], b"", 401),
        ("GET", &entry, &[("authorization", &all)], b"", 204),
        ("GET", "/api/caches/other?key=k", &[("authorization", &all)], b"", 404),
        ("GET", "/api/caches/other?key=k", &[("authorization", &reader)], b"", 403),
        ("PUT", &entry, &[("authorization", &reader), tar], b"x", 403),
        ("PATCH", &entry, &[("authorization", &all)], b"", 405),
        ("BREW", &entry, &[("authorization", &all)], b"", 405),
        ("GET", "/nothing", &[], b"", 404),
        ("GET", CACHE, &[("authorization", &all)], b"", 400),
        ("PUT", &entry, &[("authorization", &all), manifest], &[0; 1001], 413),
        ("PUT", &entry, &[("authorization", &all), manifest], &[0; 10], 422),
        ("PUT", &entry, &[("authorization", &all), tar], &[0; 2001], 413),
        ("PUT", &chunk, &[("authorization", &all)], b"nonsense", 422),
        ("GET", &chunk, &[("authorization", &all)], b"", 404),
        ("GET", &entry, &[("authorization", &all), ("x", &long)], b"", 431),
        (
            "PUT",
            &entry,
            &[("authorization", &all), manifest, ("content-encoding", "gzip")],
            b"nonsense",
            400,
        ),
        (
            "PUT",
            &entry,
            &[("authorization", &all), tar, ("content-encoding", "br")],
            b"nonsense",
            415,
        ),
    ];
    for (method, target, headers, body, expected) in cases {
        let answer = server.ask(method, target, headers, body);
        assert_eq!(answer.status, *expected, "{method} {target}: {}", answer.text());
        if *expected < 400 {
            continue;
        }
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        assert_eq!(answer.header("btdt-protocol"), Some("1"), "{target}");
        let id = format!("\"request_id\":\"{}\"", answer.header("x-request-id").unwrap());
        assert!(answer.text().contains(&id), "{}", answer.text());
    }
    assert_eq!(setup.files_in("keys/"), Vec::<String>::new());
    assert_eq!(setup.files_in("chunks/"), Vec::<String>::new());
    assert_eq!(server.end(), "");
}

#[test]
fn a_connection_serves_many_requests() {
    let setup = Setup::new();
    let server = setup.start();
    let bearer = setup.bearer("token");
    let mut connection = server.connect();
    for number in 0..20 {
        let target = format!("{CACHE}?key={number}");
        let headers = [("authorization", bearer.as_str()), ("x-request-id", "forged")];
        let answer = connection.request("GET", &target, &headers, b"").unwrap();
        assert_eq!(answer.status, 204);
        assert_ne!(answer.header("x-request-id"), Some("forged"));
    }
}
