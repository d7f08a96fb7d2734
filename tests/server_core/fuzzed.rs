//! Whatever a client sends, the response is documented, and never 5xx.

use crate::support::{Call, Sent, Server, call, chunk, file};
use btdt_core::protocol::MANIFEST_TYPE;
use proptest::prelude::*;

fn segment() -> impl Strategy<Value = String> {
    let known = [
        "api",
        "caches",
        "main",
        "other",
        "chunks",
        "missing",
        "entries",
        "health",
        "ready",
        "docs",
        "metrics",
        "openapi.json",
        "",
        "%2F",
        "..",
        "%",
        "%zz",
        "k",
        "a,b",
    ];
    let mut known: Vec<String> = known.map(str::to_owned).into();
    known.extend(["0".repeat(64), chunk(b"content").0.to_hex(), "k".repeat(600)]);
    prop_oneof![6 => prop::sample::select(known), 1 => "\\PC{0,8}"]
}

fn path() -> impl Strategy<Value = String> {
    let tail = prop::collection::vec(segment(), 0..4);
    let free = prop::collection::vec(segment(), 0..6);
    prop_oneof![
        4 => tail.prop_map(|tail| format!("/api/caches/main/{}", tail.join("/"))),
        2 => Just("/api/caches/main".to_owned()),
        1 => free.prop_map(|free| format!("/{}", free.join("/"))),
        1 => "\\PC{0,20}",
    ]
}

fn query() -> impl Strategy<Value = Option<String>> {
    let name = prop_oneof![
        6 => prop::sample::select(vec!["key", "prefix", "limit", "after", "verify", "label"]).prop_map(str::to_owned),
        1 => "\\PC{0,5}",
    ];
    let value = prop_oneof![
        3 => prop::sample::select(vec!["k", "ci/1", "", "1", "true", "a%3Db", "%C3%A9", "%FF", "+"]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    let pairs = prop::collection::vec((name, value), 0..5);
    prop::option::of(pairs.prop_map(|pairs| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }))
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec![
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "range",
        "if-none-match",
        "btdt-tool",
        "x-request-id",
        "user-agent",
    ]);
    let known = vec![
        MANIFEST_TYPE,
        "*/*",
        "text/html;q=0.5",
        "zstd, gzip;q=0.1",
        "bytes=0-3",
        "bytes=-0",
        "*",
        "application/x-tar",
        "5",
        "18446744073709551615",
        "q=0",
        ";;,,=",
        "identity;q=0",
    ];
    let value = prop_oneof![
        3 => prop::sample::select(known).prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ];
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..4)
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        Just(Sent::Cut),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Sent::Bytes),
        Just(Sent::Bytes(chunk(b"content").1)),
        Just(Sent::Bytes("0".repeat(64).into_bytes())),
        ("[a/.]{0,5}", "[a/.]{0,5}").prop_map(|(first, second)| {
            Sent::Archive(vec![file(&first, b"x"), file(&second, b"y")], None)
        }),
    ]
}

fn any_call() -> impl Strategy<Value = Call> {
    let method = prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", ""]);
    let token =
        prop::sample::select(vec!["all", "all", "all", "key=ci/", "op=get", "forged", "expired"]);
    (method, path(), query(), headers(), token, sent()).prop_map(
        |(method, path, query, headers, token, sent)| {
            let mut call = call(method, "").token(token);
            call.request.path = path;
            call.request.query = query;
            call.request.headers.extend(headers);
            call.sent = sent;
            call
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered(calls in prop::collection::vec(any_call(), 1..40)) {
        let server = Server::new();
        server.store_file("k", b"content");
        server.store_file("ci/1", b"other content");
        for call in calls {
            let call = match (&call.sent, call.request.method.as_str()) {
                // The harness sends bytes where bytes are expected.
                (Sent::Cut | Sent::Archive(..), "POST") => Call { sent: Sent::Bytes(vec![]), ..call },
                (Sent::Cut | Sent::Archive(..), "PUT")
                    if call.request.header("content-type") == Some(MANIFEST_TYPE) =>
                {
                    Call { sent: Sent::Bytes(vec![]), ..call }
                }
                _ => call,
            };
            let reply = server.send(&call);
            prop_assert!(reply.status < 500, "{:?}: {}", call.request, reply.status);
            let allowed = reply.status < 400;
            let token = call.request.headers.iter().find(|(name, _)| name == "authorization");
            let invalid = token.is_some_and(|(_, value)| value.contains("forged") || value.contains("expired"));
            if call.request.path.starts_with("/api/caches/") {
                prop_assert!(!(allowed && invalid), "{:?}", call.request);
            }
        }
    }
}
