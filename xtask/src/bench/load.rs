//! Requests to a server, many at once: HTTP/1.1 on connections that stay open.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// More would only take the cores from the server, which is on the same machine.
const THREADS: usize = 2;

const BUFFER: usize = 256 << 10;

/// Longer than any answer takes.
const HANG: Duration = Duration::from_secs(60);

/// A GET request as it is sent.
pub(super) fn get(target: &str, token: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// A connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context("could not connect to the server")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANG))?;
        Ok(Self { stream: BufReader::with_capacity(BUFFER, stream) })
    }

    pub(super) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(request).context("could not send a request")
    }

    /// Reads an answer to its end and gives the length of its body.
    ///
    /// # Errors
    /// When it is not a whole answer of status 200.
    pub(super) fn receive(&mut self) -> Result<u64> {
        match self.head()? {
            Some(length) => {
                self.discard(length)?;
                Ok(length)
            }
            None => self.discard_chunks(),
        }
    }

    /// Reads the head of an answer and the first byte of its body, and leaves the rest. The length
    /// of the body, if it was announced.
    pub(super) fn begin(&mut self) -> Result<Option<u64>> {
        let length = self.head()?;
        if self.stream.fill_buf()?.is_empty() {
            bail!("the answer has no body")
        }
        Ok(length)
    }

    /// Takes what has come, however much that is, and says how much.
    pub(super) fn take_some(&mut self) -> Result<u64> {
        let length = self.stream.fill_buf()?.len();
        self.stream.consume(length);
        Ok(length as u64)
    }

    /// Reads the head of an answer. The length of the body, if it was announced.
    fn head(&mut self) -> Result<Option<u64>> {
        let mut line = Vec::with_capacity(256);
        self.line(&mut line)?;
        if line.split(|byte| *byte == b' ').nth(1) != Some(b"200") {
            bail!("the server answered: {}", String::from_utf8_lossy(&line));
        }
        let mut length = None;
        let mut is_chunked = false;
        loop {
            self.line(&mut line)?;
            if line.is_empty() {
                break;
            }
            let text = std::str::from_utf8(&line).unwrap_or_default();
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().context("a length that is no number")?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = true;
            }
        }
        if length.is_none() && !is_chunked {
            bail!("the answer does not say where it ends");
        }
        Ok(length)
    }

    fn line(&mut self, line: &mut Vec<u8>) -> Result<()> {
        line.clear();
        self.stream.read_until(b'\n', line).context("could not read an answer")?;
        if line.pop() != Some(b'\n') {
            bail!("the connection ended within an answer");
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(())
    }

    fn discard(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let there = self.stream.fill_buf().context("could not read an answer")?.len();
            if there == 0 {
                bail!("the connection ended within an answer");
            }
            let taken = usize::try_from(length).unwrap_or(usize::MAX).min(there);
            self.stream.consume(taken);
            length -= taken as u64;
        }
        Ok(())
    }

    fn discard_chunks(&mut self) -> Result<u64> {
        let mut total = 0;
        let mut line = Vec::new();
        loop {
            self.line(&mut line)?;
            let text = String::from_utf8_lossy(&line);
            let size = text.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).context("a chunk without a size")?;
            self.discard(size)?;
            self.line(&mut line)?;
            total += size;
            if size == 0 {
                return Ok(total);
            }
        }
    }
}

/// What was done in a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) requests: u64,
    /// Of bodies.
    pub(super) bytes: u64,
    pub(super) wall: Duration,
}

/// Sends a request again and again on so many connections, all of them busy all the time.
///
/// # Errors
/// When a request is not answered with 200.
pub(super) fn repeat(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    duration: Duration,
) -> Result<Work> {
    let until_then = |begin: Instant| begin.elapsed() < duration;
    on_threads(connections, |mine, start| {
        let mut mine = open(address, mine)?;
        start.wait();
        let begin = Instant::now();
        let mut work = Work::default();
        for connection in &mut mine {
            connection.send(request)?;
        }
        while until_then(begin) {
            for connection in &mut mine {
                work.bytes += connection.receive()?;
                work.requests += 1;
                connection.send(request)?;
            }
        }
        Ok(work)
    })
}

/// Sends each of the requests once, over so many connections.
///
/// # Errors
/// When a request is not answered with 200.
pub(super) fn each(address: SocketAddr, requests: &[Vec<u8>], connections: usize) -> Result<Work> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let next = || requests.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    on_threads(connections, |mine, start| {
        let mut mine = open(address, mine)?;
        start.wait();
        let mut work = Work::default();
        let mut busy = std::collections::VecDeque::new();
        for mut connection in mine.drain(..) {
            if let Some(request) = next() {
                connection.send(request)?;
                busy.push_back(connection);
            }
        }
        while let Some(mut connection) = busy.pop_front() {
            work.bytes += connection.receive()?;
            work.requests += 1;
            if let Some(request) = next() {
                connection.send(request)?;
                busy.push_back(connection);
            }
        }
        Ok(work)
    })
}

fn open(address: SocketAddr, count: usize) -> Result<Vec<Connection>> {
    (0..count).map(|_| Connection::open(address)).collect()
}

/// Has all threads do their share at the same time and adds up what they did.
fn on_threads(
    connections: usize,
    share: impl Fn(usize, &Barrier) -> Result<Work> + Sync,
) -> Result<Work> {
    let threads = THREADS.min(connections);
    let start = Barrier::new(threads);
    let done: Vec<(Result<Work>, Duration)> = thread::scope(|scope| {
        let run = |number: usize| {
            let (share, start) = (&share, &start);
            let mine = connections / threads + usize::from(number < connections % threads);
            scope.spawn(move || {
                let begin = Instant::now();
                (share(mine, start), begin.elapsed())
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect()
    });
    let mut total = Work::default();
    for (work, wall) in done {
        let work = work?;
        total.requests += work.requests;
        total.bytes += work.bytes;
        total.wall = total.wall.max(wall);
    }
    Ok(total)
}

/// A figure of memory of a process, in bytes, from `/proc`: `VmRSS` or `VmHWM`.
pub(super) fn memory(process: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {name}"))? * 1024)
}

/// The CPU time of a process so far, from `/proc`.
pub(super) fn cpu(process: u32) -> Result<Duration> {
    // SAFETY: reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let mut text = String::new();
    let path = format!("/proc/{process}/stat");
    std::fs::File::open(Path::new(&path))
        .and_then(|mut file| file.read_to_string(&mut text))
        .with_context(|| format!("could not read {path}"))?;
    // The second field is a name in parentheses, which may have spaces in it.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |index| rest.split_whitespace().nth(index)?.parse::<u64>().ok();
    let used = field(11).zip(field(12)).with_context(|| format!("{path} is not as expected"))?;
    let ticks = u64::try_from(ticks).unwrap_or(100).max(1);
    Ok(Duration::from_millis((used.0 + used.1) * 1000 / ticks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers all requests on one connection after the other with these bytes.
    fn answering(answer: &'static str, connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
                        if line == "\r\n" && stream.get_mut().write_all(answer.as_bytes()).is_err()
                        {
                            return;
                        }
                        line.clear();
                    }
                });
            }
        });
        address
    }

    #[test]
    fn bodies_of_both_forms_are_read_to_their_end() {
        let plain = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345";
        let chunked =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n";
        for answer in [plain, chunked] {
            let requests = vec![get("/", "t"); 7];
            let work = each(answering(answer, 3), &requests, 3).unwrap();
            assert_eq!((work.requests, work.bytes), (7, 35));
        }
    }

    #[test]
    fn what_is_not_200_is_an_error() {
        let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        let error = each(answering(answer, 1), &[get("/", "t")], 1).unwrap_err();
        assert!(error.to_string().contains("401"), "{error}");
    }

    #[test]
    fn repeated_requests_are_counted() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";
        let work = repeat(answering(answer, 4), &get("/", "t"), 4, Duration::from_millis(1));
        let work = work.unwrap();
        assert!(work.requests >= 4 && work.bytes == 2 * work.requests, "{work:?}");
        assert!(work.wall >= Duration::from_millis(1));
    }

    #[test]
    fn figures_of_a_process_are_found() {
        let process = std::process::id();
        assert!(memory(process, "VmHWM").unwrap() >= memory(process, "VmRSS").unwrap() / 2);
        assert!(memory(process, "VmNothing").is_err());
        cpu(process).unwrap();
    }
}
