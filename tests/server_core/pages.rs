//! Pages without a token, unknown URLs, and wrong methods.

use crate::support::{Server, bytes, call, header, json, text};
use btdt_core::http_api::{Body, Page};

#[test]
fn pages_need_no_token() {
    let server = Server::new();
    for (url, page) in [
        ("/api/ready", Page::Readiness),
        ("/metrics", Page::Metrics),
        ("/docs", Page::Docs),
        ("/docs/", Page::Docs),
        ("/api/openapi.json", Page::OpenApi),
    ] {
        let reply = server.expect(200, &call("GET", url).without("authorization"));
        assert!(matches!(reply.body, Body::Page(found) if found == page), "{url}");
        assert_eq!(reply.cache, None);
    }
    let reply = server.expect(200, &call("GET", "/api/health").without("authorization"));
    assert_eq!(text(&reply), "OK");
}

#[test]
fn pages_that_are_not_wanted_are_not_there() {
    let mut server = Server::new();
    server.settings.api_docs = false;
    for url in ["/docs", "/api/openapi.json"] {
        server.expect(404, &call("GET", url));
        server.expect(404, &call("POST", url));
    }
    server.expect(200, &call("GET", "/metrics"));
    server.settings.metrics = false;
    server.expect(404, &call("GET", "/metrics"));
}

#[test]
fn unknown_urls_are_not_found_and_wrong_methods_are_named() {
    let server = Server::new();
    for url in [
        "",
        "/",
        "/api",
        "/api/",
        "/api/caches",
        "/api/caches/",
        "/api/caches//entries",
        "/api/caches/main/",
        "/api/caches/main/chunks",
        "/api/caches/main/chunks/a/b",
        "/api/caches/main/entries/",
        "/api/caches/main/other",
        "/api/health/",
        "//api/health",
        "/API/health",
        "/api/caches/main%2Fentries/x",
    ] {
        for method in ["GET", "PUT", "OPTIONS"] {
            let reply = server.expect(404, &call(method, url));
            assert_eq!(reply.route, "none");
        }
    }
    let digest = "0".repeat(64);
    for (url, allowed) in [
        ("/api/caches/main".to_owned(), "GET, HEAD, PUT"),
        ("/api/caches/main/chunks/missing".to_owned(), "POST"),
        (format!("/api/caches/main/chunks/{digest}"), "GET, HEAD, PUT"),
        ("/api/caches/main/entries".to_owned(), "GET, HEAD"),
        ("/api/caches/main/entries/a/b".to_owned(), "GET, HEAD, DELETE"),
        ("/api/health".to_owned(), "GET, HEAD"),
    ] {
        for method in ["OPTIONS", "TRACE", "PATCH", "get", "", "GET "] {
            let reply = server.expect(405, &call(method, &url).without("authorization"));
            assert_eq!(header(&reply, "allow"), Some(allowed), "{method} {url}");
        }
    }
    server.expect(400, &call("GET", "/api/caches/%zz"));
    server.expect(400, &call("GET", "/api/caches/%ff"));
}

#[test]
fn a_problem_names_the_request() {
    let server = Server::new();
    let reply = server.send(&call("GET", "/nothing").header("x-request-id", "r\"1"));
    assert_eq!(json(&reply)["request_id"], "r\"1");
    let reply = server.send(&call("GET", "/nothing"));
    assert!(json(&reply).get("request_id").is_none());
    assert!(!bytes(&reply).is_empty());
}
