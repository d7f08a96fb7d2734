//! A real server in a directory of its own, clients for it, and requests byte by byte.

#![allow(dead_code, reason = "every test binary uses another part")]

mod probe;
mod raw;

pub(crate) use probe::{Counted, Harm, Proxy, Way, chunked, noise, same_files, until};
pub(crate) use raw::{Answer, Raw};

use btdt_host_runtime::auth::{PrivateKey, Restrictions, issue, load_or_create};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The server under test.
pub(crate) fn server_path() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_btdt-server"))
}

/// The command-line tool, which belongs to another package: it is beside the server once all is
/// built.
pub(crate) fn btdt_path() -> PathBuf {
    let path = server_path().with_file_name("btdt");
    assert!(path.exists(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// A directory with a key, a token for everything, and a configuration.
pub(crate) struct Setup {
    directory: TempDir,
    key: PrivateKey,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// A setup whose configuration has these lines before its table of caches, beside one cache
    /// `default` in a directory and one cache `memory`.
    pub(crate) fn new(lines: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("btdt-server-").tempdir().unwrap();
        let path = directory.path();
        let key_path = path.join("key.pem");
        let (key, _) = load_or_create(&key_path).unwrap();
        let cache = path.join("cache");
        fs::create_dir(&cache).unwrap();
        let config = format!(
            "bind_addrs = ['127.0.0.1:0']\nauth_private_key = '{}'\n{lines}\n[caches]\n\
             default = {{ type = 'Filesystem', path = '{}' }}\nmemory = {{ type = 'InMemory' }}\n",
            key_path.display(),
            cache.display(),
        );
        fs::write(path.join("config.toml"), config).unwrap();
        let setup = Setup { directory, key, environment: Vec::new() };
        setup.write_token("token", &Restrictions::default());
        setup
    }

    /// Adds a variable to the environment of servers.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A token for everything.
    pub(crate) fn token(&self) -> PathBuf {
        self.path("token")
    }

    /// The text of a token within these restrictions.
    pub(crate) fn issue(&self, restrictions: &Restrictions) -> String {
        issue(&self.key, restrictions).unwrap()
    }

    /// A file with a token within these restrictions.
    pub(crate) fn write_token(&self, name: &str, restrictions: &Restrictions) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, self.issue(restrictions)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A command of the server with this setup and nothing of this process's environment.
    pub(crate) fn server_command(&self) -> Command {
        let mut command = Command::new(server_path());
        command.env_clear().env("BTDT_SERVER_CONFIG_FILE", self.path("config.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// The same, run by another program that takes these arguments before it.
    pub(crate) fn wrapped_server_command(&self, program: &str, arguments: &[&str]) -> Command {
        let inner = self.server_command();
        let mut command = Command::new(program);
        command.env_clear().args(arguments).arg(inner.get_program());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start(&self) -> Server {
        Server::start(self.server_command())
    }

    /// Runs the command-line tool in the directory of this setup.
    pub(crate) fn btdt(&self, arguments: &[&str]) -> Output {
        self.btdt_command(arguments).output().unwrap()
    }

    /// A command that does.
    pub(crate) fn btdt_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(btdt_path());
        command.env_clear().args(arguments).current_dir(self.directory.path());
        command.stdin(Stdio::null());
        command
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts `command` and waits until it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                let log = log.lock().unwrap();
                panic!("the server ended before it listened: {log:?}, {:?}", child.wait());
            };
            let url = url_in(&line);
            log.lock().unwrap().push(line);
            if let Some(url) = url {
                break url;
            }
        };
        let rest = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                rest.lock().unwrap().push(line);
            }
        });
        Server { child, url, log }
    }

    /// Where it listens: `http://127.0.0.1:PORT`, or `https`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// The URL of a cache.
    pub(crate) fn cache(&self, name: &str) -> String {
        format!("{}/api/caches/{name}", self.url)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines of the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until the log has this text.
    pub(crate) fn await_log(&self, text: &str) {
        until(|| self.log().contains(text));
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// What it uses of memory, in bytes, now and at most so far.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
        };
        (value("VmRSS:"), value("VmHWM:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url_in(line: &str) -> Option<String> {
    if !line.contains("Listening") {
        return None;
    }
    let start = line.find("http")?;
    let end = line[start..].find(['"', ' ']).map_or(line.len(), |end| start + end);
    Some(line[start..end].to_owned())
}
