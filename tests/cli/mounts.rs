//! What is mounted in a destination is not part of it, whichever file system it comes from.

use std::fs;
use std::path::Path;

use crate::support::binary::btdt_path;
use crate::support::process::clean_command;
use crate::support::{ERROR, Outcome, Running, SUCCESS, Sandbox, assert_same};

/// Runs the program where `kept` is mounted at `place`; `None` where nothing can be mounted.
fn run_with_mount(sandbox: &Sandbox, place: &str, args: &[&str]) -> Option<Outcome> {
    let start = |program: &Path, args: &[&str]| {
        let mut unshare = clean_command(Path::new("unshare"), sandbox.root());
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        unshare.arg("mount --bind kept \"$0\" && exec \"$@\"").arg(place);
        unshare.arg(program).args(args);
        Running::start(unshare).finish()
    };
    if start(Path::new("true"), &[]).code != Some(SUCCESS) {
        eprintln!("Skipped: directories cannot be mounted here.");
        return None;
    }
    Some(start(btdt_path(), args))
}

#[test]
fn an_exact_restore_does_not_delete_what_is_mounted() {
    for place in ["dest/mounted", "dest/extra/inner/mounted"] {
        let sandbox = Sandbox::new();
        sandbox.tree("src").file("file", "content");
        sandbox.store("k", "src").expect(SUCCESS);
        sandbox.tree("kept").file("deep/precious", "x").file("file", "y");
        let kept = sandbox.snapshot("kept");
        fs::create_dir_all(sandbox.path(place)).unwrap();
        let args = ["restore", "-c", "cache", "-k", "k", "--exact", "dest"];
        let Some(outcome) = run_with_mount(&sandbox, place, &args) else { return };
        let name = place.strip_prefix("dest/").unwrap().split('/').next().unwrap();
        outcome.expect(ERROR).says(name).says("busy");
        assert_same(&kept, &sandbox.snapshot("kept"), place);
        // Where nothing is mounted any more, it goes.
        sandbox.run(args).expect(SUCCESS);
        assert_eq!(sandbox.snapshot("dest").names(), ["file"]);
    }
}
