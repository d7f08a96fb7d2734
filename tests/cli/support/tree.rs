//! What a directory holds, in a form that can be compared: kinds, contents, modes, times, links.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::runtime::runtime;

/// Seconds and nanoseconds since the epoch.
pub(crate) type Time = (i64, i64);

/// One entry of a tree.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Dir {
        mode: u32,
        time: Time,
    },
    File {
        content: Vec<u8>,
        mode: u32,
        time: Time,
        /// The first name, in byte order, of the same file within the tree.
        first_name: Vec<u8>,
    },
    Link {
        target: Vec<u8>,
        time: Time,
    },
    Special,
}

impl Node {
    pub(super) fn time(&self) -> Option<Time> {
        match self {
            Self::Dir { time, .. } | Self::File { time, .. } | Self::Link { time, .. } => {
                Some(*time)
            }
            Self::Special => None,
        }
    }

    fn time_mut(&mut self) -> Option<&mut Time> {
        match self {
            Self::Dir { time, .. } | Self::File { time, .. } | Self::Link { time, .. } => {
                Some(time)
            }
            Self::Special => None,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir { mode, time } => write!(out, "dir mode={mode:04o} time={time:?}"),
            Self::File { content, mode, time, first_name } => write!(
                out,
                "file mode={mode:04o} time={time:?} size={} fingerprint={:016x} first_name={}",
                content.len(),
                fingerprint(content),
                first_name.escape_ascii()
            ),
            Self::Link { target, time } => {
                write!(out, "symlink -> {} time={time:?}", target.escape_ascii())
            }
            Self::Special => write!(out, "special file"),
        }
    }
}

/// Everything below one path; the path itself has the empty name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Reads the tree at `root`, which may also be a single file.
    #[track_caller]
    pub(crate) fn of(root: &Path) -> Self {
        let mut reader = Reader::default();
        reader.visit(root, Vec::new());
        Self { nodes: reader.nodes }
    }

    /// Gives a file the time that it has in another tree.
    pub(crate) fn copy_time(&mut self, name: &str, other: &Self) {
        if let (Some(Node::File { time, .. }), Some(Node::File { time: copied, .. })) =
            (self.nodes.get_mut(name.as_bytes()), other.nodes.get(name.as_bytes()))
        {
            *time = *copied;
        }
    }

    /// The names without the root's, as text.
    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes
            .keys()
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    #[track_caller]
    pub(crate) fn get(&self, name: impl AsRef<[u8]>) -> &Node {
        let name = name.as_ref();
        self.nodes
            .get(name)
            .unwrap_or_else(|| panic!("no {:?} in the tree", name.escape_ascii().to_string()))
    }

    /// Without one entry, and without the time of its directory, which adding it changed.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.nodes.remove(name.as_bytes());
        self
    }

    /// Only names, kinds, contents and modes: for tests that are not about times and hard links.
    pub(crate) fn content(mut self) -> Self {
        for (name, node) in &mut self.nodes {
            match node {
                Node::Dir { time, .. } | Node::Link { time, .. } => *time = (0, 0),
                Node::File { time, first_name, .. } => {
                    *time = (0, 0);
                    first_name.clone_from(name);
                }
                Node::Special => {}
            }
        }
        self
    }
}

#[derive(Default)]
struct Reader {
    nodes: BTreeMap<Vec<u8>, Node>,
    first_names: HashMap<(u64, u64), Vec<u8>>,
}

impl Reader {
    #[track_caller]
    fn visit(&mut self, path: &Path, name: Vec<u8>) {
        let metadata = fs::symlink_metadata(path)
            .unwrap_or_else(|error| panic!("cannot look at {}: {error}", path.display()));
        let time = (metadata.mtime(), metadata.mtime_nsec());
        let mode = metadata.mode() & 0o7777;
        let kind = metadata.file_type();
        let node = if kind.is_dir() {
            self.visit_children(path, &name);
            Node::Dir { mode, time }
        } else if kind.is_symlink() {
            let target = fs::read_link(path).expect("read a symlink");
            Node::Link { target: target.into_os_string().into_vec(), time }
        } else if kind.is_file() {
            let identity = (metadata.dev(), metadata.ino());
            let first_name = self.first_names.entry(identity).or_insert(name.clone());
            Node::File {
                content: fs::read(path).expect("read a file"),
                mode,
                time,
                first_name: first_name.clone(),
            }
        } else {
            assert!(kind.is_fifo() || kind.is_socket(), "unexpected kind of file");
            Node::Special
        };
        self.nodes.insert(name, node);
    }

    #[track_caller]
    fn visit_children(&mut self, path: &Path, name: &[u8]) {
        let mut children: Vec<_> = fs::read_dir(path)
            .expect("list a directory")
            .map(|entry| entry.expect("list a directory").file_name())
            .collect();
        children.sort();
        for child in children {
            let mut full = name.to_vec();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(child.as_bytes());
            self.visit(&path.join(OsStr::from_bytes(child.as_bytes())), full);
        }
    }
}

/// Fails the test with a list of what differs, as far as the runtime of the program under test can
/// keep it; contents are shown as fingerprints.
#[track_caller]
pub(crate) fn assert_same(expected: &Tree, actual: &Tree, context: impl fmt::Display) {
    let (expected, mut actual) = (runtime().keeps(expected), runtime().keeps(actual));
    for (name, node) in &mut actual.nodes {
        if let (Some(time), Some(wanted)) =
            (node.time_mut(), expected.nodes.get(name).and_then(Node::time))
            && runtime().is_time(wanted, *time)
        {
            *time = wanted;
        }
    }
    assert_equal(&expected, &actual, context);
}

/// Fails the test with a list of what differs, whatever the runtime of the program under test.
#[track_caller]
pub(crate) fn assert_equal(expected: &Tree, actual: &Tree, context: impl fmt::Display) {
    if expected == actual {
        return;
    }
    let mut differences = Vec::new();
    for (name, node) in &expected.nodes {
        match actual.nodes.get(name) {
            None => differences.push(format!("missing {}: {node:?}", name.escape_ascii())),
            Some(other) if other != node => differences.push(format!(
                "{}:\n    expected {node:?}\n    actual   {other:?}",
                name.escape_ascii()
            )),
            Some(_) => {}
        }
    }
    for (name, node) in &actual.nodes {
        if !expected.nodes.contains_key(name) {
            differences.push(format!("unexpected {}: {node:?}", name.escape_ascii()));
        }
    }
    panic!("{context}: the trees differ:\n  {}", differences.join("\n  "));
}

/// Fails the test when names, kinds, contents or modes differ, whatever the times and hard links.
#[track_caller]
pub(crate) fn same_content(expected: &Tree, actual: &Tree, context: impl fmt::Display) {
    assert_same(&expected.clone().content(), &actual.clone().content(), context);
}

/// FNV-1a: enough to tell two contents apart in a message.
fn fingerprint(content: &[u8]) -> u64 {
    content.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
