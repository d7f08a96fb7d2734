//! A server that is measured, with a cache, a key and a token of its own.

use super::load::{self, Connection};
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const LONGEST_START: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(5);

/// A private key and a token for everything, which any server here accepts.
pub(super) struct Secrets {
    key: PathBuf,
    /// The file with the token.
    pub(super) token_file: PathBuf,
    /// The token.
    pub(super) token: String,
}

impl Secrets {
    /// Has `btdt` make them.
    pub(super) fn make(btdt: &Path, directory: &Path) -> Result<Self> {
        let (key, token_file) = (directory.join("key.pem"), directory.join("token"));
        process::capture(Command::new(btdt).args(["token", "keypair", "--private-key"]).arg(&key))?;
        let token =
            process::capture(Command::new(btdt).args(["token", "new", "--private-key"]).arg(&key))?;
        let token = token.trim().to_owned();
        // As private as the key, whose mode it takes.
        fs::copy(&key, &token_file).context("could not copy the key")?;
        fs::write(&token_file, &token).context("could not write the token")?;
        Ok(Self { key, token_file, token })
    }
}

/// A running server; killed when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts a server with the cache `default` in `cache`, and waits until it answers. Its
    /// configuration lies in `place`.
    pub(super) fn start(
        program: &Path,
        cache: &Path,
        secrets: &Secrets,
        place: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(cache).context("could not make the cache")?;
        let address = free_address()?;
        let config = place.join("server.toml");
        let text = format!(
            "bind_addrs = ['{address}']\nauth_private_key = '{}'\n[caches]\n\
             default = {{ type = 'Filesystem', path = '{}' }}\n",
            secrets.key.display(),
            cache.display()
        );
        fs::write(&config, text).context("could not write the server's configuration")?;
        let child = Command::new(program)
            .env("BTDT_SERVER_CONFIG_FILE", &config)
            .current_dir(place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let mut server = Self { child, address };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended before it answered: {status}");
            }
            let answer = Connection::open(self.address).and_then(|mut connection| {
                connection.send(&load::get("/api/health", ""))?;
                connection.receive()
            });
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if begin.elapsed() > LONGEST_START => {
                    return Err(error).context("the server does not answer");
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// The URL of its cache, as `--cache` takes it.
    pub(super) fn url(&self) -> String {
        format!("http://{}/api/caches/default", self.address)
    }

    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody used a moment ago. Not every server tells which one the system chose.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?)
}
