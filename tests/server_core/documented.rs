//! The documentation matches the routes, and every documented response occurs.

use crate::support::{Call, Sent, Server, broken, call, chunk, openapi};
use btdt_core::http_api::ROUTES;
use btdt_core::protocol::MANIFEST_TYPE;
use btdt_ports::{ArchiveFault, IoError, IoErrorKind, ObjectKind};
use serde_json::Value;
use std::collections::BTreeSet;

/// Template, method and status.
type Answers = BTreeSet<(String, String, u16)>;

fn documented() -> Answers {
    let mut answers = Answers::new();
    for (template, item) in openapi()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "parameters" {
                let statuses = operation["responses"].as_object().unwrap().keys();
                answers.extend(
                    statuses
                        .map(|status| (template.clone(), method.clone(), status.parse().unwrap())),
                );
            }
        }
    }
    answers
}

#[test]
fn every_route_and_method_is_documented_and_no_other() {
    let documented: BTreeSet<_> =
        documented().into_iter().map(|(template, method, _)| (template, method)).collect();
    let known: BTreeSet<_> = ROUTES
        .iter()
        .flat_map(|route| {
            let methods = route.methods.split(", ").map(str::to_ascii_lowercase);
            methods.map(|method| (route.template.to_owned(), method))
        })
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn every_reference_of_the_documentation_leads_somewhere() {
    fn check(value: &Value, document: &Value, count: &mut u32) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    *count += 1;
                }
                members.values().for_each(|value| check(value, document, count));
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, document, count)),
            _ => {}
        }
    }
    let (document, mut count) = (openapi(), 0);
    check(&document, &document, &mut count);
    assert!(count > 100);
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values().filter(|value| value.is_object()) {
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
}

/// Requests that cause every response which does not take a failing cache.
fn calls() -> Vec<Call> {
    let (digest, stored) = chunk(b"content");
    let chunk_url = format!("/api/caches/main/chunks/{}", digest.to_hex());
    let entry = "/api/caches/main?key=k";
    let mut calls = vec![
        call("PUT", &chunk_url).bytes(stored.clone()),
        call("PUT", &chunk_url).bytes(stored.clone()),
        call("PUT", &chunk_url).bytes("nonsense"),
        call("PUT", &chunk_url).bytes(vec![0; 5 << 20]),
        call("PUT", &chunk_url).header("content-encoding", "gzip"),
        call("GET", &chunk_url).header("range", "bytes=1-"),
        call("GET", &chunk_url).header("range", "bytes=99999-"),
        call("GET", &format!("/api/caches/main/chunks/{}", "0".repeat(64))),
        call("PUT", entry).archive(vec![]),
        call("PUT", entry).broken_archive(vec![], ArchiveFault::Truncated),
        call("PUT", entry).broken_archive(vec![], ArchiveFault::TooLarge),
        call("PUT", entry).broken_archive(vec![], ArchiveFault::Interrupted(broken())),
        call("PUT", entry).header("content-type", "text/html"),
        call("GET", "/api/caches/main?key=none"),
        call("HEAD", "/api/caches/main?key=none"),
    ];
    for method in ["GET", "HEAD"] {
        for url in [&chunk_url, entry] {
            calls.push(call(method, url));
            calls.push(call(method, url).header("if-none-match", "*"));
        }
        calls.push(call(method, entry).header("accept", "text/html"));
        for url in ["/api/caches/main/entries", "/api/caches/main/entries/k"] {
            calls.push(call(method, url));
        }
        for url in ["/api/health", "/api/ready", "/metrics", "/docs", "/api/openapi.json"] {
            calls.push(call(method, url));
        }
    }
    let missing = "/api/caches/main/chunks/missing";
    calls.extend([
        call("POST", missing).bytes(""),
        call("POST", missing).bytes("x"),
        call("POST", missing).header("content-length", "99999999"),
        call("POST", missing).header("content-type", "text/html"),
    ]);
    for (template, method) in ROUTES
        .iter()
        .flat_map(|route| route.methods.split(", ").map(|method| (route.template, method)))
    {
        if template.contains("{cache}") {
            let url = template.replace("{key}", "none").replace("{digest}", &"0".repeat(64));
            let known = url.replace("{cache}", "main") + "?key=k";
            calls.push(call(method, &known).without("authorization"));
            calls.push(call(method, &known).token("op=none"));
            calls.push(call(method, &(url.replace("{cache}", "none") + "?key=k")));
            calls.push(call(method, &(url.replace("{cache}", "main") + "?key=%00&limit=0")));
            calls.push(call(
                method,
                &template
                    .replace("{cache}", "main")
                    .replace("{key}", "%00")
                    .replace("{digest}", "x"),
            ));
        }
    }
    calls.push(call("DELETE", "/api/caches/main/entries/k"));
    calls
}

/// Responses that take a failing cache, a busy host, or a race.
fn calls_to_a_failing_cache(server: &Server) {
    let (digest, stored) = chunk(b"content");
    let chunk_url = format!("/api/caches/main/chunks/{}", digest.to_hex());
    let put = call("PUT", "/api/caches/main?key=k");
    for kind in [IoErrorKind::NoSpace, IoErrorKind::Other] {
        let fault = ArchiveFault::Sink(IoError::new(kind));
        server.send(&put.clone().broken_archive(vec![], fault));
        server.shelf.fault.set(Some(kind));
        server.send(&call("PUT", &chunk_url).bytes(stored.clone()));
        server.send(&call("GET", &chunk_url));
        server.send(&call("HEAD", &chunk_url));
        server.send(&call("POST", "/api/caches/main/chunks/missing").bytes(digest.to_hex()));
        server.shelf.fault.set(None);
    }
    // The manifest of a tree with a missing chunk.
    let manifest = server.store_file("m", b"other content");
    let encoded =
        btdt_ports::Objects::get(server.storage(), ObjectKind::Manifest, manifest, u64::MAX)
            .unwrap();
    let empty = Server::new();
    empty.send(&put.header("content-type", MANIFEST_TYPE).bytes(encoded));
    server.seen.borrow_mut().append(&mut empty.seen.borrow_mut());
}

#[test]
fn every_documented_answer_is_given() {
    let mut server = Server::new();
    for call in calls() {
        let call = match call.sent {
            Sent::Nothing if call.request.method != "GET" => {
                Call { sent: Sent::Bytes(vec![]), ..call }
            }
            _ => call,
        };
        server.send(&call);
    }
    calls_to_a_failing_cache(&server);
    server.settings.api_docs = false;
    server.settings.metrics = false;
    for url in ["/metrics", "/docs", "/api/openapi.json"] {
        for method in ["GET", "HEAD"] {
            // A disabled page reports no route, so it is added here.
            assert_eq!(server.send(&call(method, url)).status, 404);
            let place = (url.to_owned(), method.to_ascii_lowercase(), 404);
            server.seen.borrow_mut().insert(place);
        }
    }
    let seen = server.seen.into_inner();
    let missing: Vec<_> = documented()
        .into_iter()
        // These come from the host: a slow client, too large a head, a server that is not ready.
        // Others take a race, a cache that cannot list its records, or a disk too full for a rename.
        .filter(|(template, _, status)| {
            let unreachable = match status {
                408 | 431 | 503 => true,
                500 => !template.contains("/chunks"),
                507 => template.ends_with("/missing"),
                _ => false,
            };
            !unreachable
        })
        .filter(|answer| !seen.contains(answer))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_page_for_people_loads_nothing_from_elsewhere() {
    let page = include_str!("../../host-runtime/src/server_common/pages/docs.html");
    for outside in ["http:", "https:", "src=", "//cdn", "@import", "url(", "innerHTML"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("/api/openapi.json"));
}
