//! What a server says about itself, and connections that break.

use super::{Raw, Server, Setup};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often something is looked at that comes without a sign.
const LOOK: Duration = Duration::from_millis(20);

/// More looks than anything takes.
const MOST_LOOKS: usize = 6000;

/// Looks again and again until `done`.
#[track_caller]
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..MOST_LOOKS {
        if done() {
            return;
        }
        thread::park_timeout(LOOK);
    }
    panic!("it never happened");
}

impl Server {
    /// The sum of the metrics of that name whose labels have all of these texts.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let answer = Raw::connect(self.address()).request("GET", "/metrics", &[], b"").unwrap();
        let text = answer.text();
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| line.contains(label))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    }

    /// Requests that are being answered, without the one that asks.
    pub(crate) fn running(&self) -> u64 {
        self.metric("btdt_running_requests", &[]) - 1
    }

    /// Chunks that were sent and kept, or were there already.
    pub(crate) fn chunks_sent(&self, status: &str) -> u64 {
        let status = format!("status=\"{status}\"");
        self.metric("btdt_requests_total", &["chunk", "method=\"PUT\"", &status])
    }
}

impl Setup {
    /// The header with a token for everything.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", fs::read_to_string(self.token()).unwrap().trim())
    }

    /// All files of the cache `default`, relative to it.
    pub(crate) fn cache_files(&self) -> Vec<String> {
        let root = self.path("cache");
        let mut files = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path());
                } else {
                    let path = entry.path();
                    files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }

    /// The files of the chunks.
    pub(crate) fn chunk_files(&self) -> Vec<String> {
        let mut files = self.cache_files();
        files.retain(|file| file.starts_with("chunks/"));
        files
    }

    /// A tree `name` of files that do not compress, each of so many bytes.
    pub(crate) fn random_tree(&self, name: &str, files: usize, size: usize) {
        let directory = self.path(name);
        fs::create_dir(&directory).unwrap();
        for index in 0..files {
            fs::write(
                directory.join(format!("file-{index}")),
                noise(&[name, &index.to_string()], size),
            )
            .unwrap();
        }
    }
}

/// Bytes that look like noise, always the same for the same names.
pub(crate) fn noise(names: &[&str], size: usize) -> Vec<u8> {
    let seed = names.join("/").bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Whether two directories have files of the same names and contents.
pub(crate) fn same_files(one: &Path, other: &Path) -> bool {
    let list = |directory: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let names = list(one);
    names == list(other)
        && names
            .iter()
            .all(|name| fs::read(one.join(name)).unwrap() == fs::read(other.join(name)).unwrap())
}

/// What a [`Proxy`] does to one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Cuts the connection before it.
    Cut,
    /// Changes one of its bits.
    Flip,
    /// Passes nothing on any more, and keeps the connections open.
    Stall,
}

/// Which bytes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Those of all connections together: the harm is done once.
    Together,
    /// Those of each connection: the harm is done to each that is long enough.
    Each,
}

/// Which way they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Passes connections on to a server, and does harm at one byte.
pub(crate) struct Proxy {
    address: String,
}

impl Proxy {
    pub(crate) fn start(server: &Server, way: Way, counted: Counted, at: u64, harm: Harm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let to = server.address().to_owned();
        let together = Arc::new(AtomicU64::new(0));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&to) else { continue };
                let count = match counted {
                    Counted::Together => Arc::clone(&together),
                    Counted::Each => Arc::new(AtomicU64::new(0)),
                };
                for direction in [Way::Up, Way::Down] {
                    let (from, to) = match direction {
                        Way::Up => (&client, &server),
                        Way::Down => (&server, &client),
                    };
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let count = (direction == way).then(|| Arc::clone(&count));
                    thread::spawn(move || pass(from, to, count, at, harm));
                }
            }
        });
        Proxy { address }
    }

    /// The URL of a cache.
    pub(crate) fn cache(&self, name: &str) -> String {
        format!("http://{}/api/caches/{name}", self.address)
    }
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    count: Option<Arc<AtomicU64>>,
    at: u64,
    harm: Harm,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(read) => read,
            Err(_) => break,
        };
        let mut bytes = &mut buffer[..read];
        let mut ended = false;
        if let Some(count) = &count {
            let before = count.fetch_add(read as u64, Ordering::SeqCst);
            let place = usize::try_from(at.saturating_sub(before)).unwrap();
            if harm == Harm::Stall && before + read as u64 > at {
                loop {
                    thread::park();
                }
            }
            if before <= at && place < read {
                match harm {
                    Harm::Flip => bytes[place] ^= 0x10,
                    Harm::Cut | Harm::Stall => {
                        bytes = &mut bytes[..place];
                        ended = true;
                    }
                }
            }
        }
        if to.write_all(bytes).is_err() || ended {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

impl Raw {
    /// Says that nothing more comes, and waits until the server has closed. What it said.
    pub(crate) fn hang_up(&mut self) -> io::Result<Vec<u8>> {
        self.stream().shutdown(Shutdown::Write)?;
        self.read_to_close()
    }

    /// Waits until the server closes. What it said.
    pub(crate) fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        match self.reader().read_to_end(&mut said) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(said),
        }
    }

    /// Sends bytes one at a time, ten a second, until the server closes. What it said.
    pub(crate) fn trickle(&mut self, bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
        self.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut said = Vec::new();
        for byte in bytes {
            if self.stream().write_all(&[byte]).is_err() {
                return said;
            }
            let mut buffer = [0; 4096];
            match self.reader().read(&mut buffer) {
                Ok(0) => return said,
                Ok(read) => said.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return said,
            }
        }
        panic!("the server took all of it: {}", String::from_utf8_lossy(&said));
    }
}

/// A body in the chunked encoding, in pieces of so many bytes.
pub(crate) fn chunked(body: &[u8], piece: usize) -> Vec<u8> {
    let mut encoded = Vec::new();
    for piece in body.chunks(piece) {
        encoded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        encoded.extend_from_slice(piece);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    encoded
}
