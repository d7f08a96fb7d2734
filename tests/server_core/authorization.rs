//! Absent, invalid, expired and limited tokens, and what they reveal.

use crate::support::{Call, Server, call, header, json, text};
use btdt_core::http_api::ROUTES;

/// A request for each method of each route that needs a token.
fn guarded(cache: &str) -> Vec<Call> {
    let digest = "0".repeat(64);
    let mut calls = Vec::new();
    for route in ROUTES.iter().filter(|route| route.template.contains("{cache}")) {
        let path = route.template.replace("{cache}", cache);
        let path = path.replace("{digest}", &digest).replace("{key}", "secret");
        for method in route.methods.split(", ") {
            calls.push(call(method, &format!("{path}?key=secret")));
        }
    }
    assert_eq!(calls.len(), 12);
    calls
}

#[test]
fn whoever_has_no_valid_token_gets_401_and_learns_nothing() {
    let server = Server::new();
    server.store_file("secret", b"content");
    let long = format!("Bearer {}", "x".repeat(20_000));
    for (known, unknown) in guarded("main").into_iter().zip(guarded("other")) {
        let absent = |call: &Call| call.clone().without("authorization");
        let mut pairs = vec![(absent(&known), absent(&unknown))];
        for value in ["", "Bearer", "Bearer ", "Basic all", "all", "Bearerall", &long] {
            let with = |call: &Call| absent(call).header("authorization", value);
            pairs.push((with(&known), with(&unknown)));
        }
        let twice = |call: &Call| call.clone().header("authorization", "Bearer all");
        pairs.push((twice(&known), twice(&unknown)));
        for token in ["forged", "malformed", "revoked", "expired"] {
            pairs.push((known.clone().token(token), unknown.clone().token(token)));
        }
        for (known, unknown) in pairs {
            let replies = [server.expect(401, &known), server.expect(401, &unknown)];
            assert_eq!(text(&replies[0]), text(&replies[1]));
            assert!(header(&replies[0], "www-authenticate").unwrap().starts_with("Bearer"));
            assert_eq!(replies[0].cache, None, "not counted for a cache");
        }
    }
}

#[test]
fn whoever_is_not_allowed_gets_403_and_learns_nothing() {
    let server = Server::new();
    server.store_file("secret", b"content");
    for (known, unknown) in guarded("main").into_iter().zip(guarded("other")) {
        for token in ["op=none", "cache=third", "key=public", "op=get;key=public;expired"] {
            let replies =
                [known.clone(), unknown.clone()].map(|call| server.expect(403, &call.token(token)));
            assert_eq!(text(&replies[0]), text(&replies[1]));
            assert_eq!(replies[0].cache, None);
        }
    }
}

#[test]
fn whoever_is_allowed_learns_that_a_cache_is_unknown() {
    let server = Server::new();
    for unknown in guarded("other") {
        let reply = server.expect(404, &unknown);
        assert_eq!(reply.cache, None, "nobody makes up names for metrics");
    }
}

#[test]
fn each_operation_needs_its_own_permission() {
    let server = Server::new();
    server.store_file("secret", b"content");
    for call in guarded("main") {
        let path = &call.request.path;
        let needed: &[&str] = match call.request.method.as_str() {
            "PUT" => &["put"],
            // Stores as well as restores ask what is missing.
            "POST" => &["get", "put"],
            "DELETE" => &["delete"],
            _ if path.ends_with("/entries") => &["list"],
            _ if path.contains("/entries/") => &["get", "list"],
            _ => &["get"],
        };
        for operation in ["get", "put", "list", "delete"] {
            // Not sent: other tests cover what follows the decision.
            let call = call.clone().token(&format!("op={operation}")).bytes("");
            let call = if path.ends_with("main") { call.archive(vec![]) } else { call };
            let refused = server.send(&call).status == 403;
            assert_eq!(refused, !needed.contains(&operation), "{operation}: {:?}", call.request);
        }
    }
}

#[test]
fn the_scheme_may_be_written_in_any_case() {
    let server = Server::new();
    let call = call("GET", "/api/caches/main?key=k").without("authorization");
    for value in ["bearer all", "BEARER  all ", "Bearer all"] {
        server.expect(204, &call.clone().header("authorization", value));
    }
}

#[test]
fn permission_comes_before_everything_else_about_a_request() {
    let server = Server::new();
    for (method, name, value) in [
        ("GET", "accept", "text/html"),
        ("GET", "accept-encoding", "*;q=0"),
        ("PUT", "content-type", "text/html"),
        ("PUT", "content-encoding", "br"),
    ] {
        let call = call(method, "/api/caches/main?key=k").header(name, value);
        server.expect(403, &call.token("op=none"));
    }
}

#[test]
fn keys_that_a_token_may_not_read_are_not_seen() {
    let server = Server::new();
    server.store_file("secret/1", b"secret");
    server.store_file("ci/1", b"old");
    server.store_file("ci/2", b"new");
    server.store_file("secret/2", b"secret");
    let get = |query: &str| call("GET", &format!("/api/caches/main?{query}")).token("key=ci/");
    let key = |query: &str| {
        let reply = server.expect(200, &get(query));
        header(&reply, "btdt-cache-key").unwrap().to_owned()
    };
    assert_eq!(key("key=secret/1&key=ci/1"), "ci/1");
    assert_eq!(key("prefix=ci/"), "ci/2");
    assert_eq!(key("prefix=secret&prefix=c"), "ci/2", "also below a shorter prefix");
    assert_eq!(key("prefix="), "ci/2");
    server.expect(204, &get("key=secret/1&key=ci/9"));
    server.expect(204, &get("prefix=ci/9"));
    for query in ["key=secret/1", "key=secret/9", "prefix=secret", "prefix=x", "key=x&prefix=y"] {
        server.expect(403, &get(query));
    }
    // A prefix does not reveal whether a cache exists.
    let unknown = call("GET", "/api/caches/other?prefix=x").token("key=ci/");
    let denied = call("GET", "/api/caches/main?prefix=x").token("key=ci/");
    for accept in ["*/*", "text/html"] {
        let replies =
            [&unknown, &denied].map(|call| server.send(&call.clone().header("accept", accept)));
        assert_eq!(replies[0].status, replies[1].status);
        assert_eq!(text(&replies[0]), text(&replies[1]));
    }
}

#[test]
fn each_key_that_is_found_is_authorized_once() {
    let server = Server::new();
    let keys: Vec<String> = (0..40).map(|index| format!("ci/{index:02}")).collect();
    for key in &keys {
        server.store_file(key, b"content");
    }
    let asked = |query: &str, token: &str| {
        server.authority.asked.take();
        let reply = server.send(&call("GET", &format!("/api/caches/main?{query}")).token(token));
        (reply.status, server.authority.asked.take())
    };
    let each_once = |asked: &[Option<String>]| {
        let of = |key: &String| asked.iter().filter(|other| other.as_ref() == Some(key)).count();
        keys.iter().all(|key| of(key) == 1)
    };
    // None is allowed.
    let prefixes = "key=ci/07&prefix=ci/0&prefix=ci/&prefix=c&prefix=ci/1&prefix=";
    let (status, keys_asked) = asked(prefixes, "key=x");
    assert!(status == 403 && each_once(&keys_asked), "{status} {keys_asked:?}");
    assert_eq!(keys_asked.len(), keys.len() + 5);
    // All are allowed, but unwanted, which differs from none existing.
    let not: String = keys.iter().map(|key| format!("&not={key}")).collect();
    let (status, keys_asked) = asked(&format!("{prefixes}{not}"), "all");
    assert!(status == 204 && each_once(&keys_asked), "{status} {keys_asked:?}");
    // An unusable entry below one prefix is not tried again; others are.
    let (status, keys_asked) = asked("prefix=ci/3&prefix=ci/2&prefix=ci&not=ci/39", "key=ci/2");
    assert_eq!((status, keys_asked.len()), (200, 3 + 10 + 10));
    // A token for unwanted keys only may learn that there is nothing else.
    let (status, _) = asked("prefix=ci/&not=ci/05", "key=ci/05");
    assert_eq!(status, 204);
}

#[test]
fn one_key_that_a_token_may_not_write_refuses_the_whole() {
    let server = Server::new();
    let put = |query: &str| {
        call("PUT", &format!("/api/caches/main?{query}")).token("key=ci/").archive(vec![])
    };
    server.expect(403, &put("key=ci/1&key=other"));
    server.expect(403, &put("key=other&key=ci/1"));
    server.expect(204, &call("GET", "/api/caches/main?key=ci/1"));
    server.expect(204, &put("key=ci/1&key=ci/2"));
    server.expect(200, &call("GET", "/api/caches/main?key=ci/2"));
    for (method, url) in [("POST", "missing".to_owned()), ("PUT", "0".repeat(64))] {
        let url = format!("/api/caches/main/chunks/{url}");
        let send = |query: &str| {
            server.send(&call(method, &format!("{url}?{query}")).token("key=ci/").bytes("")).status
        };
        assert_eq!(send("key=ci/1&key=other"), 403);
        assert_eq!(send(""), 403);
        assert!([200, 422].contains(&send("key=ci/1")));
    }
}

#[test]
fn an_expired_token_says_so() {
    let server = Server::new();
    let reply = server.expect(401, &call("GET", "/api/caches/main?key=k").token("expired"));
    assert!(json(&reply)["detail"].as_str().unwrap().contains("expired"));
    assert!(header(&reply, "www-authenticate").unwrap().contains("invalid_token"));
}
