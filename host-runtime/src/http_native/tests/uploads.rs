//! Bodies that are made while they are sent.

use super::server::{Received, Reply, Server, answer, read_head, read_request};
use super::*;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

/// So many bytes, and then an error or the end.
struct Source {
    left: usize,
    fails: bool,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.fails {
            return Err(io::Error::other("a chunk is damaged"));
        }
        let length = buffer.len().min(self.left).min(10_000);
        buffer[..length].fill(7);
        self.left -= length;
        Ok(length)
    }
}

const MUCH: usize = 50_000_000;

fn put(server: &Server) -> HttpRequest {
    request(Method::Put, &server.url("/api/caches/c?key=k"))
}

#[test]
fn an_upload_arrives_whole() {
    for size in [0, 1, 256 * 1024, 3_000_001] {
        let server = Server::new(|request, _| {
            Reply::Keep(answer(204, "", b"").into_iter().filter(|_| request.complete).collect())
        });
        let source = Source { left: size, fails: false };
        let answer = remote().upload_from(&put(&server), source).unwrap();
        assert_eq!(answer.status, 204);
        let received = server.received();
        assert_eq!(received[0].body.len(), size);
        assert!(received[0].body.iter().all(|byte| *byte == 7));
        assert_eq!(received[0].header("authorization"), Some("Bearer tok-secret"));
        assert_eq!(received[0].line, "PUT /api/caches/c?key=k HTTP/1.1");
        assert_eq!(received[0].header("host"), Some(&*server.address.to_string()));
        assert!(received[0].header("user-agent").unwrap().starts_with("btdt/"));
    }
}

#[test]
fn a_source_that_fails_never_gives_a_complete_body() {
    for size in [0, 1, 300_000, 3_000_000] {
        let seen: Arc<Mutex<Vec<Received>>> = Arc::default();
        let list = Arc::clone(&seen);
        let (done, wait) = std::sync::mpsc::channel();
        let server = Server::raw(move |stream| {
            let mut reader = BufReader::new(&stream);
            if let Some(request) = read_request(&mut reader) {
                list.lock().unwrap().push(request);
            }
            done.send(()).unwrap();
        });
        let source = Source { left: size, fails: true };
        let error = failure(remote().upload_from(&put(&server), source));
        assert_eq!(error.kind, HttpErrorKind::Interrupted);
        assert!(error.detail.ends_with("could not be read: a chunk is damaged"), "{error:?}");
        // Where the source fails at once there may be no connection at all.
        if size > 300_000 {
            wait.recv().unwrap();
        }
        assert!(seen.lock().unwrap().iter().all(|request| !request.complete), "{size}");
    }
}

#[test]
fn a_source_that_panics_never_gives_a_complete_body() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
    }
    let server = Server::new(|_, _| Reply::Keep(answer(204, "", b"")));
    let error = failure(remote().upload_from(&put(&server), Panics));
    assert_eq!(error.kind, HttpErrorKind::Interrupted);
    assert!(server.received().iter().all(|request| !request.complete));
}

/// Reads all that comes, so that closing does not discard what was sent.
fn linger(mut stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream, &mut io::sink());
}

#[test]
fn an_early_answer_of_a_server_that_lingers() {
    for status in [401, 413, 507] {
        let server = Server::raw(move |mut stream| {
            read_head(&mut BufReader::new(&stream)).unwrap();
            stream.write_all(&answer(status, "", b"no room")).unwrap();
            linger(&stream);
        });
        let source = Source { left: usize::MAX, fails: false };
        let answer = remote().upload_from(&put(&server), source).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(text(answer), "no room");
    }
}

#[test]
fn an_early_answer_of_a_server_that_closes_at_once() {
    let server = Server::raw(move |mut stream| {
        read_head(&mut BufReader::new(&stream)).unwrap();
        stream.read_exact(&mut [0; 100_000]).unwrap();
        stream.write_all(&answer(413, "", b"too large")).unwrap();
    });
    let remote = remote();
    let mut lost = Vec::new();
    for _ in 0..200 {
        let source = Source { left: MUCH, fails: false };
        match remote.upload_from(&put(&server), source) {
            Ok(answer) if answer.status == 413 => match answer.body.bytes(100) {
                Ok(body) if body == b"too large" => {}
                other => lost.push(format!("{other:?}")),
            },
            other => lost.push(format!("{:?}", other.map(|answer| answer.status))),
        }
    }
    assert!(lost.is_empty(), "{} of 200: {:?}", lost.len(), &lost[..lost.len().min(3)]);
}

#[test]
fn a_broken_upload_is_not_repeated() {
    let server = Server::raw(|mut stream| {
        read_head(&mut BufReader::new(&stream)).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    });
    let mut asked = put(&server);
    asked.retries = thrice();
    let error = failure(remote().upload_from(&asked, Source { left: MUCH, fails: false }));
    assert_eq!(error.kind, HttpErrorKind::Interrupted, "{error:?}");
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[test]
fn an_upload_is_not_redirected() {
    let server = Server::new(|_, _| Reply::Keep(answer(307, "Location: /x\r\n", b"")));
    let error = failure(remote().upload_from(&put(&server), Source { left: 10, fails: false }));
    assert_eq!(error.kind, HttpErrorKind::Redirect);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_server_that_takes_nothing() {
    let (keep, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::raw(move |stream| {
        read_head(&mut BufReader::with_capacity(64, &stream)).unwrap();
        let _ = wait.lock().unwrap().recv();
    });
    let source = Source { left: usize::MAX, fails: false };
    let error = failure(hasty().upload_from(&put(&server), source));
    assert_eq!(error.kind, HttpErrorKind::TimedOut, "{error:?}");
    drop(keep);
}

#[test]
fn uploads_that_reach_nobody() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, kind, detail) in [
        (format!("http://{closed}/"), HttpErrorKind::Unreachable, "connection refused"),
        ("http://no-such-host.invalid/".to_owned(), HttpErrorKind::Unresolved, "unknown host no"),
    ] {
        let source = Source { left: 10, fails: false };
        let error = failure(remote().upload_from(&request(Method::Put, &url), source));
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.detail.contains(detail), "{error:?}");
    }
    let server = Server::raw(|mut stream| {
        read_request(&mut BufReader::new(&stream));
        stream.write_all(b"SSH-2.0\r\n\r\n").unwrap();
    });
    let error = failure(remote().upload_from(&put(&server), Source { left: 10, fails: false }));
    assert_eq!(error.kind, HttpErrorKind::Protocol, "{error:?}");
}

#[test]
fn a_slow_source_is_no_reason_to_give_up() {
    struct Slow(std::sync::mpsc::Receiver<()>);
    impl Read for Slow {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            // Three times as long as the server may be silent; nobody ever sends anything.
            let _ = self.0.recv_timeout(Duration::from_millis(600));
            Ok(0)
        }
    }
    let server = Server::new(|_, _| Reply::Keep(answer(204, "", b"")));
    let (_keep, never) = std::sync::mpsc::channel();
    assert_eq!(hasty().upload_from(&put(&server), Slow(never)).unwrap().status, 204);
}
