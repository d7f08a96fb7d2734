//! What happens to servers: full disks, sudden death, broken cores, many clients at once.

use crate::broken_core::trapping_core;
use crate::support::{Raw, Server, Setup, same_files, until};
use btdt_host_runtime::engine::Core;
use rustix::process::Signal;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Clients at the same time.
const CLIENTS: usize = 16;

fn arguments<'a>(command: &'a str, cache: &'a str, key: &'a str, tree: &'a str) -> [&'a str; 8] {
    [command, "-c", cache, "-a", "token", "-k", key, tree]
}

fn start(setup: &Setup, arguments: &[&str]) -> Child {
    setup.btdt_command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A server whose cache is on a small file system of its own, which is found in its `/proc/PID/root`.
fn start_on_small_disk(setup: &Setup, size: &str) -> Option<Server> {
    let namespace = ["--user", "--map-root-user", "--mount"];
    let tried = Command::new("unshare")
        .args(namespace)
        .args(["mount", "-t", "tmpfs", "none"])
        .arg(setup.path("cache"))
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("Skipped: file systems cannot be mounted here.");
        return None;
    }
    let script = format!("mount -t tmpfs -o size={size} none cache && exec \"$0\" \"$@\"");
    let mut arguments = namespace.to_vec();
    arguments.extend(["sh", "-c", &script]);
    Some(Server::start(setup.wrapped_server_command("unshare", &arguments)))
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let setup = Setup::new("");
    let Some(server) = start_on_small_disk(&setup, "8m") else { return };
    let cache = server.cache("default");
    setup.random_tree("small", 2, 1 << 20);
    setup.random_tree("large", 10, 1 << 20);
    let stored = setup.btdt(&arguments("store", &cache, "small", "small"));
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let refused = setup.btdt(&arguments("store", &cache, "large", "large"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
    assert!(said.contains("full") || said.contains("no space"), "{said}");
    // As an archive as well.
    let bearer = setup.bearer();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-tar")];
    let archive = Command::new("tar")
        .args(["-c", "large"])
        .current_dir(setup.path(""))
        .output()
        .unwrap()
        .stdout;
    let mut raw = Raw::connect(server.address());
    let answer = raw.request("PUT", "/api/caches/default?key=tar", &headers, &archive).unwrap();
    assert_eq!(answer.status, 507, "{}", answer.text());
    // All else goes on.
    for (key, code) in [("large", 4), ("tar", 4), ("small", 0)] {
        let restored = setup.btdt(&arguments("restore", &cache, key, "again"));
        assert_eq!(restored.status.code(), Some(code), "{key} {restored:?}");
    }
    assert!(same_files(&setup.path("small"), &setup.path("again")));
    // Room is made by whoever looks after the disk: here, what the failed stores left.
    let disk = format!("/proc/{}/root{}", server.pid(), setup.path("cache").display());
    let cleaned = setup.btdt(&["clean", "-c", &disk, "--max-size", "0", "--grace-period", "0s"]);
    assert_eq!(cleaned.status.code(), Some(0), "{cleaned:?}");
    for directory in ["aside", "chunks"] {
        let _ = fs::remove_dir_all(format!("{disk}/{directory}"));
        fs::create_dir(format!("{disk}/{directory}")).unwrap();
    }
    let stored = setup.btdt(&arguments("store", &cache, "small", "small"));
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let restored = setup.btdt(&arguments("restore", &cache, "small", "again"));
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
}

#[test]
fn a_cache_that_cannot_be_written_is_served() {
    let setup = Setup::new("");
    setup.random_tree("tree", 2, 1 << 20);
    let stored = setup.btdt(&["store", "-c", "cache", "-k", "k", "tree"]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let namespace = ["--user", "--map-root-user", "--mount"];
    let script = "mount --bind cache cache && mount -o remount,bind,ro cache && exec \"$0\" \"$@\"";
    let tried = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", &format!("{script} true")])
        .current_dir(setup.path(""))
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("Skipped: file systems cannot be mounted here.");
        return;
    }
    let mut wrapper = namespace.to_vec();
    wrapper.extend(["sh", "-c", script]);
    let server = Server::start(setup.wrapped_server_command("unshare", &wrapper));
    let cache = server.cache("default");
    let restored = setup.btdt(&arguments("restore", &cache, "k", "again"));
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert!(same_files(&setup.path("tree"), &setup.path("again")));
    setup.random_tree("other", 1, 1000);
    let refused = setup.btdt(&arguments("store", &cache, "other", "other"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn a_killed_server_starts_again_and_has_lost_nothing() {
    let setup = Setup::new("");
    let mut server = setup.start();
    setup.random_tree("committed", 4, 1 << 20);
    let stored =
        setup.btdt(&arguments("store", &server.cache("default"), "committed", "committed"));
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let names: Vec<String> = (0..CLIENTS).map(|index| format!("tree-{index}")).collect();
    for name in &names {
        setup.random_tree(name, 4, 1 << 20);
    }
    let before = server.chunks_sent("201");
    let cache = server.cache("default");
    let clients: Vec<Child> =
        names.iter().map(|name| start(&setup, &arguments("store", &cache, name, name))).collect();
    until(|| server.chunks_sent("201") >= before + 10);
    server.signal(Signal::KILL);
    server.wait();
    // The clients find a new server at the same place, as they would in a cluster.
    let config = fs::read_to_string(setup.path("config.toml")).unwrap();
    let config = config.replace("127.0.0.1:0", server.address());
    fs::write(setup.path("config.toml"), config).unwrap();
    let server = setup.start();
    for (client, name) in clients.into_iter().zip(&names) {
        let stored = client.wait_with_output().unwrap();
        let restored = setup.btdt(&arguments("restore", &cache, name, &format!("{name}-again")));
        match (stored.status.code(), restored.status.code()) {
            (Some(0), Some(0)) => {
                let again = setup.path(format!("{name}-again"));
                assert!(same_files(&setup.path(name), &again), "{name}");
            }
            // It may have been committed without anybody being told.
            (Some(1), Some(0 | 4)) => {}
            _ => panic!("{name}: {stored:?} {restored:?}"),
        }
        let stored = setup.btdt(&arguments("store", &cache, name, name));
        assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    }
    let restored = setup.btdt(&arguments("restore", &cache, "committed", "again"));
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert!(same_files(&setup.path("committed"), &setup.path("again")));
    assert_eq!(server.metric("btdt_core_traps_total", &[]), 0);
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn broken_server() {
    let server = btdt_server::Server::with_core(|instances| {
        // SAFETY: the build script embeds the artifact that xtask had precompiled for this target.
        unsafe { Core::load_pooled(&trapping_core(), instances) }
    });
    let arguments = ["btdt-server".into(), "start".into()];
    assert_eq!(btdt_server::run(arguments, std::env::vars_os(), &server), 0);
}

#[test]
fn a_core_that_traps_takes_nothing_with_it() {
    let setup = Setup::new("");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "adversity::broken_server", "--ignored", "--nocapture"]);
    command.env_clear().env("BTDT_SERVER_CONFIG_FILE", setup.path("config.toml"));
    let mut server = Server::start(command);
    let bearer = setup.bearer();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-tar")];
    let mut raw = Raw::connect(server.address());
    for traps in 1..=20 {
        let put = raw.request("PUT", "/api/caches/default?key=k", &headers, &[0; 1024]).unwrap();
        assert_eq!(put.status, 500, "{}", put.text());
        let id = put.header("x-request-id").unwrap();
        assert!(put.text().contains(id), "{}", put.text());
        assert!(!put.text().contains("panic"), "{}", put.text());
        server.await_log(id);
        assert_eq!(server.metric("btdt_core_traps_total", &[]), traps);
        let get = raw.request("GET", "/api/caches/default?key=k", &headers, b"").unwrap();
        assert_eq!(get.status, 204, "{}", get.text());
    }
    assert_eq!(server.metric("btdt_core_instances", &[]), 0);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_numbers_are_right() {
    let setup = Setup::new("");
    let server = setup.start();
    let cache = server.cache("default");
    setup.random_tree("tree", 2, 1 << 20);
    for (key, code) in [("k", 4), ("other", 4)] {
        let missed = setup.btdt(&arguments("restore", &cache, key, "again"));
        assert_eq!(missed.status.code(), Some(code));
    }
    setup.btdt(&arguments("store", &cache, "k", "tree"));
    setup.btdt(&arguments("restore", &cache, "k", "again"));
    let lookups = |result: &str| {
        let labels = ["cache=\"default\"", result];
        server.metric("btdt_lookups_total", &labels)
    };
    assert_eq!((lookups("hit"), lookups("miss")), (1, 2));
    let files = setup.chunk_files();
    let size = |file: &String| fs::metadata(setup.path("cache").join(file)).unwrap().len();
    let stored: u64 = files.iter().map(size).sum();
    assert_eq!(server.metric("btdt_stored_bytes_total", &["default"]), stored);
    assert_eq!(server.metric("btdt_deduplicated_bytes_total", &[]), 0);
    assert!(server.metric("btdt_received_bytes_total", &[]) > stored);
    assert!(server.metric("btdt_sent_bytes_total", &[]) > stored);
    // What the server has already: as an archive, its chunks are the same.
    let bearer = setup.bearer();
    let headers = [("authorization", bearer.as_str())];
    let mut raw = Raw::connect(server.address());
    let archive = raw.request("GET", "/api/caches/default?key=k", &headers, b"").unwrap().body;
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-tar")];
    let put = raw.request("PUT", "/api/caches/default?key=tar", &headers, &archive).unwrap();
    assert_eq!(put.status, 204, "{}", put.text());
    let new = server.metric("btdt_stored_bytes_total", &["default"]) - stored;
    let known = server.metric("btdt_deduplicated_bytes_total", &["default"]);
    assert!(new + known >= stored, "{new} {known} {stored}");
    assert!(known > 0);
}

#[test]
fn a_quota_is_kept_by_both_forms() {
    let setup = Setup::new("");
    let config = fs::read_to_string(setup.path("config.toml")).unwrap();
    let config = config.replace("type = 'InMemory'", "type = 'InMemory', quota = '3MB'");
    fs::write(setup.path("config.toml"), config).unwrap();
    let server = setup.start();
    server.await_log("Cleaned the cache cache=memory");
    let cache = server.cache("memory");
    setup.random_tree("small", 2, 1_000_000);
    setup.random_tree("large", 4, 1_000_000);
    let stored = setup.btdt(&arguments("store", &cache, "small", "small"));
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let refused = setup.btdt(&arguments("store", &cache, "large", "large"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let archive = Command::new("tar")
        .args(["-c", "large"])
        .current_dir(setup.path(""))
        .output()
        .unwrap()
        .stdout;
    let bearer = setup.bearer();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-tar")];
    let mut raw = Raw::connect(server.address());
    let answer = raw.request("PUT", "/api/caches/memory?key=tar", &headers, &archive).unwrap();
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert!(server.metric("btdt_stored_bytes_total", &["memory"]) <= 3_000_000);
    let restored = setup.btdt(&arguments("restore", &cache, "small", "again"));
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
}

#[test]
fn the_cleanup_removes_what_has_expired() {
    let lines = "[cleanup]\ninterval = '1s'\ncache_expiration = '1s'\ngrace_period = '0s'";
    let setup = Setup::new(lines);
    let server = setup.start();
    setup.random_tree("tree", 2, 1000);
    let stored = setup.btdt(&arguments("store", &server.cache("default"), "k", "tree"));
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    until(|| server.metric("btdt_evictions_total", &["default"]) == 1);
    assert_eq!(fs::read_dir(setup.path("cache/keys")).unwrap().count(), 0);
    until(|| setup.chunk_files().is_empty());
}

#[test]
fn many_transfers_fit_into_a_small_container() {
    let setup = Setup::new("");
    let server = setup.start();
    let cache = server.cache("default");
    setup.random_tree("tree", 8, 1 << 20);
    let stored = setup.btdt(&arguments("store", &cache, "k", "tree"));
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let trees: Vec<String> = (0..CLIENTS).map(|index| format!("tree-{index}")).collect();
    for tree in &trees {
        setup.random_tree(tree, 8, 1 << 20);
    }
    let bearer = setup.bearer();
    std::thread::scope(|scope| {
        for tree in &trees {
            let (setup, server, cache, bearer) = (&setup, &server, &cache, &bearer);
            // Both directions in both forms.
            scope.spawn(move || {
                let stored = setup.btdt(&arguments("store", cache, tree, tree));
                assert_eq!(stored.status.code(), Some(0), "{stored:?}");
            });
            scope.spawn(move || {
                let again = format!("{tree}-again");
                let restored = setup.btdt(&arguments("restore", cache, "k", &again));
                assert_eq!(restored.status.code(), Some(0), "{restored:?}");
                assert!(same_files(&setup.path("tree"), &setup.path(&again)));
            });
            let headers =
                [("authorization", bearer.as_str()), ("content-type", "application/x-tar")];
            scope.spawn(move || {
                let mut raw = Raw::connect(server.address());
                let got = raw.request("GET", "/api/caches/default?key=k", &headers, b"").unwrap();
                assert_eq!(got.status, 200);
                let put = format!("/api/caches/default?key={tree}-tar");
                let put = raw.request("PUT", &put, &headers, &got.body).unwrap();
                assert_eq!(put.status, 204, "{}", put.text());
            });
        }
    });
    let (_, most) = server.memory();
    assert!(most <= 256 << 20, "{} MiB", most >> 20);
}
