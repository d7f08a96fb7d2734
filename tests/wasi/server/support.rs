//! The component in its host, with a cache and tokens in a directory of its own.

#[path = "../../server/support/raw.rs"]
mod raw;

pub(crate) use raw::{Answer, Raw};

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.btdt.manifest+cbor";

/// The host.
fn host() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wasi-serve"))
}

/// A native program, which belongs to another package: it is beside the host once all is built.
pub(crate) fn native(name: &str) -> PathBuf {
    let path = host().with_file_name(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// The server component, compiled once for all tests.
fn component() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| compiled("btdt-server"))
}

/// The command component.
fn command_component() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| compiled("btdt"))
}

/// Compiles a component that `cargo xtask compose` has made.
fn compiled(name: &str) -> PathBuf {
    let directory = host().parent().unwrap().with_file_name("component");
    let component = directory.join(format!("{name}.wasm"));
    assert!(component.exists(), "{} is missing: run `cargo xtask compose`", component.display());
    let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.cwasm"));
    let mut command = Command::new(runner());
    command.arg("--precompile").arg(component).arg(&compiled);
    assert!(command.status().unwrap().success());
    compiled
}

/// The host of commands.
fn runner() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wasi-run"))
}

/// A directory with a key, a token for everything, a small tree, and an empty cache.
pub(crate) struct Setup {
    directory: TempDir,
    /// Variables of the server.
    variables: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("btdt-wasi-").tempdir().unwrap();
        let mut setup = Setup { directory, variables: Vec::new() };
        setup.set("BTDT_AUTH_PRIVATE_KEY", "/data/key.pem");
        setup.set("BTDT_CACHES__DEFAULT__PATH", "/data/cache");
        let made = setup.btdt(&["token", "keypair", "--private-key", "key.pem"]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        setup.make_token("token", &[]);
        fs::create_dir_all(setup.path("tree/sub/empty")).unwrap();
        fs::write(setup.path("tree/file"), "content").unwrap();
        fs::write(setup.path("tree/sub/other"), vec![7; 100_000]).unwrap();
        setup
    }

    /// Sets a variable of the server.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable of the server away.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(other, _)| other != name);
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a token with these options of `btdt token new`.
    pub(crate) fn make_token(&self, name: &str, options: &[&str]) {
        let made = self.btdt(&[&["token", "new", "--private-key", "key.pem"], options].concat());
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        fs::write(self.path(name), made.stdout).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The header with a token.
    pub(crate) fn bearer(&self, token: &str) -> String {
        format!("Bearer {}", fs::read_to_string(self.path(token)).unwrap().trim())
    }

    /// Runs the native command line in the directory.
    pub(crate) fn btdt(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(native("btdt"));
        command.env_clear().args(arguments).current_dir(self.directory.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs the component of the command line in the directory.
    pub(crate) fn wasi_btdt(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(runner());
        command.env_clear().arg(command_component()).args(arguments);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs the native one with a cache and the token for everything; the exit code has to be this one.
    #[track_caller]
    pub(crate) fn client(&self, cache: &str, arguments: &[&str], code: i32) -> String {
        let (command, rest) = arguments.split_first().unwrap();
        let output = self.btdt(&[&[*command, "-c", cache, "-a", "token"], rest].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
    }

    /// All files of the cache, relative to it.
    pub(crate) fn cache_files(&self) -> Vec<String> {
        let root = self.path("cache");
        let mut files = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }

    /// Those of them that begin with this.
    pub(crate) fn files_in(&self, directory: &str) -> Vec<String> {
        let mut files = self.cache_files();
        files.retain(|file| file.starts_with(directory));
        files
    }

    /// Starts the component and waits until its host listens.
    pub(crate) fn start(&self) -> Server {
        let mut command = Command::new(host());
        command.env_clear().arg(component());
        command.arg("--dir").arg(format!("{}::/data", self.directory.path().display()));
        for (name, value) in &self.variables {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('"').next());
        let address = address.unwrap_or_else(|| panic!("it does not listen: {line:?}")).to_owned();
        Server { child, address, _stdout: stdout }
    }
}

/// The component in its host, which ends with this.
pub(crate) struct Server {
    child: Child,
    address: String,
    /// It is not closed before the host ends.
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub(crate) fn connect(&self) -> Raw {
        Raw::connect(&self.address)
    }

    /// The URL of a cache.
    pub(crate) fn cache(&self, name: &str) -> String {
        format!("http://{}/api/caches/{name}", self.address)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.connect().request(method, target, headers, body).unwrap()
    }

    /// Ends it; all that it said on standard error.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
