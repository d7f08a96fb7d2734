//! The description of the API, held against the server that serves it.

mod schema;

use crate::support::{Answer, Raw, Server, Setup};
use schema::{faults, resolve};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

const METHODS: [&str; 5] = ["get", "head", "put", "post", "delete"];
const CONTENT: &[u8] = b"content";

/// The document, as the server serves it.
fn fetch(server: &Server) -> Value {
    let answer = Raw::connect(server.address()).request("GET", "/api/openapi.json", &[], b"");
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

/// All operations: path, method in lower case, and what is said about it.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// What an operation takes, with what it shares with the others of its path.
fn parameters<'d>(document: &'d Value, path: &str, operation: &'d Value) -> Vec<&'d Value> {
    let shared = document["paths"][path].get("parameters");
    let lists = [shared, operation.get("parameters")].into_iter().flatten();
    lists.flat_map(|list| list.as_array().unwrap()).map(|value| resolve(document, value)).collect()
}

#[test]
fn the_document_is_valid() {
    let setup = Setup::new("");
    let document = fetch(&setup.start());
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["info"]["title"].is_string());
    let known = ["openapi", "info", "servers", "security", "tags", "paths", "components"];
    assert!(document.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
    let tags: Vec<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(METHODS.contains(&method) && path.starts_with('/'), "{place}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{place}");
        assert!(operation["summary"].is_string(), "{place}");
        assert!(operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)));
        assert_eq!(operation.get("requestBody").is_some(), matches!(method, "put" | "post"));
        check_parameters(&document, path, operation);
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.is_empty(), "{place}");
        for (status, response) in responses {
            assert!((200..600).contains(&status.parse::<u16>().unwrap()), "{place} {status}");
            let response = resolve(&document, response);
            assert!(response["description"].is_string(), "{place} {status}");
            let bodiless = method == "head" || ["204", "304"].contains(&status.as_str());
            assert!(!bodiless || response.get("content").is_none(), "{place} {status}");
            for header in response["headers"].as_object().into_iter().flat_map(|map| map.values()) {
                assert!(resolve(&document, header)["schema"].is_object(), "{place} {status}");
            }
            for media in response["content"].as_object().into_iter().flat_map(|map| map.values()) {
                // Knows all keywords, or panics.
                faults(&document, &media["schema"], &Value::Null);
            }
        }
    }
    let all = document["components"]["schemas"].as_object().unwrap().values();
    all.for_each(|schema| drop(faults(&document, schema, &Value::Null)));
    for requirement in document["security"].as_array().unwrap() {
        let scheme = requirement.as_object().unwrap().keys().next().unwrap();
        assert_eq!(document["components"]["securitySchemes"][scheme]["type"], "http");
    }
}

/// Checks the parameters of an operation, and that those of its path are all of them there.
fn check_parameters(document: &Value, path: &str, operation: &Value) {
    let (mut in_path, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for parameter in parameters(document, path, operation) {
        let (name, place) = (&parameter["name"], parameter["in"].as_str().unwrap());
        assert!(seen.insert((name.as_str().unwrap(), place)), "{path}: {name} is there twice");
        assert!(["path", "query", "header"].contains(&place), "{path} {name}");
        faults(document, &parameter["schema"], &Value::Null);
        if place == "path" {
            assert_eq!(parameter["required"], true, "{path} {name}");
            in_path.insert(name.as_str().unwrap());
        }
    }
    let named = path.split(['/']).filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    assert_eq!(in_path, named.collect(), "{path}");
}

#[test]
fn every_operation_exists_and_no_other_method_does() {
    let setup = Setup::new("");
    let server = setup.start();
    let document = fetch(&server);
    let authorization = format!("Bearer {}", std::fs::read_to_string(setup.token()).unwrap());
    for (path, item) in document["paths"].as_object().unwrap() {
        let digest = hex(CONTENT);
        let url = path.replace("{cache}", "default").replace("{key}", "k");
        let url = url.replace("{digest}", &digest);
        let documented: BTreeSet<_> =
            item.as_object().unwrap().keys().filter(|key| *key != "parameters").cloned().collect();
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"] {
            let headers = [("authorization", authorization.as_str())];
            let answer = Raw::connect(server.address()).request(method, &url, &headers, b"");
            let answer = answer.unwrap();
            let place = format!("{method} {url}: {answer:?}");
            assert!(!answer.text().contains("There is nothing at this URL"), "{place}");
            if documented.contains(&method.to_ascii_lowercase()) {
                assert_ne!(answer.status, 405, "{place}");
            } else {
                assert_eq!(answer.status, 405, "{place}");
                let allowed = answer.header("allow").unwrap().split(", ");
                assert_eq!(
                    allowed.map(str::to_ascii_lowercase).collect::<BTreeSet<_>>(),
                    documented
                );
            }
        }
    }
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends requests and holds every answer against the document.
struct Auditor<'server> {
    server: &'server Server,
    document: Value,
    authorization: String,
    /// The statuses that each operation was seen to answer with, by its id.
    seen: BTreeMap<String, BTreeSet<u16>>,
}

impl Auditor<'_> {
    /// Sends a request with the token for everything.
    fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let authorization = self.authorization.clone();
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        self.send_as_it_is(method, url, &headers, body)
    }

    fn send_as_it_is(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let answer = Raw::connect(self.server.address()).request(method, url, headers, body);
        let answer = answer.unwrap();
        let place = format!("{method} {url}: {} {}", answer.status, answer.text());
        let path = url.split('?').next().unwrap();
        let operation = operations(&self.document)
            .filter(|(_, other, _)| method.eq_ignore_ascii_case(other))
            .filter(|(template, _, _)| fits(template, path))
            // The one with more that is fixed: `chunks/missing` is no digest.
            .min_by_key(|(template, _, _)| template.matches('{').count());
        let (_, _, operation) = operation.unwrap_or_else(|| panic!("not documented: {place}"));
        let responses = &operation["responses"];
        let response = responses.get(answer.status.to_string());
        let response = response.unwrap_or_else(|| panic!("not documented: {place}"));
        self.check(resolve(&self.document, response), &answer, method == "HEAD", &place);
        let id = operation["operationId"].as_str().unwrap().to_owned();
        self.seen.entry(id).or_default().insert(answer.status);
        answer
    }

    fn check(&self, response: &Value, answer: &Answer, is_head: bool, place: &str) {
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = resolve(&self.document, header);
            match answer.header(&name.to_ascii_lowercase()) {
                None => assert_ne!(header["required"], true, "{name} is missing: {place}"),
                Some(value) => {
                    let number = header["schema"]["type"] == "integer";
                    let value = if number { value.parse().ok() } else { Some(value.into()) };
                    let faults = faults(&self.document, &header["schema"], &value.unwrap());
                    assert!(faults.is_empty(), "{name}: {faults:?}: {place}");
                }
            }
        }
        let own = answer.headers.iter().filter(|(name, _)| name.starts_with("btdt-"));
        for (name, _) in own {
            let mut known = response["headers"].as_object().unwrap().keys();
            assert!(known.any(|known| known.eq_ignore_ascii_case(name)), "{name}: {place}");
        }
        let Some(content) = response.get("content") else {
            assert!(answer.body.is_empty(), "{place}");
            return;
        };
        assert!(!is_head);
        let media = answer.header("content-type").unwrap_or_default();
        let media = media.split(';').next().unwrap();
        let described = content.get(media).unwrap_or_else(|| panic!("{media}: {place}"));
        let value = if media.ends_with("json") {
            serde_json::from_slice(&answer.body).unwrap()
        } else {
            Value::String(answer.text())
        };
        let faults = faults(&self.document, &described["schema"], &value);
        assert!(faults.is_empty(), "{faults:?}: {place}");
        if media == "application/problem+json" {
            assert_eq!(value["status"], answer.status, "{place}");
            assert_eq!(value["request_id"].as_str(), answer.header("x-request-id"), "{place}");
        }
    }
}

/// Whether a path is of that template; a key may have slashes.
fn fits(template: &str, path: &str) -> bool {
    let template = template.split_once("{key}").map_or(template, |(before, _)| before);
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let open = template.last() == Some(&"");
    let fixed = if open { &template[..template.len() - 1] } else { &template[..] };
    (path.len() == template.len() || (open && path.len() > template.len()))
        && fixed.iter().zip(&path).all(|(part, other)| part == other || part.starts_with('{'))
}

/// A tar stream of one file.
fn tar() -> Vec<u8> {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "file");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", CONTENT.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(CONTENT);
    archive.resize(512 * 4, 0);
    archive
}

#[test]
fn what_every_operation_answers_is_documented() {
    let setup = Setup::new("");
    let server = setup.start();
    let authorization = format!("Bearer {}", std::fs::read_to_string(setup.token()).unwrap());
    let document = fetch(&server);
    let mut auditor = Auditor { server: &server, document, authorization, seen: BTreeMap::new() };
    for cache in ["default", "memory"] {
        audit_entries(&mut auditor, &format!("/api/caches/{cache}"));
        audit_chunks(&mut auditor, &format!("/api/caches/{cache}"));
        audit_administration(&mut auditor, &format!("/api/caches/{cache}"));
    }
    for page in ["/api/health", "/api/ready", "/metrics", "/docs", "/api/openapi.json"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(auditor.send_as_it_is(method, page, &[], b"").status, 200);
        }
    }
    let refusals = audit_refusals(&mut auditor);
    let mut without_success: Vec<_> = operations(&auditor.document)
        .map(|(_, _, one)| one["operationId"].as_str().unwrap())
        .collect();
    without_success.retain(|id| {
        !auditor.seen.get(*id).is_some_and(|seen| seen.iter().any(|status| *status < 300))
    });
    assert_eq!(without_success, [""; 0]);
    for status in [200, 201, 204, 206, 304, 400, 401, 404, 406, 409, 413, 415, 416, 422] {
        assert!(auditor.seen.values().any(|seen| seen.contains(&status)), "{status} is not tried");
    }
    assert!(refusals > 30, "{refusals}");
}

fn audit_entries(auditor: &mut Auditor<'_>, cache: &str) {
    const MANIFEST: &str = "application/vnd.btdt.manifest+cbor";
    let entry = format!("{cache}?key=a/b&key=%C3%A9");
    assert_eq!(auditor.send("GET", &entry, &[], b"").status, 204);
    let put = format!("{entry}&label=a%3Db");
    let tar_type = [("content-type", "application/x-tar")];
    assert_eq!(auditor.send("PUT", &put, &tar_type, &tar()).status, 204);
    for method in ["GET", "HEAD"] {
        let url = format!("{cache}?prefix=%C3%A9");
        let answer = auditor.send(method, &url, &[("accept-encoding", "gzip")], b"");
        assert_eq!((answer.status, answer.header("btdt-cache-key")), (200, Some("%C3%A9")));
        let tag = answer.header("etag").unwrap();
        assert_eq!(auditor.send(method, &url, &[("if-none-match", tag)], b"").status, 304);
        let unacceptable = [("accept", "text/html")];
        assert_eq!(auditor.send(method, &entry, &unacceptable, b"").status, 406);
        assert_eq!(auditor.send(method, cache, &[], b"").status, 400);
    }
    let as_manifest = [("accept", MANIFEST)];
    let manifest = auditor.send("GET", &entry, &as_manifest, b"");
    assert_eq!(manifest.status, 200);
    let known = [("accept", MANIFEST), ("if-none-match", "*")];
    assert_eq!(auditor.send("GET", &entry, &known, b"").status, 304);
    let typed = [("content-type", MANIFEST)];
    assert_eq!(auditor.send("PUT", &put, &typed, &manifest.body).status, 204);
    let other = if cache.ends_with("memory") { "default-x" } else { "memory" };
    if other == "memory" {
        // The cache `memory` has none of the chunks yet.
        let url = format!("/api/caches/{other}?key=k");
        assert_eq!(auditor.send("PUT", &url, &typed, &manifest.body).status, 409);
    }
    let digest = hex(b"another manifest");
    let altered = [("content-type", MANIFEST), ("btdt-manifest", &digest)];
    assert_eq!(auditor.send("PUT", &put, &altered, &manifest.body).status, 422);
    assert_eq!(auditor.send("PUT", &put, &tar_type, b"no archive").status, 422);
    assert_eq!(auditor.send("PUT", &put, &[("content-type", "text/html")], b"").status, 415);
    assert_eq!(auditor.send("PUT", &put, &[("content-encoding", "br")], b"").status, 415);
    let cut = [("content-encoding", "gzip"), ("content-type", MANIFEST)];
    assert_eq!(auditor.send("PUT", &put, &cut, b"no gzip").status, 400);
}

fn audit_chunks(auditor: &mut Auditor<'_>, cache: &str) {
    let chunk = format!("{cache}/chunks/{}", hex(CONTENT));
    let stored = auditor.send("GET", &chunk, &[], b"");
    assert_eq!(stored.status, 200);
    for method in ["GET", "HEAD"] {
        assert_eq!(auditor.send(method, &format!("{chunk}?verify=true"), &[], b"").status, 200);
        assert_eq!(auditor.send(method, &chunk, &[("if-none-match", "*")], b"").status, 304);
    }
    assert_eq!(auditor.send("GET", &chunk, &[("range", "bytes=1-")], b"").status, 206);
    assert_eq!(auditor.send("GET", &chunk, &[("range", "bytes=9999-")], b"").status, 416);
    assert_eq!(auditor.send("PUT", &chunk, &[], &stored.body).status, 204);
    assert_eq!(auditor.send("PUT", &chunk, &[], b"nonsense").status, 422);
    assert_eq!(auditor.send("PUT", &chunk, &[("content-encoding", "gzip")], b"").status, 415);
    assert_eq!(auditor.send("PUT", &chunk, &[], &vec![0; 5 << 20]).status, 413);
    let missing = format!("{cache}/chunks/missing");
    let digests = format!("{}\n{}\n", hex(CONTENT), hex(b"x"));
    let answer = auditor.send("POST", &missing, &[], digests.as_bytes());
    assert_eq!((answer.status, answer.text()), (200, format!("{}\n", hex(b"x"))));
    assert_eq!(auditor.send("POST", &missing, &[], b"x").status, 400);
    assert_eq!(auditor.send("POST", &missing, &[("content-type", "text/html")], b"").status, 415);
    assert_eq!(auditor.send("POST", &missing, &[], &vec![b'0'; 7 << 20]).status, 413);
    if cache.ends_with("default") {
        let url = format!("/api/caches/memory/chunks/{}", hex(CONTENT));
        assert_eq!(auditor.send("PUT", &url, &[], &stored.body).status, 201);
    }
}

fn audit_administration(auditor: &mut Auditor<'_>, cache: &str) {
    for method in ["GET", "HEAD"] {
        assert_eq!(auditor.send(method, &format!("{cache}/entries"), &[], b"").status, 200);
        assert_eq!(auditor.send(method, &format!("{cache}/entries/a/b"), &[], b"").status, 200);
        assert_eq!(auditor.send(method, &format!("{cache}/entries/x"), &[], b"").status, 404);
        assert_eq!(auditor.send(method, &format!("{cache}/entries?limit=0"), &[], b"").status, 400);
        assert_eq!(auditor.send(method, &format!("{cache}/entries/%2C"), &[], b"").status, 400);
    }
    let page = auditor.send("GET", &format!("{cache}/entries?limit=1"), &[], b"").text();
    assert!(page.contains("\"next\":"), "{page}");
    let all = format!("{cache}/entries?limit=99999999999999999999999&after=");
    let all: Value = serde_json::from_slice(&auditor.send("GET", &all, &[], b"").body).unwrap();
    assert_eq!(all["entries"].as_array().unwrap().len(), 2);
    assert_eq!(auditor.send("DELETE", &format!("{cache}/entries/a/b"), &[], b"").status, 204);
    assert_eq!(auditor.send("DELETE", &format!("{cache}/entries/a/b"), &[], b"").status, 404);
}

/// Everything that needs a token: without one, with one that is none, with one for nothing here, and
/// for a cache that is not there. How many answers that were.
fn audit_refusals(auditor: &mut Auditor<'_>) -> usize {
    let secured: Vec<_> = operations(&auditor.document)
        .filter(|(_, _, operation)| operation.get("security").is_none())
        .map(|(path, method, _)| (path.to_owned(), method.to_ascii_uppercase()))
        .collect();
    let mut count = 0;
    for (path, method) in secured {
        let url = path.replace("{key}", "k").replace("{digest}", &hex(CONTENT)) + "?key=k";
        let known = url.replace("{cache}", "default");
        let own = auditor.authorization.clone();
        let twice = [("authorization", own.as_str()), ("authorization", own.as_str())];
        for headers in [&[][..], &[("authorization", "Bearer nonsense")], &twice] {
            let answer = auditor.send_as_it_is(&method, &known, headers, b"");
            assert_eq!(answer.status, 401, "{method} {known}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        let unknown = url.replace("{cache}", "none");
        assert_eq!(auditor.send(&method, &unknown, &[], b"").status, 404, "{method} {unknown}");
        count += 4;
    }
    count
}

#[test]
fn what_a_token_does_not_allow_is_refused_as_documented() {
    use btdt_host_runtime::auth::Restrictions;
    let setup = Setup::new("");
    let server = setup.start();
    let other = Restrictions { caches: vec!["other".to_owned()], ..Restrictions::default() };
    let authorization = format!("Bearer {}", setup.issue(&other));
    let document = fetch(&server);
    let paths: Vec<_> = operations(&document)
        .filter(|(_, _, operation)| operation.get("security").is_none())
        .map(|(path, method, _)| (path.to_owned(), method.to_ascii_uppercase()))
        .collect();
    let mut auditor = Auditor { server: &server, document, authorization, seen: BTreeMap::new() };
    for (path, method) in paths {
        let url = path.replace("{key}", "k").replace("{digest}", &hex(CONTENT)) + "?key=k";
        // Nobody learns whether a cache is there who may not use it.
        for cache in ["default", "none"] {
            let url = url.replace("{cache}", cache);
            assert_eq!(auditor.send(&method, &url, &[], b"").status, 403, "{method} {url}");
        }
    }
}

#[test]
fn a_head_that_is_too_large_is_refused_as_documented() {
    let setup = Setup::new("");
    let server = setup.start();
    let document = fetch(&server);
    let authorization = "Bearer x".to_owned();
    let mut auditor = Auditor { server: &server, document, authorization, seen: BTreeMap::new() };
    let long = "k".repeat(400_000);
    let url = format!("/api/caches/default?key={long}");
    assert_eq!(auditor.send("GET", &url, &[], b"").status, 431);
    let headers = [("x-long", long.as_str())];
    assert_eq!(auditor.send("GET", "/api/caches/default", &headers, b"").status, 431);
}

#[test]
fn pages_that_are_not_wanted_are_not_there() {
    let setup = Setup::new("enable_api_docs = false\nenable_metrics = false");
    let server = setup.start();
    for page in ["/docs", "/api/openapi.json", "/metrics"] {
        let answer = Raw::connect(server.address()).request("GET", page, &[], b"").unwrap();
        assert_eq!((answer.status, answer.header("btdt-protocol")), (404, Some("1")), "{page}");
    }
}

#[test]
fn the_page_for_people_needs_nothing_but_this_server() {
    let setup = Setup::new("");
    let server = setup.start();
    let answer = Raw::connect(server.address()).request("GET", "/docs", &[], b"").unwrap();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    for rule in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.split(';').any(|other| other.trim() == rule), "{policy}");
    }
    // Nothing from elsewhere may be allowed.
    assert!(!policy.contains("http") && !policy.contains('*'), "{policy}");
    let page = answer.text();
    for outside in
        ["http:", "https:", "src=", "\"//", "'//", "@import", "url(", "<link", "innerHTML"]
    {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// Runs the script of the page in a world with just what it uses, below a prefix as a proxy has it.
#[test]
fn the_page_for_people_shows_every_operation() {
    let setup = Setup::new("");
    let server = setup.start();
    let document = fetch(&server);
    let page = Raw::connect(server.address()).request("GET", "/docs", &[], b"").unwrap().text();
    let script = page.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    for (path, source) in [("/docs", "/api/openapi.json"), ("/p/docs/", "/p/api/openapi.json")] {
        let world = include_str!("openapi/browser.js");
        let program = format!(
            "const page = {{ path: {path:?}, source: {source:?}, text: {} }};\n{world}\n\
             (function () {{{script}\n}})();",
            serde_json::to_string(&document.to_string()).unwrap()
        );
        let file = setup.path("page.js");
        std::fs::write(&file, program).unwrap();
        let output = Command::new("node").arg(&file).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| {
            panic!("node is needed ({error}): run `cargo xtask test`, which installs it")
        });
        let shown = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaints}");
        for (path, method, operation) in operations(&document) {
            let heading = format!("{}|{path}|", method.to_ascii_uppercase());
            assert!(shown.contains(&heading), "{heading} is not in {shown}");
            for status in operation["responses"].as_object().unwrap().keys() {
                assert!(shown.contains(&format!("|{status}|")), "{status}");
            }
        }
        assert!(!shown.contains("undefined") && !shown.contains("[object"), "{shown}");
    }
}
