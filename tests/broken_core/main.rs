//! A core that traps at the worst moments: the tool says so, exits with 1 and leaves no damage.

#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod component;

use btdt_cli::{Printer, run};
use btdt_host_runtime::engine::Core;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }
}

/// Exit code, standard output and standard error of one run.
fn btdt(broken: bool, arguments: &[&Path]) -> (u8, String, String) {
    let (output, messages) = (Captured::default(), Captured::default());
    let printer = Printer::new(output.clone(), messages.clone());
    let name = OsString::from("btdt");
    let arguments = arguments.iter().map(|argument| argument.as_os_str().to_owned());
    let load = || {
        if broken {
            // SAFETY: xtask has precompiled the trapping variant like the real one.
            unsafe { Core::load(&component::trapping_core()) }
        } else {
            Core::embedded()
        }
    };
    let code = run(std::iter::once(name).chain(arguments), load, &printer);
    (code, output.text(), messages.text())
}

#[test]
fn a_trap_is_reported_and_leaves_no_damage() {
    let sandbox = tempfile::tempdir().unwrap();
    let path = |name: &str| sandbox.path().join(name);
    let (cache, source, destination) = (path("cache"), path("source"), path("destination"));
    fs::create_dir_all(&cache).unwrap();
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/file"), "first").unwrap();
    let flag = Path::new;
    let store = [flag("store"), flag("-q"), flag("-c"), &cache, flag("-k"), flag("k"), &source];
    let restore =
        [flag("restore"), flag("-q"), flag("-c"), &cache, flag("-k"), flag("k"), &destination];
    assert_eq!(btdt(false, &store), (0, String::new(), String::new()));

    fs::write(source.join("sub/file"), "second, and different").unwrap();
    let (code, output, messages) = btdt(true, &store);
    assert_eq!((code, output.as_str()), (1, ""), "{messages}");
    assert!(messages.contains("unreachable"), "{messages}");
    assert!(messages.contains("Error: Could not cache: "), "{messages}");
    assert!(messages.contains("Hint: this is a defect of btdt"), "{messages}");

    let (code, output, messages) = btdt(true, &restore);
    assert_eq!((code, output.as_str()), (1, ""), "{messages}");
    assert!(messages.contains("Error: Could not restore to: "), "{messages}");
    let left: Vec<_> = fs::read_dir(sandbox.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "neither a destination nor anything beside it: {left:?}");

    assert_eq!(btdt(false, &restore).0, 0);
    assert_eq!(fs::read(destination.join("sub/file")).unwrap(), b"first");
}
