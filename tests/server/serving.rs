//! The first things that anybody does with a server.

use crate::support::{Raw, Setup};
use rustix::process::Signal;

#[test]
fn a_tree_goes_to_the_server_and_comes_back() {
    let setup = Setup::new("");
    let server = setup.start();
    std::fs::create_dir(setup.path("tree")).unwrap();
    std::fs::write(setup.path("tree/file"), "content").unwrap();
    let cache = server.cache("default");
    let arguments = ["-c", &cache, "-a", "token", "-k", "key"];
    let missed = setup.btdt(&[&["restore"], &arguments[..], &["restored"]].concat());
    assert_eq!(missed.status.code(), Some(4), "{missed:?}");
    let stored = setup.btdt(&[&["store"], &arguments[..], &["tree"]].concat());
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    let restored = setup.btdt(&[&["restore"], &arguments[..], &["restored"]].concat());
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert_eq!(restored.stdout, b"Restored key key\n");
    assert_eq!(std::fs::read(setup.path("restored/file")).unwrap(), b"content");
}

#[test]
fn a_signal_ends_it_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let setup = Setup::new("");
        let mut server = setup.start();
        let answer = Raw::connect(server.address()).request("GET", "/api/health", &[], b"");
        assert_eq!(answer.unwrap().body, b"OK");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    }
}
