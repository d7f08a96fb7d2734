//! Listing, showing and deleting entries.

use crate::support::{Server, call, json, text};
use btdt_ports::Records;
use serde_json::Value;

const LIST: &str = "/api/caches/main/entries";

fn keys(page: &Value) -> Vec<String> {
    let entries = page["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["key"].as_str().unwrap().to_owned()).collect()
}

fn server(names: &[&str]) -> Server {
    let server = Server::new();
    for name in names {
        server.store_file(name, name.as_bytes());
    }
    server
}

/// The keys on all pages. Checks that each but the last is full.
fn pages(server: &Server, query: &str, limit: usize, token: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let url = format!("{LIST}?limit={limit}{query}{after}");
        let page = json(&server.expect(200, &call("GET", &url).token(token)));
        let keys = keys(&page);
        assert!(keys.len() <= limit);
        let count = keys.len();
        found.extend(keys);
        match page.get("next") {
            None => return found,
            Some(next) => {
                assert_eq!(count, limit);
                assert_eq!(next, found.last().unwrap());
                after = format!("&after={}", next.as_str().unwrap().replace('/', "%2F"));
            }
        }
    }
}

#[test]
fn a_list_comes_in_pages() {
    let names: Vec<String> = (0..600).map(|index| format!("ci/{index:03}")).collect();
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.push("other");
    let server = server(&all);
    assert_eq!(pages(&server, "", 1000, "all"), all);
    for limit in [1, 7, 256, 300, 600] {
        assert_eq!(pages(&server, "&prefix=ci/", limit, "all"), names);
    }
    assert_eq!(pages(&server, "&prefix=ci/00", 4, "key=ci/"), names[..10]);
    assert_eq!(pages(&server, "", 50, "key=ci/1"), names[100..200]);
    assert_eq!(keys(&json(&server.expect(200, &call("GET", LIST)))).len(), 601);
    let long = format!("{LIST}?limit=99999999999");
    server.expect(200, &call("GET", &long));
    for query in ["limit=0", "limit=-1", "limit=x", "after=a,b", "prefix=a&prefix=b"] {
        server.expect(400, &call("GET", &format!("{LIST}?{query}")));
    }
}

#[test]
fn keys_that_a_token_may_not_list_are_not_seen() {
    let server = server(&["a", "ci/1", "ci/2", "z"]);
    assert_eq!(pages(&server, "", 1, "key=ci/"), ["ci/1", "ci/2"]);
    assert_eq!(pages(&server, "&prefix=c", 9, "key=ci/"), ["ci/1", "ci/2"]);
    assert_eq!(pages(&server, "&prefix=ci/9", 9, "key=ci/"), [""; 0]);
    for query in ["prefix=a", "prefix=x"] {
        server.expect(403, &call("GET", &format!("{LIST}?{query}")).token("key=ci/"));
    }
    server.expect(403, &call("GET", LIST).token("op=get"));
    server.expect(401, &call("GET", LIST).token("expired"));
}

#[test]
fn an_entry_is_shown_with_all_that_is_known() {
    let server = server(&["a/b é", "b"]);
    server.pass(90);
    server.expect(200, &call("GET", "/api/caches/main?key=a/b+%C3%A9"));
    for url in ["a/b%20é", "a%2Fb%20%C3%A9"] {
        let shown =
            json(&server.expect(200, &call("GET", &format!("{LIST}/{url}")).token("op=get")));
        assert_eq!(shown["key"], "a/b é");
        assert_eq!(shown["created"], "1970-01-12T13:46:41.000Z");
        assert_eq!(shown["last_access"], "1970-01-12T13:48:12.000Z");
        assert_eq!((&shown["files"], &shown["raw_size"]), (&1.into(), &6.into()));
        assert_eq!(shown["manifest"].as_str().unwrap().len(), 64);
        assert_eq!((&shown["tool"], &shown["labels"]), (&"test 1".into(), &serde_json::json!({})));
        let listed = json(&server.expect(200, &call("GET", LIST)));
        assert_eq!(listed["entries"][0], shown);
    }
    server.expect(200, &call("HEAD", &format!("{LIST}/b")).token("op=list"));
    for method in ["GET", "HEAD", "DELETE"] {
        server.expect(404, &call(method, &format!("{LIST}/c")));
        server.expect(400, &call(method, &format!("{LIST}/a,b")));
        server.expect(400, &call(method, &format!("{LIST}/%0a")));
        server.expect(400, &call(method, &format!("{LIST}/%zz")));
    }
}

#[test]
fn an_entry_is_deleted_once() {
    let server = server(&["a/b", "c"]);
    let url = format!("{LIST}/a/b");
    server.expect(403, &call("DELETE", &url).token("op=put"));
    server.expect(403, &call("DELETE", &url).token("key=c"));
    server.expect(204, &call("DELETE", &url).token("op=delete;key=a/"));
    server.expect(404, &call("DELETE", &url));
    server.expect(204, &call("GET", "/api/caches/main?key=a/b"));
    assert_eq!(pages(&server, "", 9, "all"), ["c"]);
    // Unusable entries can be deleted, too.
    Records::put(server.storage(), "c", b"nonsense").unwrap();
    server.expect(404, &call("GET", &format!("{LIST}/c")));
    assert!(server.warnings()[0].contains("damaged"));
    assert_eq!(pages(&server, "", 9, "all"), [""; 0]);
    server.expect(204, &call("DELETE", &format!("{LIST}/c")));
    server.expect(404, &call("DELETE", &format!("{LIST}/c")));
}

#[test]
fn what_a_key_contains_is_never_more_than_text() {
    let key = "\"}] \"next\":\"\\..%2F";
    let server = server(&[key]);
    let listed = server.expect(200, &call("GET", LIST));
    assert_eq!(keys(&json(&listed)), [key]);
    assert!(json(&listed).get("next").is_none(), "{}", text(&listed));
}
