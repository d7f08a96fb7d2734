//! Tokens and keys as users meet them: what is refused, with which words, and that no token is ever
//! shown.

use crate::shared::{ERROR, NOT_FOUND, OTHER_KEY, Outcome, Running, SUCCESS, TreeBuilder, btdt};
use crate::support::{Server, Setup};
use btdt_host_runtime::auth::{PrivateKey, Restrictions, create_key_files, issue};
use btdt_host_runtime::clock;
use btdt_ports::Operation;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GIVE_A_TOKEN: &str = "give a valid token with --auth-token-file";
const LOOK_AT_LIMITS: &str = "`btdt token inspect` shows its limits";

fn now() -> u64 {
    u64::try_from(clock::now().seconds).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A setup with a tree to store.
fn setup(lines: &str) -> Setup {
    let setup = Setup::new(lines);
    TreeBuilder::new(setup.path("tree")).file("file", "content");
    setup
}

/// A client of one cache with one token.
struct Client<'world> {
    setup: &'world Setup,
    cache: String,
    token: Option<&'world str>,
}

impl<'world> Client<'world> {
    fn new(setup: &'world Setup, server: &Server, token: &'world str) -> Self {
        Client { setup, cache: server.cache("default"), token: Some(token) }
    }

    fn run(&self, command: &str, more: &[&str], path: &str) -> Outcome {
        let mut arguments = vec![command, "-c", &self.cache];
        if let Some(token) = self.token {
            arguments.extend(["-a", token]);
        }
        arguments.extend(more);
        arguments.push(path);
        let outcome = btdt(self.setup, &arguments);
        if let Some(token) = self.token {
            let text = fs::read_to_string(self.setup.path(token)).unwrap_or_default();
            assert_unseen(&text, &format!("{outcome}"));
        }
        outcome
    }

    fn store(&self, keys: &str) -> Outcome {
        self.run("store", &["-k", keys], "tree")
    }

    fn restore(&self, keys: &str) -> Outcome {
        self.run("restore", &["-k", keys], "restored")
    }

    fn restore_prefix(&self, key: &str, prefix: &str) -> Outcome {
        self.run("restore", &["-k", key, "--prefix", prefix], "restored")
    }

    /// Both operations are refused with this status and this hint.
    #[track_caller]
    fn is_refused(&self, status: u16, hint: &str) {
        refused(&self.store("key"), status, hint);
        refused(&self.restore("key"), status, hint);
    }
}

/// Neither end of a token is in a text, and so no token derived from it either.
#[track_caller]
fn assert_unseen(token: &str, text: &str) {
    let token = token.trim();
    if token.len() < 48 {
        return;
    }
    for part in [&token[..24], &token[token.len() - 24..]] {
        assert!(!text.contains(part), "a token is shown:\n{text}");
    }
}

#[track_caller]
fn refused(outcome: &Outcome, status: u16, hint: &str) {
    assert_eq!(outcome.code, Some(ERROR), "{outcome}");
    assert_eq!(outcome.stdout, "", "{outcome}");
    let answered = format!("The server answered {status}: ");
    assert!(outcome.stderr.contains(&answered), "no {answered:?}:\n{outcome}");
    assert!(outcome.stderr.contains(hint), "no {hint:?}:\n{outcome}");
}

#[track_caller]
fn allowed(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(SUCCESS), "{outcome}");
}

/// Swaps the letter at this place for another one.
fn tampered(token: &str, place: usize) -> String {
    let other = if &token[place..=place] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..place], &token[place + 1..])
}

fn write_token(setup: &Setup, name: &str, text: &str) {
    fs::write(setup.path(name), text).unwrap();
    set_mode(&setup.path(name), 0o600);
}

#[test]
fn tokens_that_are_not_valid_are_refused() {
    let setup = setup("");
    let server = setup.start();
    let past = Restrictions { expires: Some(now() - 1), ..Restrictions::default() };
    setup.write_token("expired", &past);
    let foreign = issue(&PrivateKey::generate(), &Restrictions::default()).unwrap();
    write_token(&setup, "foreign", &foreign);
    let whole = setup.issue(&Restrictions::default());
    write_token(&setup, "tampered", &tampered(&whole, whole.len() / 2));
    let inspected = btdt(&setup, &["token", "inspect", "--token-file", "tampered"]);
    allowed(&inspected);
    for token in ["foreign", "tampered"] {
        Client::new(&setup, &server, token).is_refused(401, GIVE_A_TOKEN);
    }
    Client::new(&setup, &server, "expired").is_refused(401, "give a token that has not expired");
    let expired = Client::new(&setup, &server, "expired").restore("key");
    assert!(expired.stderr.contains("expired"), "says what is wrong with it:\n{expired}");
    let absent = Client { token: None, ..Client::new(&setup, &server, "token") };
    absent.is_refused(401, GIVE_A_TOKEN);
    // Nothing was stored by any of them, and the right token still works.
    let valid = Client::new(&setup, &server, "token");
    assert_eq!(valid.restore("key").code, Some(NOT_FOUND));
    allowed(&valid.store("key"));
    for token in [&whole, &foreign] {
        assert_unseen(token, &server.log());
    }
}

#[test]
fn files_without_a_token_are_refused_before_anybody_is_asked() {
    let setup = setup("");
    // Nothing listens at port 1: asking it would be another error.
    let client = |token| Client {
        setup: &setup,
        cache: "http://127.0.0.1:1/api/caches/default".to_owned(),
        token: Some(token),
    };
    write_token(&setup, "empty", "");
    write_token(
        &setup,
        "rubbish",
        "c2VjcmV0LWFzLWEtcGFzc3dvcmQtY2FuLWJlLWFuZC1ub3QtYS10b2tlbi1hdC1hbGw=",
    );
    fs::create_dir(setup.path("directory")).unwrap();
    for (token, reason) in [
        ("empty", "has no token in it"),
        ("rubbish", "has no token in it"),
        ("missing", "No such file"),
        ("directory", "is a directory"),
    ] {
        let outcome = client(token).restore("key");
        assert_eq!(outcome.code, Some(ERROR), "{outcome}");
        assert!(outcome.stderr.contains(reason), "no {reason:?}:\n{outcome}");
        assert!(outcome.stderr.contains(token), "names the file:\n{outcome}");
    }
}

#[test]
fn a_token_can_be_revoked_while_the_server_runs() {
    let setup = setup("auth_revocation_list = 'revoked.txt'");
    fs::write(setup.path("revoked.txt"), "# nobody yet\n").unwrap();
    let server = setup.start();
    setup.write_token(
        "other",
        &Restrictions { caches: vec!["default".into()], ..Default::default() },
    );
    let client = Client::new(&setup, &server, "token");
    allowed(&client.store("key"));
    let inspected = btdt(&setup, &["token", "inspect", "--token-file", "token"]).expect(SUCCESS);
    let id = inspected.stdout.lines().find_map(|line| line.trim().strip_prefix("Revocation id: "));
    let list = format!("# a token that leaked\n{}\n", id.unwrap());
    fs::write(setup.path("revoked.new"), list).unwrap();
    fs::rename(setup.path("revoked.new"), setup.path("revoked.txt")).unwrap();
    // The server looks at the list every few seconds.
    let deadline = now() + 60;
    let last = loop {
        let outcome = client.restore("key");
        if outcome.code != Some(SUCCESS) || now() > deadline {
            break outcome;
        }
    };
    refused(&last, 401, GIVE_A_TOKEN);
    assert!(last.stderr.contains("revoked"), "says what is wrong with it:\n{last}");
    client.is_refused(401, GIVE_A_TOKEN);
    // What was derived from it is gone with it; other tokens are as they were.
    let derived = ["token", "attenuate", "--operation", "get", "--token-file", "token"];
    write_token(&setup, "derived", &btdt(&setup, &derived).expect(SUCCESS).stdout);
    Client::new(&setup, &server, "derived").is_refused(401, GIVE_A_TOKEN);
    allowed(&Client::new(&setup, &server, "other").restore("key"));
}

#[test]
fn a_token_for_one_operation_does_that_one_only() {
    let setup = setup("");
    let server = setup.start();
    let only = |operation| Restrictions { operations: vec![operation], ..Restrictions::default() };
    setup.write_token("put", &only(Operation::Put));
    setup.write_token("get", &only(Operation::Get));
    let (put, get) = (Client::new(&setup, &server, "put"), Client::new(&setup, &server, "get"));
    refused(&get.store("key"), 403, LOOK_AT_LIMITS);
    assert_eq!(get.restore("key").code, Some(NOT_FOUND));
    allowed(&put.store("key"));
    refused(&put.restore("key"), 403, LOOK_AT_LIMITS);
    refused(&put.restore_prefix("none", "k"), 403, LOOK_AT_LIMITS);
    allowed(&get.restore("key"));
    let by_prefix = get.restore_prefix("none", "k");
    assert_eq!(by_prefix.code, Some(OTHER_KEY), "{by_prefix}");
}

#[test]
fn a_token_for_one_cache_works_with_that_one_only() {
    let setup = setup("");
    let server = setup.start();
    let limits = Restrictions { caches: vec!["memory".into()], ..Restrictions::default() };
    setup.write_token("limited", &limits);
    let mut client = Client::new(&setup, &server, "limited");
    client.is_refused(403, LOOK_AT_LIMITS);
    // Whether there is such a cache is not told either.
    client.cache = server.cache("none-such");
    client.is_refused(403, LOOK_AT_LIMITS);
    client.cache = server.cache("memory");
    allowed(&client.store("key"));
    allowed(&client.restore("key"));
    // Who may know is told.
    let mut lost = Client::new(&setup, &server, "token");
    lost.cache = server.cache("none-such");
    lost.is_refused(404, "look at the name of the cache");
}

#[test]
fn a_token_for_a_prefix_of_keys_works_with_those_only() {
    let setup = setup("");
    let server = setup.start();
    let limits = Restrictions { key_prefixes: vec!["node-".into()], ..Restrictions::default() };
    setup.write_token("limited", &limits);
    let limited = Client::new(&setup, &server, "limited");
    let whole = Client::new(&setup, &server, "token");
    allowed(&whole.store("other"));
    allowed(&limited.store("node-1"));
    for keys in ["other", "node", "NODE-1", "node-2,other", "other,node-2"] {
        refused(&limited.store(keys), 403, LOOK_AT_LIMITS);
    }
    assert_eq!(whole.restore("node-2").code, Some(NOT_FOUND), "nothing was stored by halves");
    allowed(&limited.restore("node-1"));
    assert_eq!(limited.restore("node-2,node-1").code, Some(OTHER_KEY));
    refused(&limited.restore("other"), 403, LOOK_AT_LIMITS);
    for prefix in ["node-", "node-1"] {
        let restored = limited.restore_prefix("node-0", prefix);
        assert_eq!(restored.code, Some(OTHER_KEY), "{restored}");
        assert_eq!(restored.stdout, "Restored key node-1\n");
    }
    // A prefix that says less finds what the token allows, and nothing else: neither an entry nor a
    // word about one.
    for (prefix, code) in [("n", OTHER_KEY), ("no", OTHER_KEY), ("o", NOT_FOUND), ("x", NOT_FOUND)]
    {
        let restored = limited.restore_prefix("node-0", prefix);
        assert_eq!(restored.code, Some(code), "{prefix:?}: {restored}");
        assert!(!restored.stdout.contains("other"), "{prefix:?}: {restored}");
    }
    refused(&limited.restore_prefix("other", "o"), 403, LOOK_AT_LIMITS);
}

#[test]
fn token_files_of_others_are_refused() {
    let setup = setup("");
    let server = setup.start();
    let client = Client::new(&setup, &server, "token");
    let token = setup.path("token");
    for mode in [0o644, 0o604, 0o620, 0o660, 0o640] {
        set_mode(&token, mode);
        let outcome = client.store("key");
        assert_eq!(outcome.code, Some(ERROR), "{mode:o}: {outcome}");
        let mode = format!("{mode:04o}");
        assert!(outcome.stderr.contains(&mode), "no {mode}:\n{outcome}");
        assert!(outcome.stderr.contains("chmod 600 token"), "{outcome}");
        let tells_of_groups = outcome.stderr.contains("--allow-group-readable-token");
        assert_eq!(tells_of_groups, mode == "0640", "{outcome}");
    }
    let arguments = ["-k", "key", "--allow-group-readable-token"];
    for (mode, code) in [(0o640, SUCCESS), (0o440, SUCCESS), (0o660, ERROR), (0o644, ERROR)] {
        set_mode(&token, mode);
        let outcome = client.run("store", &arguments, "tree");
        assert_eq!(outcome.code, Some(code), "{mode:o}: {outcome}");
    }
}

/// Runs a server that is not to start, and gives what it said.
#[track_caller]
fn start_fails(setup: &Setup) -> String {
    let outcome = Running::start(setup.server_command()).finish();
    assert_eq!(outcome.code, Some(ERROR), "{outcome}");
    format!("{}{}", outcome.stdout, outcome.stderr)
}

#[test]
fn a_key_file_of_others_keeps_the_server_from_starting() {
    let setup = setup("");
    let key = setup.path("key.pem");
    let content = fs::read_to_string(&key).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644] {
        set_mode(&key, mode);
        let said = start_fails(&setup);
        assert!(said.contains(&format!("{mode:04o}")), "{said}");
        assert!(said.contains("chmod 600") && said.contains("key.pem"), "{said}");
        let secret = content.lines().nth(1).unwrap();
        assert!(!said.contains(secret), "the key is shown:\n{said}");
    }
    set_mode(&key, 0o400);
    allowed(&Client::new(&setup, &setup.start(), "token").store("key"));
}

#[test]
fn a_private_key_that_is_missing_is_made() {
    let setup = setup("");
    let key = setup.path("key.pem");
    fs::remove_file(&key).unwrap();
    let server = setup.start();
    let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600, "{mode:o}");
    assert!(server.log().contains("There was no private key"), "{}", server.log());
    // Tokens of the key that is gone are those of a stranger.
    Client::new(&setup, &server, "token").is_refused(401, GIVE_A_TOKEN);
    let new = btdt(&setup, &["token", "new", "--private-key", "key.pem", "--ttl", "1h"]);
    write_token(&setup, "new", &new.expect(SUCCESS).stdout);
    let client = Client::new(&setup, &server, "new");
    allowed(&client.store("key"));
    // And the next server has the same one.
    drop(server);
    let server = setup.start();
    assert!(!server.log().contains("There was no private key"), "{}", server.log());
    allowed(&Client::new(&setup, &server, "new").restore("key"));
}

#[test]
fn a_server_can_do_with_public_keys() {
    let setup = setup("auth_public_keys = ['one.pub', 'two.pub']");
    let config = fs::read_to_string(setup.path("config.toml")).unwrap();
    let lines = config.lines().filter(|line| !line.starts_with("auth_private_key"));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(setup.path("config.toml"), without).unwrap();
    for name in ["one", "two"] {
        let path = |extension: &str| setup.path(format!("{name}.{extension}"));
        let key = create_key_files(Some(&path("key")), Some(&path("pub"))).unwrap();
        write_token(&setup, name, &issue(&key, &Restrictions::default()).unwrap());
        // The server has no business with the private key.
        fs::remove_file(path("key")).unwrap();
    }
    let server = setup.start();
    allowed(&Client::new(&setup, &server, "one").store("key"));
    allowed(&Client::new(&setup, &server, "two").restore("key"));
    Client::new(&setup, &server, "token").is_refused(401, GIVE_A_TOKEN);
    drop(server);
    // A private key in that place is a mistake worth a word.
    fs::copy(setup.path("key.pem"), setup.path("one.pub")).unwrap();
    let said = start_fails(&setup);
    assert!(said.contains("one.pub") && said.contains("it is a private key"), "{said}");
}
