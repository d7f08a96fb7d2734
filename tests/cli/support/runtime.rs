//! What the program under test runs in, and what that can keep of a tree.
//!
//! Natively the suite runs the binary that cargo has built. With `BTDT_TEST_PROGRAM` it runs that
//! program instead, in the runtime that `BTDT_TEST_RUNTIME` names: the same command line, as a
//! component. What a runtime cannot do is said here, once, and nowhere else: trees are compared
//! without it, and the tests that are about it assert what `docs/wasi.md` promises instead.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::tree::{Node, Time, Tree};

/// How every line begins that says what a runtime cannot keep.
const NOTICE: &str = "Warning: This runtime ";

/// What the program under test can do where it runs.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// The name in `BTDT_TEST_RUNTIME`.
    pub(crate) name: &'static str,
    /// Permission bits are seen and set.
    pub(crate) modes: bool,
    /// By so many nanoseconds a time may be off after a restore.
    pub(crate) time_error: i64,
    /// There are times before 1970.
    pub(crate) early_times: bool,
    /// Symlinks have times of their own.
    pub(crate) link_times: bool,
    /// Symlinks may lead to absolute paths.
    pub(crate) absolute_links: bool,
    /// Names, arguments and targets of symlinks need not be UTF-8.
    pub(crate) any_bytes: bool,
    /// Caches are locked, so that a clean knows when nobody else is at work.
    pub(crate) locks: bool,
    /// A standard stream that cannot be written reports that to the program.
    pub(crate) stream_errors: bool,
    /// A backslash is a character like any other.
    pub(crate) backslashes: bool,
    /// Paths may be longer than a system call takes.
    pub(crate) long_paths: bool,
    /// A start takes so long that tests with very many of them make do with fewer.
    pub(crate) starts_slowly: bool,
}

const NATIVE: Runtime = Runtime {
    name: "native",
    modes: true,
    time_error: 0,
    early_times: true,
    link_times: true,
    absolute_links: true,
    any_bytes: true,
    locks: true,
    stream_errors: true,
    backslashes: true,
    long_paths: true,
    starts_slowly: false,
};

/// wasmtime's own implementation of WASI 0.2: all that the standard has.
const WASMTIME: Runtime = Runtime {
    name: "wasmtime",
    modes: false,
    early_times: false,
    absolute_links: false,
    any_bytes: false,
    locks: false,
    ..NATIVE
};

/// The shim that jco has for Node.js, which hands times on as floating-point numbers.
const JCO: Runtime = Runtime {
    name: "jco",
    time_error: 2_000,
    link_times: false,
    stream_errors: false,
    backslashes: false,
    long_paths: false,
    starts_slowly: true,
    ..WASMTIME
};

/// The runtime of this run of the suite.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| match env::var("BTDT_TEST_RUNTIME").as_deref() {
        Err(_) => NATIVE,
        Ok(name) => {
            let known = [NATIVE, WASMTIME, JCO].into_iter().find(|runtime| runtime.name == name);
            known.unwrap_or_else(|| panic!("BTDT_TEST_RUNTIME={name} is no runtime of this suite"))
        }
    })
}

/// The program that stands in for the native one, if there is any.
pub(crate) fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let program = env::var_os("BTDT_TEST_PROGRAM").map(PathBuf::from);
        assert_eq!(
            program.is_some(),
            runtime().name != NATIVE.name,
            "BTDT_TEST_PROGRAM and BTDT_TEST_RUNTIME belong together"
        );
        program
    });
    program.as_deref()
}

impl Runtime {
    /// Whether the program under test is the one that cargo has built.
    pub(crate) fn is_native(&self) -> bool {
        self.name == NATIVE.name
    }

    /// Says on standard output why a test asserts nothing here; tells whether it has to end.
    ///
    /// `tests/README.md` lists all places that call this.
    #[allow(clippy::print_stdout, reason = "a test says why it asserts nothing")]
    pub(crate) fn lacks(&self, what: &str, has: bool) -> bool {
        if !has {
            println!("nothing to test under {}: it has no {what}", self.name);
        }
        !has
    }

    /// The tree as this runtime would see it, or restore it.
    pub(crate) fn keeps(&self, tree: &Tree) -> Tree {
        let mut tree = tree.clone();
        let is_sayable = |name: &[u8]| self.backslashes || !name.contains(&b'\\');
        tree.nodes.retain(|name, node| is_sayable(name) && self.keeps_node(node));
        for node in tree.nodes.values_mut() {
            match node {
                Node::Dir { mode, time } | Node::File { mode, time, .. } => {
                    *mode = if self.modes { *mode } else { 0 };
                    *time = self.keeps_time(*time);
                }
                Node::Link { time, .. } if self.link_times => *time = self.keeps_time(*time),
                Node::Link { time, .. } => *time = (0, 0),
                Node::Special => {}
            }
        }
        tree
    }

    fn keeps_node(&self, node: &Node) -> bool {
        match node {
            Node::Link { target, .. } => {
                let is_absolute = target.starts_with(b"/");
                let is_text = std::str::from_utf8(target).is_ok();
                (self.absolute_links || !is_absolute) && (self.any_bytes || is_text)
            }
            _ => true,
        }
    }

    fn keeps_time(&self, time: Time) -> Time {
        // Some runtimes keep the nanoseconds of an early time, and some do not.
        if time.0 <= 0 && !self.early_times { (0, 0) } else { time }
    }

    /// Whether `actual` is what this runtime may make of a time that it is asked to set.
    pub(crate) fn is_time(&self, expected: Time, actual: Time) -> bool {
        let nanoseconds = |time: Time| i128::from(time.0) * 1_000_000_000 + i128::from(time.1);
        (nanoseconds(expected) - nanoseconds(actual)).abs() <= i128::from(self.time_error)
    }

    /// Takes the lines about what this runtime cannot keep out of what was said on stderr.
    pub(crate) fn take_notices(&self, stderr: &str) -> (String, Vec<String>) {
        let is_notice = |line: &&str| !self.is_native() && line.starts_with(NOTICE);
        let (notices, rest): (Vec<_>, Vec<_>) = stderr.split_inclusive('\n').partition(is_notice);
        (rest.concat(), notices.into_iter().map(str::to_owned).collect())
    }
}
