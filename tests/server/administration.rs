//! `list`, `inspect`, `delete` and `verify` of caches on a server, with tokens that allow a part.

use crate::support::{Raw, Server, Setup};
use btdt_host_runtime::auth::Restrictions;
use btdt_ports::Operation;
use std::fs;
use std::process::Output;

struct Client {
    setup: Setup,
    server: Server,
}

impl Client {
    /// A server whose cache `default` has entries under these keys.
    fn new(keys: &str) -> Self {
        let setup = Setup::new("");
        let server = setup.start();
        fs::create_dir(setup.path("tree")).unwrap();
        fs::write(setup.path("tree/file"), "content").unwrap();
        fs::write(setup.path("tree/other"), "x").unwrap();
        let client = Client { setup, server };
        client.expect(0, &["store", "-k", keys, "tree"], "token");
        client
    }

    fn run(&self, arguments: &[&str], token: &str) -> Output {
        let cache = self.server.cache("default");
        let [command, rest @ ..] = arguments else { panic!("no command") };
        self.setup.btdt(&[&[*command, "-c", &cache, "-a", token], rest].concat())
    }

    /// What is printed on standard output, and on standard error.
    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str], token: &str) -> (String, String) {
        let output = self.run(arguments, token);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
        (stdout, stderr)
    }

    /// The keys that a token lets one see.
    fn keys(&self, arguments: &[&str], token: &str) -> Vec<String> {
        let (stdout, _) = self.expect(0, &[&["list"], arguments].concat(), token);
        let key = |line: &str| line.rsplit("  ").next().unwrap().to_owned();
        stdout.lines().map(key).collect()
    }

    fn token(&self, name: &str, operations: &[Operation], key_prefixes: &[&str]) {
        let key_prefixes = key_prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        let operations = operations.to_vec();
        let limits = Restrictions { operations, key_prefixes, ..Restrictions::default() };
        self.setup.write_token(name, &limits);
    }
}

#[test]
fn a_list_shows_what_the_token_may_see() {
    let client = Client::new("ci/b,ci/a,release/1,odd %é/..");
    assert_eq!(client.keys(&[], "token"), ["ci/a", "ci/b", "odd %é/..", "release/1"]);
    assert_eq!(client.keys(&["--prefix", "ci/"], "token"), ["ci/a", "ci/b"]);
    assert_eq!(client.keys(&["--prefix", "none"], "token"), [""; 0]);
    let (json, _) = client.expect(0, &["list", "--format", "json", "--prefix", "odd"], "token");
    assert!(json.contains("\"key\":\"odd %é/..\"") && json.contains("\"files\":2"), "{json}");

    client.token("ci", &[Operation::List], &["ci/"]);
    assert_eq!(client.keys(&[], "ci"), ["ci/a", "ci/b"]);
    assert_eq!(client.keys(&["--prefix", "ci/b"], "ci"), ["ci/b"]);
    let (_, stderr) = client.expect(1, &["list", "--prefix", "release/"], "ci");
    assert!(stderr.contains("403") && !stderr.contains("release/1"), "{stderr}");
    client.token("get", &[Operation::Get], &[]);
    let (_, stderr) = client.expect(1, &["list"], "get");
    assert!(stderr.contains("403"), "{stderr}");
    let unknown = client.server.cache("unknown");
    let output = client.setup.btdt(&["list", "-c", &unknown, "-a", "token"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no cache of that name"));
}

#[test]
fn thousands_of_entries_come_page_by_page() {
    let keys: Vec<String> = (0..2200).map(|number| format!("{:04}/%é", number * 3)).collect();
    let client = Client::new("first");
    for keys in keys.chunks(200) {
        client.expect(0, &["store", "-q", "-k", &keys.join(","), "tree"], "token");
    }
    let listed = client.keys(&[], "token");
    assert_eq!(listed[..2200], keys);
    assert_eq!(listed[2200..], ["first"]);
    let (stdout, _) = client.expect(0, &["delete", "--prefix", "0"], "token");
    assert_eq!(stdout.lines().count(), keys.iter().filter(|key| key.starts_with('0')).count());
    assert!(client.keys(&[], "token").iter().all(|key| !key.starts_with('0')));
}

#[test]
fn an_entry_is_inspected() {
    let client = Client::new("k/é,other");
    let (stdout, stderr) = client.expect(0, &["inspect", "--files", "k/é"], "token");
    assert_eq!(stderr, "");
    assert!(stdout.starts_with("Key:        k/é\n"), "{stdout}");
    let mut tree = stdout.lines().skip_while(|line| !line.is_empty()).skip(1);
    assert!(tree.next().is_some_and(|line| line.starts_with('d') && line.ends_with("Z .")));
    assert!(tree.next().is_some_and(|line| line.contains(" 7 ") && line.ends_with(" file")));
    assert!(tree.next().is_some_and(|line| line.ends_with(" other")));
    assert_eq!(tree.next(), None);
    let (stdout, _) = client.expect(0, &["inspect", "--format", "json", "other"], "token");
    assert!(stdout.contains("\"missing_chunks\":0"), "{stdout}");

    let (_, stderr) = client.expect(4, &["inspect", "gone"], "token");
    assert_eq!(stderr, "Key not found in cache.\n");
    client.expect(1, &["inspect", ".."], "token");
    client.token("narrow", &[Operation::Get], &["other"]);
    client.expect(0, &["inspect", "other"], "narrow");
    let (_, stderr) = client.expect(1, &["inspect", "k/é"], "narrow");
    assert!(stderr.contains("403"), "{stderr}");
}

#[test]
fn entries_are_deleted_by_those_who_may() {
    let client = Client::new("ci/1,ci/2,release/1");
    client.token("ci", &[Operation::List, Operation::Delete], &["ci/"]);
    let (stdout, stderr) = client.expect(1, &["delete", "-k", "ci/1,release/1"], "ci");
    assert_eq!(stdout, "Deleted key ci/1\n", "what was done is said");
    assert!(stderr.contains("403"), "{stderr}");
    let (stdout, _) = client.expect(0, &["delete", "--prefix", "ci/"], "ci");
    assert_eq!(stdout, "Deleted key ci/2\n");
    assert_eq!(client.keys(&[], "token"), ["release/1"]);
    client.expect(1, &["delete", "--prefix", "release/"], "ci");
    let (_, stderr) = client.expect(4, &["delete", "-k", "gone"], "token");
    assert_eq!(stderr, "Key not found in cache: gone\n");
    client.expect(1, &["delete", "-k", ".."], "token");
    assert_eq!(client.keys(&[], "token"), ["release/1"]);
    let unknown = client.server.cache("unknown");
    let output = client.setup.btdt(&["delete", "-c", &unknown, "-a", "token", "-k", "a"]);
    assert_eq!(output.status.code(), Some(1), "a cache that is not there is no missing key");
}

#[test]
fn a_server_is_not_verified_from_afar() {
    let client = Client::new("k");
    let (_, stderr) = client.expect(1, &["verify"], "token");
    assert!(stderr.contains("Hint: run btdt verify --cache DIRECTORY"), "{stderr}");
    let local = client.setup.btdt(&["verify", "-c", "cache"]);
    assert_eq!(local.status.code(), Some(0), "{local:?}");
}

#[test]
fn other_servers_are_told_apart() {
    let client = Client::new("k");
    // A URL of the server that is none of a cache's.
    let answer = Raw::connect(client.server.address()).request("GET", "/docs", &[], b"").unwrap();
    assert_eq!(answer.status, 200);
    for url in [client.server.url().to_owned(), format!("{}/api", client.server.url())] {
        let output = client.setup.btdt(&["list", "-c", &url, "-a", "token"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("/api/caches/NAME"));
    }
}
