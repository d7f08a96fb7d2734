//! Ours and the release before it, in all pairs: either client stores to either server, and either
//! client restores what the other one has stored.

#[path = "support/rival.rs"]
mod rival;

use crate::certificates::{Authority, PASSWORD};
use crate::shared::{
    ERROR, NOT_FOUND, Node, OTHER_KEY, SUCCESS, Tree, TreeBuilder, assert_same, btdt,
};
use crate::support::{Server, Setup};
use btdt_host_runtime::auth::Restrictions;
use btdt_host_runtime::clock;
use btdt_ports::Operation;
use rival::{Client, OriginalServer};
use std::fs;
use std::path::Path;

/// How often to ask the original server again when it refuses a token.
const PATIENCE: u32 = 5;

const CLIENTS: [Client; 2] = [Client::Ours, Client::Original];

/// One of the two servers.
enum AnyServer {
    Ours(Server),
    Original(OriginalServer),
}

impl AnyServer {
    fn cache(&self, name: &str) -> String {
        match self {
            AnyServer::Ours(server) => server.cache(name),
            AnyServer::Original(server) => server.cache(name),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            AnyServer::Ours(_) => "our server",
            AnyServer::Original(_) => "the original server",
        }
    }
}

/// Where both servers are, and how clients get there.
struct World {
    setup: Setup,
    servers: [AnyServer; 2],
    /// Arguments that every command needs.
    more: Vec<String>,
}

impl World {
    fn http() -> Self {
        let setup = Setup::new("");
        let ours = AnyServer::Ours(setup.start());
        let original = AnyServer::Original(OriginalServer::start(&setup, None));
        World { setup, servers: [ours, original], more: Vec::new() }
    }

    fn tls() -> Self {
        let setup = Setup::new("");
        let authority = Authority::new("authority");
        let keystore = authority.keystore(&setup, "keystore");
        fs::write(setup.path("root.pem"), authority.pem()).unwrap();
        let setup = setup
            .with_variable("BTDT_TLS_KEYSTORE", keystore.to_str().unwrap())
            .with_variable("BTDT_TLS_KEYSTORE_PASSWORD", PASSWORD);
        let ours = AnyServer::Ours(setup.start());
        let tls = Some((keystore.as_path(), PASSWORD));
        let original = AnyServer::Original(OriginalServer::start(&setup, tls));
        let more = ["--root-cert", "root.pem"].map(str::to_owned).into();
        World { setup, servers: [ours, original], more }
    }

    /// Runs `store` or `restore`.
    #[track_caller]
    fn run(
        &self,
        (client, server): (Client, &AnyServer),
        command: &str,
        (token, keys): (&str, &str),
        path: &str,
    ) -> crate::shared::Outcome {
        let cache = server.cache("default");
        let mut arguments = vec![command, "-c", &cache, "-a", token, "-k", keys];
        arguments.extend(self.more.iter().map(String::as_str));
        arguments.push(path);
        let mut outcome = client.run(&self.setup, &arguments);
        // The original server gives each token one millisecond, and refuses it where that is over
        // because the machine is busy.
        let is_original = matches!(server, AnyServer::Original(_));
        for _ in 0..PATIENCE {
            if is_original && outcome.code == Some(ERROR) && outcome.stderr.contains("403") {
                outcome = client.run(&self.setup, &arguments);
            }
        }
        outcome
    }
}

/// What the original client keeps of a tree when it stores or restores it: whole seconds, and of
/// those only the times of files; every name of a file becomes a file of its own; and nothing of
/// the top directory itself.
fn as_the_original_keeps_it(tree: &Tree) -> Tree {
    let mut kept = tree.clone().content();
    for (name, node) in &mut kept.nodes {
        if let (Node::File { time, .. }, Node::File { time: was, .. }) = (node, &tree.nodes[name]) {
            *time = (was.0, 0);
        }
    }
    if let Some(Node::Dir { mode, .. }) = kept.nodes.get_mut(&Vec::new()) {
        *mode = 0;
    }
    kept
}

/// Every client stores to every server, every client restores it, and everything is there.
fn all_pairs(world: &World) {
    let tree = TreeBuilder::new(world.setup.path("tree"));
    tree.sample(7)
        .file("a name with spaces & ünïcödé", "x")
        .file(format!("long/{}/{}", "d".repeat(120), "f".repeat(140)), "long names")
        .file("large", vec![b'l'; 3 << 20])
        .link("long-link", "t/".repeat(90))
        .time("lib/part0/f0.bin", 1_000_000_000, 0);
    let expected = tree.snapshot();
    let token = "token";
    for server in &world.servers {
        for storing in CLIENTS {
            let key = format!("{storing:?}");
            let what = format!("{storing:?} to {}", server.name());
            let missed = world.run((storing, server), "restore", (token, &key), "nowhere");
            assert_eq!(missed.code, Some(NOT_FOUND), "{what}:\n{missed}");
            assert!(missed.stderr.contains("Keys not found in cache."), "{missed}");
            let stored = world.run((storing, server), "store", (token, &key), "tree");
            assert_eq!(stored.code, Some(SUCCESS), "{what}:\n{stored}");
            for restoring in CLIENTS {
                let what = format!("{what}, restored by {restoring:?}");
                let place = format!("{}-{key}-{restoring:?}", server.cache("").replace('/', "-"));
                let restored = world.run((restoring, server), "restore", (token, &key), &place);
                assert_eq!(restored.code, Some(SUCCESS), "{what}:\n{restored}");
                assert_eq!(restored.stdout, format!("Restored key {key}\n"), "{what}");
                let actual = Tree::of(&world.setup.path(&place));
                if storing == Client::Original || restoring == Client::Original {
                    let (expected, actual) =
                        (as_the_original_keeps_it(&expected), as_the_original_keeps_it(&actual));
                    assert_same(&expected, &actual, what);
                } else {
                    assert_same(&expected, &actual, what);
                }
            }
        }
    }
}

#[test]
fn every_client_gets_on_with_every_server() {
    all_pairs(&World::http());
}

#[test]
fn every_client_gets_on_with_every_server_over_tls() {
    all_pairs(&World::tls());
}

/// Keys with characters that mean something in URLs, headers, paths or shells.
const ODD_KEYS: [&str; 8] = [
    "with space",
    "a/b/c",
    "...",
    "100%25&key=x?#+;",
    "\"quoted\" 'and' \\back",
    "~tilde:colon@at",
    "<>{}|^`[]$(x)",
    "*",
];

#[test]
fn odd_keys_are_the_same_to_everybody() {
    let world = World::http();
    TreeBuilder::new(world.setup.path("tree")).file("f", "x");
    for server in &world.servers {
        for (number, key) in ODD_KEYS.iter().enumerate() {
            // Who stores takes turns, and the other one restores.
            let (storing, restoring) = match number % 2 {
                0 => (Client::Ours, Client::Original),
                _ => (Client::Original, Client::Ours),
            };
            let what = format!("{key:?} stored by {storing:?} to {}", server.name());
            let stored = world.run((storing, server), "store", ("token", key), "tree");
            assert_eq!(stored.code, Some(SUCCESS), "{what}:\n{stored}");
            let restored = world.run((restoring, server), "restore", ("token", key), "odd");
            assert_eq!(restored.code, Some(SUCCESS), "{what}:\n{restored}");
            assert_eq!(restored.stdout, format!("Restored key {key}\n"), "{what}");
        }
        // As paths these lead elsewhere. They make the original server fail, and nothing else.
        for key in ["a/../../b", ".."] {
            let stored = world.run((Client::Ours, server), "store", ("token", key), "tree");
            let expected = if matches!(server, AnyServer::Ours(_)) { SUCCESS } else { ERROR };
            assert_eq!(stored.code, Some(expected), "{stored}");
        }
        let near = world.run((Client::Ours, server), "restore", ("token", "with+space"), "odd");
        assert_eq!(near.code, Some(NOT_FOUND), "{near}");
    }
}

#[test]
fn keys_in_other_scripts_work() {
    let world = World::http();
    TreeBuilder::new(world.setup.path("tree")).file("f", "x");
    // The original client panics when it is to restore such a key, whichever the server.
    for server in &world.servers {
        for client in CLIENTS {
            let key = format!("ключ-鍵-{client:?}");
            let stored = world.run((client, server), "store", ("token", &key), "tree");
            assert_eq!(stored.code, Some(SUCCESS), "{stored}");
            let restored = world.run((Client::Ours, server), "restore", ("token", &key), "other");
            assert_eq!(restored.code, Some(SUCCESS), "{restored}");
            assert_eq!(restored.stdout, format!("Restored key {key}\n"));
        }
    }
}

#[test]
fn several_keys_mean_the_same_to_everybody() {
    let world = World::http();
    TreeBuilder::new(world.setup.path("tree")).file("f", "x");
    for server in &world.servers {
        for storing in CLIENTS {
            let keys = format!("{storing:?}-1,{storing:?}-2");
            let stored = world.run((storing, server), "store", ("token", &keys), "tree");
            assert_eq!(stored.code, Some(SUCCESS), "{stored}");
            for restoring in CLIENTS {
                let keys = format!("none,{storing:?}-2,{storing:?}-1");
                let restored = world.run((restoring, server), "restore", ("token", &keys), "out");
                assert_eq!(restored.code, Some(OTHER_KEY), "{restored}");
                assert_eq!(restored.stdout, format!("Restored key {storing:?}-2\n"));
            }
        }
    }
}

#[test]
fn a_store_replaces_what_anybody_has_stored() {
    let world = World::http();
    for server in &world.servers {
        for (number, storing) in [Client::Ours, Client::Original, Client::Ours].iter().enumerate() {
            let tree = world.setup.path(format!("tree-{number}"));
            TreeBuilder::new(tree.clone()).file("f", format!("content {number}"));
            let tree = tree.to_str().unwrap();
            let stored = world.run((*storing, server), "store", ("token", "key"), tree);
            assert_eq!(stored.code, Some(SUCCESS), "{stored}");
            for restoring in CLIENTS {
                let restored = world.run((restoring, server), "restore", ("token", "key"), "out");
                assert_eq!(restored.code, Some(SUCCESS), "{restored}");
                let content = fs::read_to_string(world.setup.path("out/f")).unwrap();
                assert_eq!(content, format!("content {number}"), "{}", server.name());
            }
        }
    }
}

/// A token derived with `btdt token attenuate`, as users do.
fn attenuate(setup: &Setup, token: &str, arguments: &[&str], name: &str) {
    let all = [&["token", "attenuate"], arguments, &["--token-file", token]].concat();
    let derived = btdt(setup, &all).expect(SUCCESS);
    fs::write(setup.path(name), derived.stdout).unwrap();
    restrict_mode(&setup.path(name));
}

fn restrict_mode(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn attenuated_tokens_mean_the_same_to_everybody() {
    let world = World::http();
    TreeBuilder::new(world.setup.path("tree")).file("f", "x");
    let setup = &world.setup;
    attenuate(setup, "token", &["--operation", "put", "--cache", "default"], "put");
    attenuate(setup, "token", &["--operation", "get", "--ttl", "1h"], "get");
    attenuate(setup, "get", &["--cache", "default"], "get-twice");
    attenuate(setup, "token", &["--cache", "another"], "elsewhere");
    let now = u64::try_from(clock::now().seconds).unwrap();
    let limits = Restrictions {
        expires: Some(now + 3600),
        operations: vec![Operation::Get, Operation::Put],
        caches: vec!["default".to_owned()],
        ..Restrictions::default()
    };
    setup.write_token("issued", &limits);
    let past = Restrictions { expires: Some(now - 1), ..Restrictions::default() };
    setup.write_token("expired", &past);
    for server in &world.servers {
        for client in CLIENTS {
            for (token, may_store, may_restore) in [
                ("put", true, false),
                ("get", false, true),
                ("get-twice", false, true),
                ("elsewhere", false, false),
                ("issued", true, true),
                ("expired", false, false),
            ] {
                let code = |allowed| Some(if allowed { SUCCESS } else { ERROR });
                let what = format!("{client:?} with the token {token:?} at {}", server.name());
                let stored = world.run((client, server), "store", (token, "key"), "tree");
                assert_eq!(stored.code, code(may_store), "{what}:\n{stored}");
                let restored = world.run((client, server), "restore", (token, "key"), "out");
                assert_eq!(restored.code, code(may_restore), "{what}:\n{restored}");
            }
        }
    }
}
