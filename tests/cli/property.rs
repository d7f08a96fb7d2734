//! Any small tree comes back identical through the real binary.
//!
//! `PROPTEST_CASES` chooses how many trees are tried.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::build::set_time;
use crate::support::tree::Time;
use crate::support::{Rng, SUCCESS, Sandbox, assert_same, runtime};

/// One step of building a tree. Places are chosen among what the steps before have made.
#[derive(Clone, Debug)]
enum Step {
    Dir { parent: usize, name: Vec<u8>, mode: u32, time: Time },
    File { parent: usize, name: Vec<u8>, mode: u32, time: Time, size: usize, seed: u64 },
    Symlink { parent: usize, name: Vec<u8>, target: Vec<u8>, time: Time },
    HardLink { parent: usize, name: Vec<u8>, of: usize },
}

/// Any byte but `/` and NUL, and no name that means something to the file system or to btdt.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => b'a'..=b'e',
        2 => 1u8..b'/',
        2 => (b'/' + 1)..=255u8,
    ];
    let length = prop_oneof![8 => 1usize..4, 2 => 4usize..30, 1 => 200usize..256];
    length
        .prop_flat_map(move |length| vec(byte.clone(), length))
        .prop_filter("a name of its own", |name| {
            name != b"." && name != b".." && name != b".btdtignore"
        })
}

fn time() -> impl Strategy<Value = Time> {
    let seconds = prop_oneof![
        Just(0i64),
        Just(-1),
        1_000_000_000i64..2_000_000_000,
        -2_000_000_000i64..8_000_000_000,
    ];
    let nanoseconds = prop_oneof![Just(0i64), Just(1), Just(999_999_999), 0i64..1_000_000_000];
    (seconds, nanoseconds)
}

fn step() -> impl Strategy<Value = Step> {
    let parent = any::<usize>();
    let mode = 0u32..=0o777;
    let size = prop_oneof![Just(0usize), 1usize..100, 1usize..20_000, 1_000_000usize..1_200_000];
    let target = vec(1u8..=255, 1..40);
    prop_oneof![
        3 => (parent, name(), mode.clone(), time())
            .prop_map(|(parent, name, mode, time)| Step::Dir { parent, name, mode, time }),
        5 => (parent, name(), mode, time(), size, 0u64..4)
            .prop_map(|(parent, name, mode, time, size, seed)| Step::File {
                parent, name, mode, time, size, seed,
            }),
        2 => (parent, name(), target, time())
            .prop_map(|(parent, name, target, time)| Step::Symlink { parent, name, target, time }),
        2 => (parent, name(), any::<usize>())
            .prop_map(|(parent, name, of)| Step::HardLink { parent, name, of }),
    ]
}

/// What has been made so far; modes and times of directories are set at the end, children first.
struct Maker {
    dirs: Vec<(PathBuf, u32, Time)>,
    files: Vec<PathBuf>,
    is_root: bool,
}

impl Maker {
    fn place(&self, parent: usize, name: &[u8]) -> Option<PathBuf> {
        let parent = &self.dirs[parent % self.dirs.len()].0;
        let path = parent.join(OsStr::from_bytes(&sayable(name)));
        // Two steps may choose one name, and deep trees may get too deep for one path.
        let taken = fs::symlink_metadata(&path).is_ok();
        (!taken && path.as_os_str().len() < 3_000).then_some(path)
    }

    /// Others than root cannot store what they cannot read.
    fn mode(&self, mode: u32, needed: u32) -> u32 {
        if self.is_root { mode } else { mode | needed }
    }

    fn make(&mut self, step: &Step) {
        match step {
            Step::Dir { parent, name, mode, time } => {
                if let Some(path) = self.place(*parent, name) {
                    fs::create_dir(&path).expect("make a directory");
                    self.dirs.push((path, self.mode(*mode, 0o700), *time));
                }
            }
            Step::File { parent, name, mode, time, size, seed } => {
                if let Some(path) = self.place(*parent, name) {
                    fs::write(&path, Rng::new(*seed).bytes(*size)).expect("write a file");
                    let mode = fs::Permissions::from_mode(self.mode(*mode, 0o400));
                    fs::set_permissions(&path, mode).expect("set permissions");
                    set_time(&path, time.0, time.1);
                    self.files.push(path);
                }
            }
            Step::Symlink { parent, name, target, time } => {
                if let Some(path) = self.place(*parent, name) {
                    let is_refused = |byte: &u8| *byte == b'\\' && !runtime().backslashes;
                    let target = target.iter().map(|b| if is_refused(b) { b'|' } else { *b });
                    let target = OsString::from_vec(target.collect());
                    symlink(target, &path).expect("make a symlink");
                    set_time(&path, time.0, time.1);
                }
            }
            Step::HardLink { parent, name, of } => {
                if let Some(path) = self.place(*parent, name)
                    && !self.files.is_empty()
                {
                    let existing = &self.files[of % self.files.len()];
                    fs::hard_link(existing, path).expect("make a hard link");
                }
            }
        }
    }

    fn finish(self) {
        for (path, mode, time) in self.dirs.into_iter().skip(1).rev() {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set permissions");
            set_time(&path, time.0, time.1);
        }
    }
}

/// A name that the runtime of the program under test can say.
fn sayable(name: &[u8]) -> Vec<u8> {
    let letter = |byte: &u8| match byte {
        128.. if !runtime().any_bytes => byte & 0x7F | 0x20,
        b'\\' if !runtime().backslashes => b'|',
        byte => *byte,
    };
    // A slash that was another character would make a path of a name.
    let name: Vec<u8> = name.iter().map(letter).collect();
    if runtime().any_bytes {
        name
    } else {
        name.iter().map(|b| if *b == b'/' { b'-' } else { *b }).collect()
    }
}

fn make_tree(root: PathBuf, steps: &[Step]) {
    fs::create_dir(&root).expect("make the root");
    let mut maker = Maker {
        dirs: vec![(root, 0o755, (0, 0))],
        files: Vec::new(),
        is_root: rustix::process::geteuid().is_root(),
    };
    for step in steps {
        maker.make(step);
    }
    maker.finish();
}

fn config(cases: u32) -> Config {
    Config {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(cases),
        // A failure prints the smallest tree; files of seeds beside the sources help nobody.
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    }
}

#[test]
fn any_tree_comes_back_identical() {
    let mut runner = TestRunner::new(config(48));
    let result = runner.run(&vec(step(), 0..24), |steps| {
        let sandbox = Sandbox::new();
        make_tree(sandbox.path("src"), &steps);
        let expected = sandbox.snapshot("src");
        sandbox.store("k", "src").expect(SUCCESS);
        sandbox.restore("k", "out").expect(SUCCESS);
        assert_same(&expected, &sandbox.snapshot("out"), "restored");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_tree_over_any_other_becomes_the_first() {
    let mut runner = TestRunner::new(config(32));
    let trees = (vec(step(), 0..16), vec(step(), 0..16));
    let result = runner.run(&trees, |(stored, present)| {
        let sandbox = Sandbox::new();
        make_tree(sandbox.path("src"), &stored);
        make_tree(sandbox.path("out"), &present);
        let expected = sandbox.snapshot("src");
        sandbox.store("k", "src").expect(SUCCESS);
        sandbox.run(["restore", "-c", "cache", "-k", "k", "--exact", "out"]).expect(SUCCESS);
        assert_same(&expected, &sandbox.snapshot("out"), "restored over another");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
