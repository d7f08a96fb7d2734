//! The client and the server of the release before this one, as their users have them.

use crate::shared::{Outcome, Running, clean_command};
use crate::support::{Setup, btdt_path};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// One of the two command-line tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Ours,
    Original,
}

impl Client {
    pub(crate) fn path(self) -> PathBuf {
        match self {
            Client::Ours => btdt_path(),
            Client::Original => original("btdt"),
        }
    }

    /// Runs it in the directory of a setup, with nothing of this process's environment.
    #[track_caller]
    pub(crate) fn run(self, setup: &Setup, arguments: &[&str]) -> Outcome {
        let mut command = clean_command(&self.path(), &setup.path(""));
        command.args(arguments);
        Running::start(command).finish()
    }
}

/// A program of that release. `cargo xtask test` installs them.
pub(crate) fn original(program: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join("tools/original/bin").join(program);
    assert!(
        path.is_file(),
        "the original `{program}` is not at {}; run `cargo xtask test`, which installs it",
        path.display()
    );
    path
}

/// A running server of that release, with the key of a setup; killed when dropped.
pub(crate) struct OriginalServer {
    child: Child,
    url: String,
}

impl OriginalServer {
    /// Starts it with caches as those of the setup, and waits until it listens. With a keystore and
    /// its password it speaks TLS.
    pub(crate) fn start(setup: &Setup, keystore: Option<(&Path, &str)>) -> Self {
        let cache = setup.path("original-cache");
        fs::create_dir_all(&cache).unwrap();
        let config = setup.path("original.toml");
        let text = format!(
            "[caches]\ndefault = {{ type = 'Filesystem', path = '{}' }}\n\
             memory = {{ type = 'InMemory' }}\n",
            cache.display()
        );
        fs::write(&config, text).unwrap();
        // It wants its key to be as it writes them.
        let key = setup.path("original-key.pem");
        fs::copy(setup.path("key.pem"), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = clean_command(&original("btdt-server"), &setup.path(""));
        command.env("BTDT_SERVER_CONFIG_FILE", config).env("BTDT_AUTH_PRIVATE_KEY", key);
        command.env("BTDT_BIND_ADDRS", "127.0.0.1:0");
        if let Some((path, password)) = keystore {
            command.env("BTDT_TLS_KEYSTORE", path).env("BTDT_TLS_KEYSTORE_PASSWORD", password);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Its log has to be read, so that it never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let port = loop {
            if let Some(port) = listening_port(child.id()) {
                break port;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the original server ended before it listened: {status}");
            }
            std::thread::yield_now();
        };
        let scheme = if keystore.is_some() { "https" } else { "http" };
        Self { child, url: format!("{scheme}://127.0.0.1:{port}") }
    }

    /// The URL of a cache.
    pub(crate) fn cache(&self, name: &str) -> String {
        format!("{}/api/caches/{name}", self.url)
    }
}

impl Drop for OriginalServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port at which a process listens. That release prints the port it was told, which is 0 when
/// the system chooses.
fn listening_port(process: u32) -> Option<u16> {
    const LISTENING: &str = "0A";
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_its = fields.get(3) == Some(&LISTENING)
            && fields.get(9).is_some_and(|inode| sockets.iter().any(|socket| socket == inode));
        let (_, port) = fields.get(1).filter(|_| is_its)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    })
}
