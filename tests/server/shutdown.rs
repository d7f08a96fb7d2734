//! The server ends when it is told to: in good order, and not for ever.

use crate::support::{Raw, Server, Setup, chunked};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpStream;
use std::process::Command;

const PUT: &str =
    "PUT /api/caches/default?key=k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n";

/// A request that has begun, and whose body is not complete.
fn begin_put(setup: &Setup, server: &Server) -> Raw {
    let mut raw = Raw::connect(server.address());
    let head = format!("{PUT}authorization: {}\r\n\r\n200\r\n", setup.bearer());
    raw.send(head.as_bytes()).unwrap();
    crate::support::until(|| server.running() == 1);
    raw
}

#[test]
fn what_takes_too_long_is_cut_off() {
    let setup = Setup::new("shutdown_grace_period = '1s'");
    let mut server = setup.start();
    let mut raw = begin_put(&setup, &server);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    server.await_log("cut off");
    assert!(raw.answer(false).is_err(), "there is no answer to half a request");
}

#[test]
fn a_second_signal_cuts_off_at_once() {
    let setup = Setup::new("shutdown_grace_period = '1h'");
    let mut server = setup.start();
    let _raw = begin_put(&setup, &server);
    server.signal(Signal::TERM);
    server.await_log("Stopping");
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_is_running_is_finished() {
    let setup = Setup::new("shutdown_grace_period = '1h'");
    let mut server = setup.start();
    let mut raw = begin_put(&setup, &server);
    server.signal(Signal::TERM);
    server.await_log("Stopping");
    assert!(TcpStream::connect(server.address()).is_err(), "it still accepts connections");
    // An empty archive: one block of the 512 bytes announced, and another.
    let zeros = [0; 512];
    raw.send(&[&zeros[..], b"\r\n", &chunked(&zeros, 512)].concat()).unwrap();
    let answer = raw.answer(false).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(server.wait().code(), Some(0));
    server.await_log("Stopped");
    assert!(!server.log().contains("cut off"));
    assert_eq!(fs::read_dir(setup.path("cache/keys")).unwrap().count(), 1);
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let setup = Setup::new("shutdown_grace_period = '1h'");
    let mut server = setup.start();
    let mut ready = Raw::connect(server.address());
    assert_eq!(ready.request("GET", "/api/ready", &[], b"").unwrap().status, 200);
    let mut late = Raw::connect(server.address());
    late.send(b"GET /api/ready HTTP/1.1\r\n").unwrap();
    // Both have arrived once something else has been answered on a younger connection.
    crate::support::until(|| server.metric("btdt_connections", &[]) == 3);
    server.signal(Signal::TERM);
    server.await_log("Stopping");
    late.send(b"host: x\r\n\r\n").unwrap();
    // A server that has seen nothing of the request may just close.
    if let Ok(answer) = late.answer(false) {
        assert_eq!((answer.status, answer.text().as_str()), (503, "stopping"));
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn idle_connections_do_not_delay_it() {
    let setup = Setup::new("shutdown_grace_period = '1h'");
    let mut server = setup.start();
    let mut idle: Vec<Raw> = (0..5).map(|_| Raw::connect(server.address())).collect();
    idle[0].request("GET", "/api/health", &[], b"").unwrap();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    server.await_log("Stopped");
    assert!(!server.log().contains("cut off"));
}

/// What `unshare` cannot do here is no fault of the server.
fn can_unshare(arguments: &[&str]) -> bool {
    let tried = Command::new("unshare").args(arguments).arg("true").output();
    tried.is_ok_and(|tried| tried.status.success())
}

#[test]
fn it_ends_as_the_first_process_of_a_container() {
    let arguments = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !can_unshare(&arguments) {
        eprintln!("Skipped: there are no namespaces of processes here.");
        return;
    }
    let setup = Setup::new("shutdown_grace_period = '1h'");
    for signal in [Signal::TERM, Signal::INT] {
        let command = setup.wrapped_server_command("unshare", &arguments);
        let mut server = Server::start(command);
        let pid = server.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let child = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
        kill_process(child, signal).unwrap();
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        server.await_log("Stopped");
    }
}
