//! A server that is measured, with a cache, a key and a token of its own, and `wrk`, which sends it
//! requests.

use super::sample::Sample;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const LONGEST_START: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// The unit of CPU times in `/proc`, the same on all machines that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// A private key, and a token for everything that any server here accepts.
pub(super) struct Secrets {
    key: PathBuf,
    pub(super) token_file: PathBuf,
    token: String,
}

impl Secrets {
    /// Has `btdt` make them.
    pub(super) fn make(btdt: &Path, directory: &Path) -> Result<Self> {
        let (key, token_file) = (directory.join("key.pem"), directory.join("token"));
        process::capture(Command::new(btdt).args(["token", "keypair", "--private-key"]).arg(&key))?;
        let token =
            process::capture(Command::new(btdt).args(["token", "new", "--private-key"]).arg(&key))?;
        // As private as the key, whose mode it takes.
        fs::copy(&key, &token_file).context("could not copy the key")?;
        fs::write(&token_file, token.trim()).context("could not write the token")?;
        Ok(Self { key, token_file, token: token.trim().to_owned() })
    }
}

/// A running server; killed when dropped.
pub(super) struct Server<'a> {
    child: Child,
    address: SocketAddr,
    secrets: &'a Secrets,
}

impl<'a> Server<'a> {
    /// Starts a server with the cache `default` in `cache`, and waits until it answers. Its
    /// configuration lies in `place`.
    pub(super) fn start(
        program: &Path,
        cache: &Path,
        secrets: &'a Secrets,
        place: &Path,
    ) -> Result<Self> {
        // Free a moment ago. Not every server tells which one the system chose.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
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
        let mut server = Self { child, address, secrets };
        let begin = Instant::now();
        while !server.answers() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended before it answered: {status}");
            }
            if begin.elapsed() > LONGEST_START {
                bail!("the server does not answer");
            }
            thread::sleep(PAUSE);
        }
        Ok(server)
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(LONGEST_START))?;
            write!(stream, "GET /api/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The URL of its cache, as `--cache` takes it.
    pub(super) fn url(&self) -> String {
        format!("http://{}/api/caches/default", self.address)
    }

    /// Its memory now.
    pub(super) fn memory(&self) -> Result<Sample> {
        Ok(Sample { peak: Some(self.memory_field("VmRSS")?), ..Sample::default() })
    }

    /// Downloads these paths of its cache, all of them so many times, with `curl`: it is faster than
    /// `wrk` with large bodies, because it reads more at once.
    pub(super) fn download(
        &self,
        paths: &[String],
        times: usize,
        connections: u32,
        place: &Path,
    ) -> Result<Sample> {
        let config = place.join("curl.config");
        let mut text = format!("header = \"authorization: Bearer {}\"\n", self.secrets.token);
        for path in (0..times).flat_map(|_| paths) {
            text.push_str(&format!("url = \"{}{path}\"\noutput = /dev/null\n", self.url()));
        }
        fs::write(&config, text).context("could not write curl's configuration")?;
        let mut curl = Command::new("curl");
        curl.args(["--no-progress-meter", "--fail", "--fail-early", "--parallel"]);
        curl.args(["--write-out", "%{size_download}\\n", "--parallel-max"]);
        curl.arg(connections.to_string()).arg("--config").arg(&config);
        let cpu = self.cpu()?;
        let begin = Instant::now();
        let sizes = process::capture(&mut curl)?;
        let wall = begin.elapsed().as_secs_f64();
        let cpu = self.cpu()? - cpu;
        let bytes = sizes.lines().filter_map(|line| line.parse::<f64>().ok()).sum();
        let peak = Some(self.memory_field("VmHWM")?);
        Ok(Sample { wall, cpu, peak, bytes, ..Sample::default() })
    }

    /// Requests an entry as an archive again and again with `wrk`, on so many connections, all of
    /// them busy for so many seconds.
    ///
    /// # Errors
    /// When a request is not answered with 200, or `wrk` fails.
    pub(super) fn load(
        &self,
        script: &Path,
        key: &str,
        connections: u32,
        seconds: u32,
    ) -> Result<Sample> {
        let mut wrk = Command::new("wrk");
        // More threads would only take the cores from the server, which is on the same machine.
        wrk.arg(format!("--threads={}", connections.min(2)));
        wrk.arg(format!("--connections={connections}")).arg(format!("--duration={seconds}s"));
        wrk.arg("--timeout=60s")
            .arg(format!("--header=authorization: Bearer {}", self.secrets.token));
        wrk.arg("--script").arg(script).arg(format!("{}?key={key}", self.url()));
        let cpu = self.cpu()?;
        let text = process::capture(&mut wrk)?;
        let cpu = self.cpu()? - cpu;
        let words = text.lines().next_back().unwrap_or_default().split(' ');
        let numbers: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
        let [requests, bytes, micros, errors] = numbers[..] else {
            bail!("wrk's report is not as expected: {text}");
        };
        if errors > 0.0 {
            bail!("{errors} of {requests} requests failed");
        }
        let peak = Some(self.memory_field("VmHWM")?);
        Ok(Sample { wall: micros * 1e-6, cpu, peak, requests, bytes, ..Sample::default() })
    }

    /// A figure of its memory, in bytes.
    fn memory_field(&self, name: &str) -> Result<f64> {
        let text = self.proc_file("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.with_context(|| format!("/proc tells no {name}"))? * 1024.0)
    }

    /// Its CPU time so far, in seconds.
    fn cpu(&self) -> Result<f64> {
        let text = self.proc_file("stat")?;
        // The second field is a name in parentheses, which may have spaces in it.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: Vec<f64> = ticks.filter_map(|field| field.parse().ok()).collect();
        Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("could not read {path}"))
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
