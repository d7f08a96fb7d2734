//! A server of which a test writes every byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub(super) complete: bool,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// What a server does after a request.
pub(super) enum Reply {
    /// Writes and waits for the next one.
    Keep(Vec<u8>),
    /// Writes and closes.
    Close(Vec<u8>),
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) received: Arc<Mutex<Vec<Received>>>,
    pub(super) connections: Arc<Mutex<usize>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Gives each connection to `serve`, on a thread of its own.
    pub(super) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Server::at("127.0.0.1:0", serve)
    }

    pub(super) fn at(address: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(0));
        let (flag, counter) = (Arc::clone(&stopped), Arc::clone(&connections));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                *counter.lock().unwrap() += 1;
                stream.set_nodelay(true).unwrap();
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Server { address, received: Arc::default(), connections, stopped }
    }

    /// Answers each request; `answer` also gets its number, from 0.
    pub(super) fn new(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        Server::new_at("127.0.0.1:0", answer)
    }

    pub(super) fn new_at(
        address: &str,
        answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let list = Arc::clone(&received);
        let mut server = Server::at(address, move |stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some(request) = read_request(&mut reader) {
                let number = {
                    let mut list = list.lock().unwrap();
                    list.push(request.clone());
                    list.len() - 1
                };
                let (bytes, keep) = match answer(&request, number) {
                    Reply::Keep(bytes) => (bytes, true),
                    Reply::Close(bytes) => (bytes, false),
                };
                if (&stream).write_all(&bytes).is_err() || !keep {
                    break;
                }
            }
            let _ = stream.shutdown(Shutdown::Both);
        });
        server.received = received;
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// The next request of a connection; `None` at its end.
pub(super) fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let mut request = read_head(reader)?;
    let length = request.header("content-length").map(|length| length.parse().unwrap());
    if request.header("transfer-encoding") == Some("chunked") {
        request.complete = read_chunked(reader, &mut request.body).is_some();
    } else {
        request.body = vec![0; length.unwrap_or(0)];
        request.complete = reader.read_exact(&mut request.body).is_ok();
    }
    Some(request)
}

/// A request without its body.
pub(super) fn read_head(reader: &mut impl BufRead) -> Option<Received> {
    let mut request = Received { line: read_line(reader)?, ..Received::default() };
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(": ") else { return Some(request) };
        request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.strip_suffix("\r\n").map(str::to_owned)
}

fn read_chunked(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let length = usize::from_str_radix(&read_line(reader)?, 16).ok()?;
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        if !read_line(reader)?.is_empty() {
            return None;
        }
        if length == 0 {
            return Some(());
        }
    }
}

/// An answer with a length.
pub(super) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The same in chunks of at most `size` bytes.
pub(super) fn chunked(status: u16, headers: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status} X\r\n{headers}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
